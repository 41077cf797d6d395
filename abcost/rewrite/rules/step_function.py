"""where(x >= 0, 1, -1), 2 * (x >= 0) - 1, (x > 0) - (x < 0), clamp(sign(x)), sign(sign(x) + c), … -> sign(x)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from abcost.core.cone import Cone, cone_of
from abcost.core.edit import Edit
from abcost.core.graph import OpGraph
from abcost.core.interpret import FixedPoint, Floating
from abcost.core.kinds import OpKind
from abcost.core.log import Phase
from abcost.core.node import Constant, OpNode
from abcost.core.values import MOST_MEMBERS
from abcost.rewrite.rule import Declined, Match, RewriteOptions, rules

_DECISIONS = frozenset({OpKind.SIGN, OpKind.THRESHOLD, OpKind.COMPARE})
_ELEMENTWISE = frozenset(
    {
        OpKind.ADD, OpKind.SUBTRACT, OpKind.MULTIPLY, OpKind.ADD_CONST, OpKind.SCALE, OpKind.NEGATE, OpKind.SELECT,
        OpKind.CLAMP, OpKind.EXTREMUM, OpKind.FUNCTION, OpKind.SIGN, OpKind.THRESHOLD,
    }
)  # fmt: skip
_BITS = frozenset({-1.0, 0.0, 1.0})
_MOST_LEVELS = 4
_MOST_NODES = 16
_LARGEST = 2**16


class StepFunction:
    """f(x), one of two values of -1, 0 and 1 on either side of one level  ->  sign(x) or x >= level, with these values.

    f is run below, on, between and above all levels that the decisions in it compare x with.
    """

    phase = Phase.RECOGNISE
    kinds = _ELEMENTWISE

    def check(self, graph: OpGraph, node: OpNode, options: RewriteOptions) -> Match | Declined | None:
        """Everything between x and the result acts on single elements, and only decisions read x."""
        if node.kind in _DECISIONS and not _few(graph, graph.sources(node)[0]):
            return None
        grid = graph.values(node).code
        few = None if grid is None else grid.values()
        if few is None or not 2 <= len(few) <= 3 or not set(few) <= _BITS:
            return None
        if node.kind is OpKind.SCALE and _are_bits(graph, graph.sources(node)[0]):
            return None  # a factor of 1 or -1 is a multiplication of the network as it is written
        cone = cone_of(graph, node, lambda n: not _few(graph, n), _MOST_NODES)
        if cone is None or any(n.kind not in _ELEMENTWISE | _DECISIONS for n in cone.nodes):
            return None
        data = _one_step(graph, cone, FixedPoint(options.fraction_bits))
        if data is None:
            return None
        detail = f"a step from {data['low']:g} to {data['high']:g} is one bit"
        if not data["exact"]:
            detail += "; hardware has another value at the level itself, or where constants are rounded"
        return Match((node, *cone.nodes), detail, exact=data["exact"], data=data)

    def apply(self, edit: Edit, _graph: OpGraph, node: OpNode, match: Match) -> None:
        """What lies between dies if nobody else reads it."""
        data = match.data
        attrs: dict[str, Any] = {"at_zero": data["at_zero"]}
        if (data["low"], data["high"]) != (-1.0, 1.0):
            attrs |= {"low": data["low"], "high": data["high"]}
        level: Tensor = data["level"]
        zero = not bool(level.any()) and not data["expands"]
        kind = OpKind.SIGN if zero else OpKind.THRESHOLD
        edit.replace(
            node, [data["x"]], kind=kind, attrs=attrs, consts={} if zero else {"level": Constant(level)}
        )


def _few(graph: OpGraph, node: OpNode) -> bool:
    grid = graph.values(node).code
    return grid is not None and grid.levels <= MOST_MEMBERS


def _are_bits(graph: OpGraph, node: OpNode) -> bool:
    grid = graph.values(node).code
    few = None if grid is None else grid.values()
    return few is not None and set(few) <= _BITS


def _one_step(graph: OpGraph, cone: Cone, fixed: FixedPoint) -> dict[str, Any] | None:
    """Level, values below and above, and which of them holds at the level; None if f is no single step."""
    readers = [n for n in cone.nodes if cone.root.name in graph.inputs(n.name)]
    found = [_level(n) for n in readers]
    decides = all(n.kind in _DECISIONS and len(graph.inputs(n.name)) == 1 for n in readers)
    if not decides or len(found) > _MOST_LEVELS or sum(level.numel() for level in found) > _LARGEST:
        return None
    together = torch.stack(torch.broadcast_tensors(*found))  # type: ignore[no-untyped-call]
    levels = torch.unique_consecutive(together.sort(dim=0).values, dim=0)
    samples = [levels[0] - 1]
    for number, level in enumerate(levels):
        samples += [level, (level + levels[number + 1]) / 2 if number + 1 < len(levels) else level + 1]
    results = [cone.run(sample, Floating()) for sample in samples]
    hardware = [cone.run(sample, Floating(hardware_sign=True)) for sample in samples]
    for number, level in enumerate(levels):
        step = _step_at(results, hardware, 2 * number + 1)
        if step is not None:
            expands = tuple(cone.root.shape) != tuple(cone.last.shape)
            step["exact"] = step["exact"] and _agrees(cone, samples, hardware, fixed)
            return {**step, "level": level, "expands": expands, "x": cone.root.name}
    return None


def _agrees(cone: Cone, samples: list[Tensor], hardware: list[Tensor], fixed: FixedPoint) -> bool:
    """Whether fixed point, which rounds the constants of f, has the same values beside the levels."""
    return all(torch.equal(cone.run(x, fixed), h) for x, h in zip(samples[::2], hardware[::2], strict=True))


def _step_at(results: list[Tensor], hardware: list[Tensor], place: int) -> dict[str, Any] | None:
    """The step, if all samples in front of `place` have one value, and all behind it another, in hardware too."""
    low, high = results[0].flatten()[0], results[-1].flatten()[0]
    sides = [low] * place, [high] * (len(results) - place - 1)
    for found in (results, hardware):
        beside = (*zip(found[:place], sides[0], strict=True), *zip(found[place + 1 :], sides[1], strict=True))
        if low == high or not all(bool((value == side).all()) for value, side in beside):
            return None
    at = _at_level(results[place], float(low), float(high))
    if at is None:
        return None
    exact = bool((hardware[place] == (low if at == -1 else high)).all())
    return {"low": float(low), "high": float(high), "at_zero": at, "exact": exact}


def _level(node: OpNode) -> Tensor:
    level = node.const("level")
    return torch.zeros(1, dtype=torch.float64) if level is None else level.real()


def _at_level(value: Tensor, low: float, high: float) -> int | None:
    """-1 if the lower side holds at the level, 1 if the upper one does, 0 half-way between them (torch's sign)."""
    for at, wanted in ((-1, low), (1, high), (0, (low + high) / 2)):
        if bool((value == wanted).all()):
            return at
    return None


rules.add("step-function")(StepFunction())
