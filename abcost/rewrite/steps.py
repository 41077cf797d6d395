"""Where a monotone function of single elements steps from one value to the next, found by running it.

The level in floating point is the least float64 at which the step is made, the one in fixed point the least multiple of
2**-F, or the least whole number where the input holds nothing else. So a comparison with it decides what the function
decides, to the bit, in both.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from abcost.core.cone import Cone
from abcost.core.graph import OpGraph
from abcost.core.interpret import FixedPoint, Floating
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
MOST_CHAIN = 12
_LARGEST = 2**16
"""Elements of a tensor of levels."""


@dataclass(frozen=True, slots=True)
class Step:
    """`level`: where it is, broadcast to the input. `gain`: +1 where the step is up, -1 where it is down; None: all up."""

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
    graph: OpGraph, nodes: tuple[OpNode, ...], reached: list[Callable[[Tensor], Tensor]], fraction_bits: int
) -> list[Step] | None:
    """Where the chain `nodes` comes to be `reached`, a condition on its value, one step for each condition.

    Each condition must hold from some value of the chain on upwards. None if the arithmetic cannot hold the chain.
    """
    root = graph.sources(nodes[0])[0]
    cone = Cone(graph, root, nodes)
    shape = _shape(nodes)
    if shape is None:
        return None
    grid = graph.values(root).code
    whole = grid if grid is not None and grid.whole and grid.bits < 50 else None
    limit = None if whole is not None else _limit(nodes, fraction_bits)
    steps = []
    for condition in reached:
        fixed, floating = FixedPoint(fraction_bits), Floating(hardware_sign=True)
        try:
            if whole is not None:
                exact = _search_whole(lambda x: condition(cone.run(x, fixed)), whole, shape)  # noqa: B023
                real = _search_whole(lambda x: condition(cone.run(x, floating)), whole, shape)  # noqa: B023
            else:
                assert limit is not None
                exact = _search_grid(
                    lambda x: condition(cone.run(x, fixed)),
                    limit,
                    2.0**-fraction_bits,
                    shape,
                )
                real = _search_real(lambda x: condition(cone.run(x, floating)), limit, shape)  # noqa: B023
        except GraphError:
            return None
        if not torch.equal(exact.gain, real.gain):
            return None  # rounded constants turn the function round, or flatten it
        gain = None if bool((exact.gain == 1).all()) else Constant(exact.gain.to(torch.int8), binary=True)
        steps.append(Step(Constant(real.level, fixed=exact.level), gain))
    return steps


def _shape(nodes: tuple[OpNode, ...]) -> list[int] | None:
    shapes = [tuple(c.values.shape) for node in nodes for role, c in node.consts.items() if role != "levels"]
    shape = list(torch.broadcast_shapes(*shapes)) if shapes else [1]
    return shape if torch.Size(shape).numel() <= _LARGEST else None


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
class _Found:
    """level: the least (gain +1) or largest (gain -1) input at which the condition holds."""

    level: Tensor
    gain: Tensor


def _directions(low: Tensor, high: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """From the condition at both ends: where it falls, always holds, never holds."""
    return low & ~high, low & high, ~low & ~high


def _search(
    holds: Callable[[Tensor], Tensor], at: Callable[[Tensor], Tensor], low: int, high: int, shape: list[int]
) -> _Found:
    """Bisection over whole numbers low … high, element by element; `at` makes an input of one."""
    down = torch.full(shape, low, dtype=torch.int64)
    up = torch.full(shape, high, dtype=torch.int64)
    first, last = holds(at(down)).expand(shape), holds(at(up)).expand(shape)
    falls, always, never = _directions(first, last)
    while bool((up > down + 1).any()):
        middle = (down >> 1) + (up >> 1) + (down & up & 1)  # their sum may not fit
        holding = holds(at(middle)).expand(shape)
        upper = holding ^ falls  # on the same side of the step as the upper end
        up, down = torch.where(upper, middle, up), torch.where(upper, down, middle)
    level = torch.where(falls, down, up)
    level = torch.where(always, low, torch.where(never, low - 1, level))
    return _Found(at(level), torch.where(falls | never, -1, 1))


def _search_whole(holds: Callable[[Tensor], Tensor], grid: Grid, shape: list[int]) -> _Found:
    """Over the whole numbers of a grid."""
    ends = sorted(float(grid.scale) * k + float(grid.offset) for k in (grid.low, grid.high))
    return _search(holds, lambda k: k.to(torch.float64), int(ends[0]), int(ends[1]), shape)


def _search_grid(holds: Callable[[Tensor], Tensor], limit: float, step: float, shape: list[int]) -> _Found:
    """Over multiples of a step."""
    return _search(holds, lambda k: k.to(torch.float64) * step, int(-limit / step), int(limit / step), shape)


def _search_real(holds: Callable[[Tensor], Tensor], limit: float, shape: list[int]) -> _Found:
    """Over float64 numbers, in their order: as whole numbers of the same order."""
    end = int(torch.tensor(limit, dtype=torch.float64).view(torch.int64))

    def at(order: Tensor) -> Tensor:
        magnitude = order.abs().view(torch.float64)
        return torch.where(order < 0, -magnitude, magnitude)

    return _search(holds, at, -end, end, shape)
