"""When a tensor's elements come out of a layer pipeline, and the FIFOs where branches meet.

All engines work at the frame interval, the cycles of the slowest: pixels of a tensor come evenly, and the first
pixel of the input comes at 0. A result waits for the last input pixel that it needs; a dot product adds its own
cycles per position:

    delay(node) = max over inputs of (delay + pixels before the first window / pixels of the input * frame interval)
                  + own cycles / positions
                  + pipeline registers of the engine

A product of two computed tensors waits for all of its second operand. Where branches with different delays meet,
the earlier one is held: slack / frame interval of its elements.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from math import ceil, prod

from abcost.accelerator.window import window_of
from abcost.core.graph import OpGraph
from abcost.core.kinds import DOTS, OpKind
from abcost.core.node import OpNode


def delays(
    graph: OpGraph, own_cycles: Mapping[str, int], interval: int, stages: Mapping[str, int] | None = None
) -> dict[str, Fraction]:
    """Cycles from the first input pixel to each node's first result.

    own_cycles: of the dot products, by node; stages: registers that a result of theirs passes.
    """
    registers = stages or {}
    found: dict[str, Fraction] = {}
    for node in graph:
        before = max((found[name] for name in graph.inputs(node.name)), default=Fraction(0))
        own = Fraction(own_cycles.get(node.name, 0), pixels_of(node))
        found[node.name] = before + _waited(node, graph) * interval + own + registers.get(node.name, 0)
    return found


def held_elements(graph: OpGraph) -> dict[str, dict[str, int]]:
    """Node -> elements that its earlier inputs hold at most, where engines are as slow as the frame interval."""
    delay = delays(graph, {node.name: 1 for node in graph.of_kind(*DOTS)}, 1)  # in frame intervals
    found: dict[str, dict[str, int]] = {}
    for node in graph:
        inputs = graph.sources(node)
        if len(inputs) < 2 or node.kind in (OpKind.OUTPUT, OpKind.MATMUL):
            continue
        latest = max(delay[source.name] for source in inputs)
        held = {s.name: ceil((latest - delay[s.name]) * s.elements) for s in inputs}
        held = {name: elements for name, elements in held.items() if elements > 0}
        if held:
            found[node.name] = held
    return found


def latency(graph: OpGraph, delay: Mapping[str, Fraction], interval: int) -> float:
    """Cycles from the first input pixel to the last result."""
    last = Fraction(0)
    for node in graph.of_kind(OpKind.OUTPUT):
        pixels = pixels_of(graph.sources(node)[0])
        last = max(last, delay[node.name] + interval * Fraction(pixels - 1, pixels))
    return float(last)


def pixels_of(node: OpNode) -> int:
    """Positions of a tensor, batch included: N x H x W, or N."""
    return max(1, node.shape[0] * prod(node.shape[2:])) if node.shape else 1


def _waited(node: OpNode, graph: OpGraph) -> Fraction:
    """Share of a frame that passes before the first result is complete."""
    if node.kind is OpKind.MATMUL:
        source = graph.sources(node)[1]
        return Fraction(pixels_of(source) - 1, pixels_of(source))
    if not graph.inputs(node.name):
        return Fraction(0)
    source = graph.sources(node)[0]
    window = window_of(node, source)
    if window is None:
        return Fraction(0)
    return Fraction(min(window.pixels_before_first, pixels_of(source) - 1), pixels_of(source))
