"""Where a monotone function of single elements steps from one value to the next, found by running it.

The level in floating point is the least float64 at which the step is made, the one in fixed point the least multiple of
2**-F, or the least whole number where the input holds nothing else. So a comparison with it decides what the function
decides, to the bit, in both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from abcost.core.cone import Cone
from abcost.core.graph import OpGraph
from abcost.core.interpret import Arithmetic, FixedPoint, Floating
from abcost.core.kinds import OpKind
from abcost.core.node import Constant, OpNode
from abcost.core.values import Grid
from abcost.errors import GraphError

_RISING_FUNCTIONS = frozenset(
    {
        "tanh.default", "sigmoid.default", "erf.default", "exp.default", "softplus.default", "hardsigmoid.default",
        "atan.default", "log1p.default", "round.default", "floor.default", "ceil.default", "trunc.default",
    }
)  # fmt: skip
_MONOTONE = frozenset(
    {
        OpKind.SCALE, OpKind.SHIFT, OpKind.NEGATE, OpKind.ADD_CONST, OpKind.CLAMP, OpKind.MASK, OpKind.QUANTISE,
        OpKind.PRELU, OpKind.SHIFT_PRELU, OpKind.FUNCTION, OpKind.EXTREMUM,
    }
)  # fmt: skip
MOST_CHAIN = 32
_LARGEST = 2**16
"""Elements of a tensor of levels."""
_MOST_BITS = 50
"""Whole numbers of more bits are searched as reals."""


@dataclass(frozen=True, slots=True)
class RewriteStep:
    """`level`: where it is, broadcast to the input. `gain`: +1 where it is up, -1 where it is down; None: all up."""

    level: Constant
    gain: Constant | None

    @property
    def at_origin(self) -> bool:
        """Whether the sign bit alone decides."""
        fixed = self.level.values if self.level.fixed is None else self.level.fixed
        return self.gain is None and not bool(self.level.values.any()) and not bool(fixed.any())


def monotone(node: OpNode) -> bool:
    """Whether `node` is a function of single elements of one tensor that never turns."""
    if node.kind not in _MONOTONE:
        return False
    match node.kind:
        case OpKind.FUNCTION:
            return node.attrs.get("aten") in _RISING_FUNCTIONS
        case OpKind.PRELU:
            return bool((node.consts["slope"].real() >= 0).all())
        case OpKind.EXTREMUM:
            return "level" in node.consts
        case _:
            return True


def chain_above(graph: OpGraph, node: OpNode) -> tuple[OpNode, ...]:
    """The monotone functions in front of `node` that nobody else reads, first to last; each keeps the shape."""
    found: list[OpNode] = []
    last = node
    while len(found) < MOST_CHAIN and len(graph.inputs(last.name)) == 1:
        (source,) = graph.sources(last)
        shapes = {source.shape, last.shape, *(s.shape for s in graph.sources(source))}
        if not monotone(source) or len(graph.users(source)) != 1 or len(shapes) > 1:
            break
        found.append(source)
        last = source
    return tuple(reversed(found))


def find_steps(
    graph: OpGraph,
    nodes: tuple[OpNode, ...],
    reached: Sequence[Callable[[Tensor], Tensor]],
    fraction_bits: int,
) -> list[RewriteStep] | None:
    """Steps at which the chain `nodes` comes to be `reached`, a condition on its value; one step for each condition.

    Each condition must hold from some value of the chain on upwards. None if the arithmetic cannot hold the chain, or
    its rounded constants turn it round where the real ones do not.
    """
    root = graph.sources(nodes[0])[0]
    cone = Cone(graph, root, nodes)
    shape = _shape(nodes)
    if shape is None:
        return None
    exact, real = _domains(graph, nodes, fraction_bits)
    fixed, floating = FixedPoint(fraction_bits), Floating(hardware_sign=True)
    steps = []
    try:
        for condition in reached:
            at_bits = _search(cone, fixed, condition, exact, shape)
            at_reals = _search(cone, floating, condition, real, shape)
            if not torch.equal(at_bits.gain, at_reals.gain):
                return None
            falls = bool((at_bits.gain < 0).any())
            gain = Constant(at_bits.gain.to(torch.int8), binary=True) if falls else None
            steps.append(RewriteStep(Constant(at_reals.level, fixed=at_bits.level), gain))
    except GraphError:
        return None
    return steps


def ends_of(graph: OpGraph, nodes: tuple[OpNode, ...], fraction_bits: int) -> tuple[float, float]:
    """Least and largest value of the chain in fixed point, whose rounded constants may go beyond the real ones.

    Raises GraphError where the arithmetic cannot hold the chain.
    """
    cone = Cone(graph, graph.sources(nodes[0])[0], nodes)
    exact, _ = _domains(graph, nodes, fraction_bits)
    at = exact.at(torch.tensor([exact.low, exact.high]))
    found = [cone.run(x.reshape(1), FixedPoint(fraction_bits)) for x in at]
    return min(float(v.min()) for v in found), max(float(v.max()) for v in found)


def _domains(graph: OpGraph, nodes: tuple[OpNode, ...], fraction_bits: int) -> tuple[_Inputs, _Inputs]:
    """The inputs to search, in fixed and in floating point."""
    grid = graph.values(graph.sources(nodes[0])[0]).code
    if grid is not None and grid.whole and grid.bits < _MOST_BITS:
        return _whole_numbers(grid), _whole_numbers(grid)
    limit = _limit(nodes, fraction_bits)
    return _multiples(limit, 2.0**-fraction_bits), _floats(limit)


def _shape(nodes: tuple[OpNode, ...]) -> list[int] | None:
    """What the constants of the chain broadcast to; None if that is large."""
    shape = [1]
    for node in nodes:
        for role, constant in node.consts.items():
            sizes = list(constant.values.shape[1:] if role == "levels" else constant.values.shape)
            shape = [1] * (len(sizes) - len(shape)) + shape
            sizes = [1] * (len(shape) - len(sizes)) + sizes
            shape = [max(pair) for pair in zip(sizes, shape, strict=True)]
    return shape if prod(shape) <= _LARGEST else None


def _limit(nodes: tuple[OpNode, ...], fraction_bits: int) -> float:
    """Magnitude of an input up to which fixed-point execution of the chain is exact in float64."""
    growth = most = 1.0
    for node in nodes:
        for role, constant in node.consts.items():
            values = constant.real().abs()
            largest = float(values.max()) if values.numel() else 1.0
            if role == "exponent":
                largest = float(torch.exp2(constant.real()).max())
            if role in ("factor", "slope", "exponent"):
                growth *= max(largest, 2.0**-60)
                most = max(most, growth)
    return 2.0 ** (50 - 2 * fraction_bits) / (2 * most)


@dataclass(frozen=True, slots=True)
class _Inputs:
    """Whole numbers low … high, and the input that each of them stands for, in rising order."""

    low: int
    high: int
    at: Callable[[Tensor], Tensor]


def _whole_numbers(grid: Grid) -> _Inputs:
    ends = sorted(int(float(grid.scale) * k + float(grid.offset)) for k in (grid.low, grid.high))
    return _Inputs(ends[0], ends[1], lambda k: k.to(torch.float64))


def _multiples(limit: float, step: float) -> _Inputs:
    return _Inputs(int(-limit / step), int(limit / step), lambda k: k.to(torch.float64) * step)


def _floats(limit: float) -> _Inputs:
    """All float64 numbers: read as whole numbers, positive ones are in the same order."""
    end = int(torch.tensor(limit, dtype=torch.float64).view(torch.int64))

    def at(order: Tensor) -> Tensor:
        magnitude = order.abs().view(torch.float64)
        return torch.where(order < 0, -magnitude, magnitude)

    return _Inputs(-end, end, at)


@dataclass(frozen=True, slots=True)
class _Found:
    """level: the least (gain +1) or largest (gain -1) input at which the condition holds."""

    level: Tensor
    gain: Tensor


def _search(
    cone: Cone,
    arithmetic: Arithmetic,
    condition: Callable[[Tensor], Tensor],
    inputs: _Inputs,
    shape: list[int],
) -> _Found:
    """Bisection, element by element. What always holds has the lowest level; what never does, gain -1 and one below."""

    def holds(k: Tensor) -> Tensor:
        return condition(cone.run(inputs.at(k), arithmetic)).expand(shape)

    down = torch.full(shape, inputs.low, dtype=torch.int64)
    up = torch.full(shape, inputs.high, dtype=torch.int64)
    first, last = holds(down), holds(up)
    falls, always, never = first & ~last, first & last, ~first & ~last
    while bool((up > down + 1).any()):
        middle = (down >> 1) + (up >> 1) + (down & up & 1)  # their sum may not fit
        upper = holds(middle) ^ falls  # on the same side of the step as the upper end
        up, down = torch.where(upper, middle, up), torch.where(upper, down, middle)
    level = torch.where(falls, down, up)
    level = torch.where(always, inputs.low, torch.where(never, inputs.low - 1, level))
    return _Found(inputs.at(level), torch.where(falls | never, -1, 1))
