"""Test vectors of a datapath: what the reference interpreter computes, cut into clock cycles.

Windows that touch zero padding are left out: a bit has no 0, hardware corrects the border elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from abcost.core.graph import OpGraph
from abcost.core.interpret import FixedPoint, execute
from abcost.core.kinds import OpKind
from abcost.core.node import OpNode
from abcost.emit.layer import Datapath, Scope, Style
from abcost.errors import UsageError


@dataclass(frozen=True, slots=True)
class Vectors:
    """Rows in clock order. check: rows at which `expected` is the answer; address: of the weights, fold by fold."""

    inputs: dict[str, Tensor]
    expected: dict[str, Tensor]
    check: Tensor
    address: Tensor


def interpret(graph: OpGraph, inputs: Sequence[Tensor], fraction_bits: int) -> dict[str, Tensor]:
    """Every node's value in fixed point."""
    return execute(graph, inputs, FixedPoint(fraction_bits), keep=lambda _node: True)


def largest_of(values: dict[str, Tensor], scope: Scope) -> float:
    """The largest magnitude that the datapath must hold: of values, and of parameters (exponents are codes)."""
    found = [values[node.name] for node in scope.held]
    for node in scope.chain:
        found += [c.real() for role, c in node.consts.items() if role != "exponent"]
    return max((float(v.abs().max()) for v in found), default=0.0)


def bits_for(largest: float, fraction_bits: int) -> int:
    """Bits of a signed number of that magnitude, fraction included."""
    return int(largest).bit_length() + 1 + fraction_bits


def vectors(
    graph: OpGraph, values: dict[str, Tensor], path: Datapath, *, windows: int, seed: int = 0
) -> Vectors:
    """Rows of up to `windows` windows, chosen at random among those without padding.

    Raises UsageError if every window touches padding, or a value does not fit the width.
    """
    check_width(values, path.scope, path.style, path.engine.name)
    engine, folding = path.engine, path.folding
    windowed, places = _windows(values[graph.inputs(engine.dot.name)[0]], engine.dot)
    if not len(places):
        raise UsageError(f"every window of layer {engine.name} touches padding; give a larger --input-size")
    chosen = places[torch.randperm(len(places), generator=torch.Generator().manual_seed(seed))[:windows]]
    groups, steps = engine.channels // folding.pe, engine.taps // folding.simd
    weights = weight_rows(path)
    count = len(chosen) * groups * steps
    a = (windowed[chosen] >= 0).to(torch.int64).reshape(len(chosen), 1, steps, folding.simd)
    index = torch.arange(count)
    rows = {
        "a": a.expand(-1, groups, -1, -1).reshape(count, folding.simd),
        "w": weights.repeat(len(chosen), 1),
        "first": (index % steps == 0).to(torch.int64),
        "fold": index // steps % groups,
    }
    for port, node in path.scope.side.items():
        rows[port] = _per_row(_fixed(values[node.name], node, path, graph), chosen, path)
    rows = {port.name: rows[port.name] for port in path.unit.inputs}
    expected = {
        port: _per_row(_fixed(values[node.name], node, path, graph), chosen, path)
        for port, node in path.scope.results.items()
    }
    check = (index % steps == steps - 1).to(torch.int64)
    found = Vectors(rows, expected, check, index % (groups * steps))
    if path.age and "fold" in rows:
        found = _ahead(found)
    return _late(found, max(0, path.age - 1))


def weight_rows(path: Datapath) -> Tensor:
    """(folds * steps, PE * SIMD) bits: row = fold * steps + step, lane 0 lowest."""
    engine, folding = path.engine, path.folding
    groups, steps = engine.channels // folding.pe, engine.taps // folding.simd
    bits = (engine.dot.consts["weight"].values >= 0).to(torch.int64).reshape(engine.channels, engine.taps)
    tiled = bits.reshape(groups, folding.pe, steps, folding.simd).permute(0, 2, 1, 3)
    return tiled.reshape(groups * steps, folding.pe * folding.simd)


def _windows(x: Tensor, dot: OpNode) -> tuple[Tensor, Tensor]:
    """(positions, K) inputs of all output positions, and the numbers of those without padding."""
    if dot.kind is not OpKind.CONV:
        rows = x.reshape(-1, x.shape[-1])
        return rows, torch.arange(len(rows))
    a = dot.attrs
    kernel = tuple(dot.consts["weight"].values.shape[2:])
    padding = [p for p in reversed(list(a["padding"])) for _ in range(2)]
    unfold = torch.nn.Unfold(kernel, dilation=tuple(a["dilation"]), stride=tuple(a["stride"]))

    def cut(values: Tensor, fill: float) -> Tensor:
        padded = torch.nn.functional.pad(values, padding, value=fill)
        columns: Tensor = unfold(padded)
        return columns.transpose(1, 2).reshape(-1, dot.attrs["taps"])

    inside = cut(torch.ones_like(x), 0.0).all(dim=1)
    return cut(x, 0.0), inside.nonzero().flatten()


def _per_row(values: Tensor, chosen: Tensor, path: Datapath) -> Tensor:
    """(rows, PE) of a (positions, channels) tensor: the same in every step of a fold."""
    engine, pe = path.engine, path.folding.pe
    steps = engine.taps // path.folding.simd
    found = values[chosen].reshape(len(chosen) * (engine.channels // pe), 1, pe)
    rows = found.expand(-1, steps, -1).reshape(-1, pe)
    return rows.squeeze(1) if pe == 1 else rows


def _fixed(values: Tensor, node: OpNode, path: Datapath, graph: OpGraph) -> Tensor:
    """(positions, channels) integers: bits for signs, the dot product itself, else multiples of 2**-F."""
    moved = values.movedim(1, -1) if path.engine.dot.kind is OpKind.CONV else values
    flat = moved.reshape(-1, path.engine.channels)
    if graph.precision(node).width(path.style.width) == 1:
        return (flat >= 0).to(torch.int64)
    fraction_bits = 0 if node is path.engine.dot else path.style.fraction_bits
    return (flat * 2.0**fraction_bits).to(torch.int64)


def check_width(values: dict[str, Tensor], scope: Scope, style: Style, layer: str) -> None:
    """Raises UsageError if a value or a parameter of the layer does not fit the width."""
    largest = largest_of(values, scope)
    needed = bits_for(largest, style.fraction_bits)
    if needed > style.width:
        raise UsageError(
            f"values of layer {layer} reach {largest:.4g}: {needed} bits at "
            f"{style.fraction_bits} fraction bits; give --width {needed} or a smaller --fraction-bits"
        )


def _ahead(v: Vectors) -> Vectors:
    """A row in front, and the channel of each row in the row before it."""

    def behind(rows: Tensor) -> Tensor:
        return torch.cat([rows[:1], rows])

    inputs = {name: behind(rows) for name, rows in v.inputs.items()}
    inputs["fold"] = torch.cat([v.inputs["fold"], v.inputs["fold"][-1:]])
    check = torch.cat([torch.zeros(1, dtype=v.check.dtype), v.check])
    return Vectors(
        inputs, {name: behind(rows) for name, rows in v.expected.items()}, check, behind(v.address)
    )


def _late(v: Vectors, late: int) -> Vectors:
    """Answers move `late` rows down; the inputs repeat their last row while the pipeline empties."""

    def early(rows: Tensor) -> Tensor:
        return torch.cat([rows, rows[-1:].expand(late, *rows.shape[1:])])

    def down(rows: Tensor) -> Tensor:
        return torch.cat([rows[:1].expand(late, *rows.shape[1:]), rows])

    check = torch.cat([torch.zeros(late, dtype=v.check.dtype), v.check])
    return Vectors(
        {name: early(rows) for name, rows in v.inputs.items()},
        {name: down(rows) for name, rows in v.expected.items()},
        check,
        early(v.address),
    )
