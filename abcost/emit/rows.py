"""What an engine is fed and what it answers: values of the reference interpreter, in the order of its ports.

A step of a dot product is a row of `a`; values of residual operands and results come pixel by pixel, channel group by
channel group.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from abcost.accelerator.design.dot import padded, segment
from abcost.accelerator.design.engine import EngineDesign, steps_of
from abcost.accelerator.design.pool import POOLS
from abcost.accelerator.engine import Engine
from abcost.core.graph import OpGraph
from abcost.core.interpret import FixedPoint, execute
from abcost.core.kinds import DotArithmetic, OpKind
from abcost.core.node import OpNode
from abcost.core.precision import Encoding


@dataclass(frozen=True, slots=True)
class Rows:
    """Whole numbers. inputs: `a`, `inside`, one row per position and step; sides, expected: by port."""

    inputs: dict[str, Tensor]
    sides: dict[str, Tensor]
    expected: dict[str, Tensor]


def interpret(
    graph: OpGraph, inputs: Sequence[Tensor], fraction_bits: int, width: int | None = None
) -> dict[str, Tensor]:
    """Every node's value in fixed point; width: at which values wrap, None: as wide as needed."""
    return execute(graph, inputs, FixedPoint(fraction_bits, width=width), keep=lambda _node: True)


def rows_of(
    graph: OpGraph, values: Mapping[str, Tensor], design: EngineDesign, *, windows: int | None, seed: int = 0
) -> Rows:
    """The rows of all positions, or of so many chosen at random; an engine with a pool needs all of them."""
    engine = design.engine
    chosen = torch.arange(engine.positions)
    whole = any(work.node.kind in POOLS for work in engine.chain)
    if windows is not None and windows < engine.positions and not whole:
        generator = torch.Generator().manual_seed(seed)
        chosen = torch.randperm(engine.positions, generator=generator)[:windows].sort().values
    steps = steps_of(engine, design.folding)
    source = graph.sources(engine.dot)[0]
    windowed, inside = windows_of(values[source.name], engine)
    real = graph.precision(source).encoding is Encoding.REAL
    grid = 2.0**design.number.fraction_bits
    a = (windowed * grid).to(torch.int64) if real else (windowed >= 0).to(torch.int64)

    def stepped(rows: Tensor) -> Tensor:
        """A row for each step: a window once for each signed digit of a weight."""
        passed = rows[chosen].unsqueeze(1).expand(-1, engine.digits, -1)
        return passed.reshape(len(chosen) * steps, design.folding.simd)

    inputs = {"a": stepped(a)}
    if engine.arithmetic is DotArithmetic.XNOR and padded(engine):
        together = segment(engine, design.folding.simd)
        inputs["inside"] = stepped(inside)[:, ::together].to(torch.int64)

    def pick(node: OpNode) -> Tensor:
        found = _pixels(graph, values[node.name], node, design)
        rows = found[chosen] if len(found) == engine.positions and not whole else found
        return rows.reshape(-1, design.lanes)

    return Rows(
        inputs,
        {side.net.name: pick(side.node) for side in design.chain.sides},
        {f"y{i}": pick(result.node) for i, result in enumerate(design.chain.results)},
    )


def windows_of(x: Tensor, engine: Engine) -> tuple[Tensor, Tensor]:
    """(positions, K) inputs of all positions, kernel position by kernel position, and which are inside the image."""
    dot = engine.dot
    if dot.kind is not OpKind.CONV:
        rows = x.reshape(-1, x.shape[-1])
        return rows, torch.ones_like(rows)
    a = dot.attrs
    kernel = tuple(dot.consts["weight"].values.shape[2:])
    unfold = torch.nn.Unfold(
        kernel, dilation=tuple(a["dilation"]), stride=tuple(a["stride"]), padding=tuple(a["padding"])
    )

    def cut(values: Tensor) -> Tensor:
        columns: Tensor = unfold(values).transpose(1, 2).reshape(engine.positions, -1, kernel[0] * kernel[1])
        return columns.transpose(1, 2).reshape(engine.positions, -1)

    return cut(x), cut(torch.ones_like(x))


def packed(words: Tensor, width: int) -> list[int]:
    """Rows of numbers as unsigned whole numbers, the first one lowest."""
    mask = (1 << width) - 1
    return [sum((int(v) & mask) << (i * width) for i, v in enumerate(row)) for row in words.tolist()]


def _pixels(graph: OpGraph, values: Tensor, node: OpNode, design: EngineDesign) -> Tensor:
    """(pixels, channels) whole numbers: bits for values of two, else multiples of 2**-F."""
    convolution = design.engine.dot.kind is OpKind.CONV
    moved = values.movedim(1, -1) if convolution else values
    flat = moved.reshape(-1, values.shape[1] if convolution else values.shape[-1])
    if graph.precision(node).width(2) == 1:
        code = graph.values(node).code
        pair = code.values() if code is not None else None
        return (flat == pair[-1] if pair else flat >= 0).to(torch.int64)
    return (flat * 2.0**design.number.fraction_bits).to(torch.int64)
