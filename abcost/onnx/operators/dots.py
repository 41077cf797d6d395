"""Convolutions and matrix products."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from abcost.onnx.op import Op
from abcost.onnx.registry import operator
from abcost.onnx.windows import padded

_CONVOLUTIONS = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}


def _axes(op: Op, x: torch.Tensor, weight: torch.Tensor) -> int:
    """Axes of the window: 1, 2 or 3."""
    axes = weight.dim() - 2
    if axes not in _CONVOLUTIONS or x.dim() != axes + 2:
        raise op.refuse(f"an input of {x.dim()} axes and a weight of {weight.dim()} are not supported")
    return axes


@operator("Conv")
def conv(op: Op) -> torch.Tensor:
    """conv(x, weight) + bias, of 1 to 3 axes; weight: (out, in/groups, *kernel)."""
    return convolve(op, op[0], op[1], _bias(op))


def convolve(op: Op, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """conv(x, weight) + bias with the attributes of the node: strides, pads, dilations, group."""
    axes, kernel = _axes(op, x, weight), list(weight.shape[2:])
    strides, dilations = list(op.attr("strides", [1] * axes)), list(op.attr("dilations", [1] * axes))
    x, padding = padded(op, x, kernel, strides, dilations)
    return _CONVOLUTIONS[axes](x, weight, bias, strides, padding, dilations, int(op.attr("group", 1)))


@operator("ConvTranspose")
def conv_transpose(op: Op) -> torch.Tensor:
    """Transposed convolution; weight: (in, out/groups, *kernel)."""
    axes = _axes(op, op[0], op[1])
    strides, dilations = list(op.attr("strides", [1] * axes)), list(op.attr("dilations", [1] * axes))
    pads, extra = list(op.attr("pads", [0] * 2 * axes)), list(op.attr("output_padding", [0] * axes))
    if op.attr("auto_pad", "NOTSET") != "NOTSET" or op.attr("output_shape") or pads[:axes] != pads[axes:]:
        raise op.refuse("only equal explicit pads on both sides are supported")
    groups = int(op.attr("group", 1))
    return _TRANSPOSED[axes](op[0], op[1], _bias(op), strides, pads[:axes], extra, groups, dilations)


def _bias(op: Op) -> torch.Tensor | None:
    """The bias; one that is spread from a single 0 is how torch's exporter writes that there is none."""
    bias = op.get(2)
    spread = bias is not None and op.constant(2) and bias.dim() == 1 and bias.stride() == (0,)
    return None if bias is None or (spread and not bool(bias[0])) else bias


@operator("Gemm")
def gemm(op: Op) -> torch.Tensor:
    """Alpha * A' @ B' + beta * C, where ' transposes if asked for."""
    a = op[0].t() if op.attr("transA", 0) else op[0]
    weight = op[1] if op.attr("transB", 0) else op[1].t()  # (out, in), as torch has it
    alpha, beta, bias = float(op.attr("alpha", 1.0)), float(op.attr("beta", 1.0)), op.get(2)
    if alpha != 1.0:
        weight = weight * alpha
    if bias is None or beta == 0.0:
        return F.linear(a, weight)
    bias = bias if beta == 1.0 else bias * beta
    if op.constant(2) and _one_row(bias.shape, weight.shape[0]):
        return F.linear(a, weight, bias.reshape(-1).expand(weight.shape[0]))
    return F.linear(a, weight) + bias


def _one_row(shape: Sequence[int], outputs: int) -> bool:
    """Whether every row of the result gets the same bias."""
    return all(size == 1 for size in shape[:-1]) and (not shape or shape[-1] in (1, outputs))


@operator("MatMul")
def matmul(op: Op) -> torch.Tensor:
    """Numpy's matmul; a constant on the left is turned to the right, where torch has its linear layers."""
    return multiply(op[0], op[1], (not op.constant(0), not op.constant(1)))


def multiply(left: torch.Tensor, right: torch.Tensor, live: tuple[bool, bool]) -> torch.Tensor:
    """Left @ right, of which `live` are computed from the network's input."""
    if not live[1] and right.dim() == 2 and left.dim() > 2:
        return _rows_by(left, right)
    if live == (False, True) and left.dim() == 2 and right.dim() >= 2:
        return _rows_by(right.transpose(-1, -2), left.t()).transpose(-1, -2)
    return torch.matmul(left, right)


def _rows_by(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """(…, K) @ (K, N), with all rows in one product."""
    return torch.mm(x.reshape(-1, x.shape[-1]), weight).reshape(*x.shape[:-1], weight.shape[1])
