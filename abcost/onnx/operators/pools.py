"""Pools and reductions."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

import torch
import torch.nn.functional as F

from abcost.onnx.op import Op
from abcost.onnx.registry import operator, operators
from abcost.onnx.windows import padded

_MAX = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
_AVERAGE = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}


def _kernel(op: Op, x: torch.Tensor) -> list[int]:
    kernel = list(op.attr("kernel_shape") or [])
    if len(kernel) not in _MAX or x.dim() != len(kernel) + 2:
        raise op.refuse(f"a window of {kernel} on an input of {x.dim()} axes is not supported")
    return kernel


@operator("MaxPool")
def max_pool(op: Op) -> torch.Tensor:
    """The largest of a window; padding never wins. Whole numbers stay whole."""
    if not op[0].is_floating_point():
        return _largest(op, op[0].to(torch.float64)).to(torch.int64)
    return _largest(op, op[0])


def _largest(op: Op, x: torch.Tensor) -> torch.Tensor:
    kernel = _kernel(op, x)
    ones = [1] * len(kernel)
    strides, dilations = list(op.attr("strides", ones)), list(op.attr("dilations", ones))
    x, padding = padded(op, x, kernel, strides, dilations, -inf)
    ceil_mode = bool(op.attr("ceil_mode", 0))
    return _MAX[len(kernel)](x, kernel, strides, padding, dilations, ceil_mode)


@operator("AveragePool")
def average_pool(op: Op) -> torch.Tensor:
    """The mean of a window, with or without what was padded."""
    return average(op, op[0])


def average(op: Op, x: torch.Tensor) -> torch.Tensor:
    """The mean of a window of x, with the attributes of the node."""
    kernel = _kernel(op, x)
    ones = [1] * len(kernel)
    strides, dilations = list(op.attr("strides", ones)), list(op.attr("dilations", ones))
    if dilations != ones:
        raise op.refuse("a dilated average is not supported")
    with_padding = bool(op.attr("count_include_pad", 0))
    whole = x
    x, padding = padded(op, x, kernel, strides, dilations)
    if x is not whole and not with_padding:
        raise op.refuse(
            "a divisor that varies at the border (unequal pads, count_include_pad 0) is not supported"
        )
    return _AVERAGE[len(kernel)](x, kernel, strides, padding, bool(op.attr("ceil_mode", 0)), with_padding)


@operator("GlobalAveragePool")
def global_average_pool(op: Op) -> torch.Tensor:
    """The mean over all positions."""
    return over_positions(op[0])


def over_positions(x: torch.Tensor) -> torch.Tensor:
    """The mean over all axes but the first two, which stay."""
    return x.mean(dim=list(range(2, x.dim())), keepdim=True)


@operator("GlobalMaxPool")
def global_max_pool(op: Op) -> torch.Tensor:
    """The largest of all positions."""
    return op[0].amax(dim=list(range(2, op[0].dim())), keepdim=True)


def _product(x: torch.Tensor, dim: list[int], keepdim: bool) -> torch.Tensor:  # noqa: FBT001 - as torch's
    for axis in sorted(dim, reverse=True):
        x = x.prod(dim=axis, keepdim=keepdim)
    return x


_REDUCTIONS: dict[str, Callable[..., torch.Tensor]] = {
    "ReduceL1": lambda x, dim, keepdim: x.abs().sum(dim=dim, keepdim=keepdim),
    "ReduceL2": lambda x, dim, keepdim: (x * x).sum(dim=dim, keepdim=keepdim).sqrt(),
    "ReduceMax": torch.amax,
    "ReduceMean": torch.mean,
    "ReduceMin": torch.amin,
    "ReduceProd": _product,
    "ReduceSum": torch.sum,
    "ReduceSumSquare": lambda x, dim, keepdim: (x * x).sum(dim=dim, keepdim=keepdim),
}


def _reduction(name: str, function: Callable[..., torch.Tensor]) -> None:
    def reduced(op: Op) -> torch.Tensor:
        axes = op.axes(1)
        if not axes:
            if op.attr("noop_with_empty_axes", 0):
                return op[0]
            axes = list(range(op[0].dim()))
        axes = [axis % max(1, op[0].dim()) for axis in axes]
        return function(op[0], dim=axes, keepdim=bool(op.attr("keepdims", 1)))

    operators.add(name)(reduced)


for _name, _function in _REDUCTIONS.items():
    _reduction(_name, _function)
