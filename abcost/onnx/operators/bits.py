"""Operators on the bits of whole numbers.

Constants are computed by torch. A number that depends on the network's input is taken apart by floors:

    bit i of x = floor(x / 2^i) - 2 floor(x / 2^(i + 1))

which holds for negative numbers too, in two's complement, bit n - 1 of n being worth -2^(n - 1).
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from abcost.onnx.op import Op
from abcost.onnx.registry import operator

MOST_BITS = 16
"""Numbers of more bits are not taken apart."""
_Pair = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


@operator("BitShift")
def bit_shift(op: Op) -> torch.Tensor:
    """X * 2^y cut to the bits of the type, or floor(x / 2^y); x and y are unsigned."""
    low, high = op.limits(0)
    if low:
        raise op.refuse("signed numbers are not shifted")
    direction = op.attr("direction", "")
    if direction not in ("LEFT", "RIGHT"):
        raise op.refuse(f"direction {direction!r} is neither LEFT nor RIGHT")
    factor = torch.exp2(torch.clamp(op[1], 0, 64).to(torch.float64))  # 2^64 leaves nothing of any number
    x = op[0].to(torch.float64)
    if direction == "RIGHT":
        return torch.floor(x / factor).to(torch.int64)
    if not op.live[0] and not op.live[1]:
        held = torch.bitwise_left_shift(op[0], torch.clamp(op[1], 0, 62))
        return torch.where(op[1] > 62, 0, held) & high
    span = float(high + 1)
    return (x * factor - torch.floor(x * factor / span) * span).to(torch.int64)


@operator("BitwiseNot")
def bitwise_not(op: Op) -> torch.Tensor:
    """Every bit turned: -1 - x of a signed number, (2^n - 1) - x of an unsigned one."""
    low, high = op.limits(0)
    return -1 - op[0] if low else high - op[0]


@operator("BitwiseAnd")
def bitwise_and(op: Op) -> torch.Tensor:
    """The bits that both have."""
    return _bitwise(op, torch.bitwise_and, lambda a, b: torch.where(a, b, torch.zeros_like(b)))


@operator("BitwiseOr")
def bitwise_or(op: Op) -> torch.Tensor:
    """The bits that either has."""
    return _bitwise(op, torch.bitwise_or, lambda a, b: torch.where(a, torch.ones_like(b), b))


@operator("BitwiseXor")
def bitwise_xor(op: Op) -> torch.Tensor:
    """The bits that one of the two has."""
    return _bitwise(op, torch.bitwise_xor, lambda a, b: torch.where(a, torch.logical_not(b), b))


def _bitwise(op: Op, held: _Pair, pair: _Pair) -> torch.Tensor:
    low, high = op.limits(0)
    if not op.live[0] and not op.live[1]:
        return held(op[0], op[1])
    bits = (high - low).bit_length()
    if bits > MOST_BITS:
        raise op.refuse(
            f"bits of numbers of {bits} bits that are computed from the input; up to {MOST_BITS} are supported"
        )
    total = None
    for place in range(bits):
        flag = pair(_bit(op[0], place), _bit(op[1], place))
        worth = -(2.0**place) if low and place == bits - 1 else 2.0**place
        part = flag.to(torch.float64) * worth
        total = part if total is None else total + part
    assert total is not None  # noqa: S101 - every type has a bit
    return total.to(torch.int64)


def _bit(x: torch.Tensor, place: int) -> torch.Tensor:
    """Whether the bit is set."""
    real = x.to(torch.float64)
    return torch.floor(real * 2.0**-place) - 2 * torch.floor(real * 2.0 ** -(place + 1)) >= 1
