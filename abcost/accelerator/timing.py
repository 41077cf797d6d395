"""When a tensor's elements come out of a layer pipeline, and the FIFOs where branches meet.

All engines work at the frame interval, the cycles of the slowest. A window's first result waits for the pixels
below and right of its centre; a global pool waits for the whole frame:

    delay(node) = max over inputs of delay + (kh - 1 - ph) * W + (kw - ph) pixels of the input,
                  each lasting frame interval / pixels; a dot product adds its own cycles per position

Where branches with different delays meet, the earlier one is held: slack / frame interval of its elements.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil, prod

from abcost.accelerator.datapath import WINDOWS, kernel_of, padding_of
from abcost.accelerator.memory import Memory
from abcost.core.graph import OpGraph
from abcost.core.kinds import OpKind
from abcost.core.node import OpNode


def delays(graph: OpGraph, own_cycles: Mapping[str, int], interval: int) -> dict[str, float]:
    """Cycles from the first input pixel to each node's first result. own_cycles: of the dot products, by node."""
    found: dict[str, float] = {}
    for node in graph:
        before = max((found[name] for name in graph.inputs(node.name)), default=0.0)
        found[node.name] = before + _fill(node, graph, interval) + _own(node, own_cycles)
    return found


def fifos(graph: OpGraph, delay: Mapping[str, float], interval: int, width: int) -> dict[str, list[Memory]]:
    """Node -> the FIFOs at its inputs."""
    found: dict[str, list[Memory]] = {}
    for node in graph:
        inputs = graph.sources(node)
        if len(inputs) < 2 or node.kind is OpKind.OUTPUT:
            continue
        latest = max(delay[source.name] for source in inputs)
        held = []
        for source in inputs:
            depth = ceil((latest - delay[source.name]) / interval * source.elements)
            if depth > 0:
                held.append(Memory("residual FIFO", graph.precision(source).width(width), depth, reads=0))
        if held:
            found[node.name] = held
    return found


def latency(graph: OpGraph, delay: Mapping[str, float], interval: int) -> float:
    """Cycles from the first input pixel to the last result."""
    last = 0.0
    for node in graph.of_kind(OpKind.OUTPUT):
        pixels = _pixels(graph.sources(node)[0])
        last = max(last, delay[node.name] + interval * (1 - 1 / pixels))
    return last


def _fill(node: OpNode, graph: OpGraph, interval: int) -> float:
    if node.kind not in WINDOWS:
        return 0.0
    source = graph.sources(node)[0]
    if len(source.shape) < 3:
        return 0.0
    (rows, columns), (top, left) = kernel_of(node), padding_of(node)
    waited = max(0, rows - 1 - top) * source.shape[-1] + max(0, columns - 1 - left)
    return min(waited + 1, _pixels(source)) / _pixels(source) * interval


def _own(node: OpNode, own_cycles: Mapping[str, int]) -> float:
    return own_cycles.get(node.name, 0) / _pixels(node)


def _pixels(node: OpNode) -> int:
    """Positions of a tensor, batch included: N x H x W, or N."""
    return max(1, node.shape[0] * prod(node.shape[2:])) if node.shape else 1
