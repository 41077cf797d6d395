"""Whole numbers for real ones: q = saturate(round(x / scale) + zero point), and back: (q - zero point) * scale.

Rounding is half to even; a number beyond the type's limits becomes the limit. A zero point of 0 and a scale of 1 are no
operations. Zero points that are constant are taken into the limits,
clamp(round(x / scale), low - zero, high - zero) + zero, so that nothing is left of it in a reader that takes it away.
"""

from __future__ import annotations

import torch

from abcost.onnx.op import Op


def spread(op: Op, value: torch.Tensor, x: torch.Tensor, axis: int = 1, block: int = 0) -> torch.Tensor:
    """A scale or zero point as it meets x: one number, one for each index of an axis, or for each block along it."""
    if value.numel() == 1:
        return value.reshape(())
    if not -x.dim() <= axis < x.dim():
        raise op.refuse(f"axis {axis} of an input of {x.dim()} axes")
    axis %= x.dim()
    if block > 0:
        size = x.shape[axis]
        whole = value.repeat_interleave(min(block, size), dim=axis)
        return whole.narrow(axis, 0, size)
    if value.dim() != 1:
        return value
    if value.shape[0] != x.shape[axis]:
        raise op.refuse(f"{value.shape[0]} scales or zero points for {x.shape[axis]} indices of axis {axis}")
    return value.reshape(-1, *[1] * (x.dim() - axis - 1))


def is_number(op: Op, position: int, number: float) -> bool:
    """Whether an input is left out or this constant everywhere."""
    value = op.get(position)
    return value is None or (not op.live[position] and bool((value == number).all()))


def centred(op: Op, x: int, zero: int, axis: int = 1, block: int = 0) -> torch.Tensor:
    """Input x without its zero point: whole numbers."""
    value = op[x]
    if is_number(op, zero, 0):
        return value
    return value - spread(op, op[zero], value, axis, block)


def real(op: Op, x: int, *, axis: int = 1, block: int = 0) -> torch.Tensor:
    """(x - zero point) * scale, of the inputs x, x + 1 (scale) and x + 2 (zero point)."""
    whole = centred(op, x, x + 2, axis, block).to(op.dtype)
    return whole if is_number(op, x + 1, 1) else whole * spread(op, op[x + 1], whole, axis, block)


def ratio(op: Op, above: tuple[int, ...], below: int) -> torch.Tensor:
    """The product of some scales through another: what a sum of products is multiplied by."""
    scale = op[above[0]]
    for position in above[1:]:
        scale = scale * op[position]
    return scale / op[below]


def whole(
    op: Op, y: torch.Tensor, zero: int, limits: tuple[int, int], *, axis: int = 1, block: int = 0
) -> torch.Tensor:
    """saturate(round(y) + zero point), y being in units of the scale already."""
    low, high = limits
    rounded, zeros = torch.round(y), op.get(zero)
    if zeros is None or is_number(op, zero, 0):
        return torch.clamp(rounded, low, high).to(torch.int64)
    if zeros.numel() == 1 and not op.live[zero]:
        number = int(zeros)
        return torch.clamp(rounded, low - number, high - number).to(torch.int64) + number
    return torch.clamp(rounded + spread(op, zeros, y, axis, block).to(y.dtype), low, high).to(torch.int64)


def whole_after(op: Op, y: torch.Tensor, scale: int) -> torch.Tensor:
    """saturate(round(y + zero point)): an odd zero point turns the rounding of ties round."""
    shifted = y if is_number(op, scale + 1, 0) else y + op[scale + 1].reshape(()).to(y.dtype)
    return torch.clamp(torch.round(shifted), *limits(op, scale + 1)).to(torch.int64)


def quantised(op: Op, y: torch.Tensor, scale: int) -> torch.Tensor:
    """saturate(round(y / scale) + zero point), with the type of the zero point, which is the input behind the scale."""
    divided = y if is_number(op, scale, 1) else y / op[scale].reshape(())
    return whole(op, divided, scale + 1, limits(op, scale + 1))


def limits(op: Op, zero: int) -> tuple[int, int]:
    """Least and largest number of a zero point's type; of uint8 where there is none."""
    return (0, 255) if op.get(zero) is None else op.limits(zero)
