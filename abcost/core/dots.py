"""What a dot product is in hardware, from the values of both operands.

With a = s_a * u + o_a and w = s_w * v + o_w, u and v whole numbers of m and n bits:

    sum(a * w) = s_a * s_w * sum(u * v) + s_a * o_w * sum(u) + s_w * o_a * sum(v) + K * o_a * o_w

sum(v) is known offline, sum(u) is shared by all channels, and scales move behind the sum. They may only where they
are the same for all that is summed: per tensor, per image, per output channel, per channel of a depthwise convolution;
never per input channel. Zero padding leaves products out, which hardware corrects at the border.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from abcost.core.constants import constant_values
from abcost.core.kinds import DotArithmetic, OpKind
from abcost.core.node import Constant, OpNode
from abcost.core.values import Grid, Values

MOST_CODE_BITS = 8
"""Operands of more bits are fixed-point numbers of the residual path's width."""
MOST_PLANES = 4
"""Products of bits of both operands up to which bit planes are counted: four popcounts, not a multiplier."""


@dataclass(frozen=True, slots=True)
class DotProduct:
    """The arithmetic, and the bits of an element of each operand; None: a fixed-point number of the residual path."""

    arithmetic: DotArithmetic
    left: int | None
    right: int | None

    def bits(self, real_width: int) -> tuple[int, int]:
        """Bits of both operands where a real element has `real_width`."""
        return (
            real_width if self.left is None else self.left,
            real_width if self.right is None else self.right,
        )


def dot_product(node: OpNode, inputs: Sequence[Values], shapes: Sequence[tuple[int, ...]]) -> DotProduct:
    """What `node` is, given the values and shapes of what it reads."""
    weight = node.const("weight")
    left = _code(node, inputs[0], shapes[0], slot=0)
    right = _code(node, inputs[1], shapes[1], slot=1) if weight is None else _weight_code(weight)
    return DotProduct(
        _arithmetic(left, right),
        None if left is None else left.bits,
        None if right is None else right.bits,
    )


def _arithmetic(left: Grid | None, right: Grid | None) -> DotArithmetic:
    bits = [None if grid is None else grid.bits for grid in (left, right)]
    if bits == [1, 1]:
        return DotArithmetic.XNOR
    if bits == [1, 2] and right is not None and right.ternary:
        return DotArithmetic.MASKED
    few = [b for b in bits if b is not None]
    if len(few) == 2 and few[0] * few[1] <= MOST_PLANES:
        return DotArithmetic.PLANES
    if 1 in bits or (right is not None and right.ternary):
        return DotArithmetic.SIGNED_ADD
    return DotArithmetic.NARROW if len(few) == 2 else DotArithmetic.REAL


def _code(node: OpNode, values: Values, shape: tuple[int, ...], slot: int) -> Grid | None:
    """The grid of an activation, if its scale is the same for all that is summed."""
    grid = values.grid
    if grid is None or grid.bits > MOST_CODE_BITS:
        return None
    if grid.uniform:
        return grid
    axes = set() if grid.varies is None else set(grid.varies)
    for part in (grid.scale, grid.offset):
        axes |= {-n for n, size in enumerate(reversed(part.shape), start=1) if size > 1}
    return grid if axes <= free_axes(node, shape, slot) else None


def free_axes(node: OpNode, shape: tuple[int, ...], slot: int = 0) -> set[int]:
    """Axes of an operand, counted from the last, along which a scale may differ and still move behind the sum."""
    every = {-n for n in range(1, len(shape) + 1)}
    match node.kind:
        case OpKind.CONV:
            depthwise = node.consts["weight"].values.shape[1] == 1 and not node.attrs.get("transposed", False)
            channel = 1 - len(shape)
            return {-len(shape)} | ({channel} if depthwise else set())
        case OpKind.LINEAR:
            return every - {-1}
        case _:
            return every - {-1 if slot == 0 else -2}


def _weight_code(weight: Constant) -> Grid | None:
    """The grid of a weight that is held in whole numbers, its scale taken out of the product."""
    held = not weight.values.is_floating_point() and weight.scale is None
    grid = constant_values(weight).grid if held or weight.binary else None
    return grid if grid is not None and grid.bits <= MOST_CODE_BITS else None
