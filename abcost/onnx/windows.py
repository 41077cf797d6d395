"""Padding of windows, which ONNX says in three ways."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from abcost.onnx.op import Op


def padded(
    op: Op,
    x: torch.Tensor,
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    value: float = 0.0,
) -> tuple[torch.Tensor, list[int]]:
    """X and the padding of both sides per axis; x is padded itself where the sides differ."""
    axes = len(kernel)
    for name, given in (
        ("strides", strides),
        ("dilations", dilations),
        ("kernel_shape", op.attr("kernel_shape", kernel)),
    ):
        if len(given) != axes or any(size < 1 for size in given):
            raise op.refuse(f"{name} {list(given)} does not fit a window of {axes} axes")
    begin, end = _pads(op, x, kernel, strides, dilations)
    if begin == end:
        return x, begin
    sides = [side for pair in zip(reversed(begin), reversed(end), strict=True) for side in pair]
    return F.pad(x, sides, value=value), [0] * axes


def _pads(
    op: Op, x: torch.Tensor, kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> tuple[list[int], list[int]]:
    axes, mode = len(kernel), op.attr("auto_pad", "NOTSET")
    if mode == "VALID":
        return [0] * axes, [0] * axes
    if mode == "NOTSET":
        pads = list(op.attr("pads", [0] * 2 * axes))
        if len(pads) != 2 * axes or min(pads) < 0:
            raise op.refuse(f"pads {pads} are not two sizes of at least 0 for each of {axes} axes")
        return pads[:axes], pads[axes:]
    if mode not in ("SAME_UPPER", "SAME_LOWER"):
        raise op.refuse(f"auto_pad {mode!r} is not one of NOTSET, VALID, SAME_UPPER, SAME_LOWER")
    begin, end = [], []
    for size, k, stride, dilation in zip(x.shape[-axes:], kernel, strides, dilations, strict=True):
        total = max(0, (-(-size // stride) - 1) * stride + (k - 1) * dilation + 1 - size)
        less, more = total // 2, total - total // 2
        begin.append(less if mode == "SAME_UPPER" else more)
        end.append(more if mode == "SAME_UPPER" else less)
    return begin, end
