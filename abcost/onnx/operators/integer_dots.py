"""Convolutions and matrix products of whole numbers.

    sum((x - zx) * (w - zw)), accumulated exactly (float64), then requantised or multiplied by the scales

A constant zero point is taken from x first, so that both operands are small whole numbers. One that is computed from
the input (dynamic quantisation) goes behind the sum, as hardware has it: sum(x * w') - zx * sum(w'), w' = w - zw.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from abcost.onnx.op import Op
from abcost.onnx.operators.dots import convolve, multiply
from abcost.onnx.operators.quantise import dynamic_quantize_linear
from abcost.onnx.quantisation import centred, is_number, limits, ratio, spread, whole
from abcost.onnx.registry import operator

_Dot = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def _products(
    op: Op, x: int, zero: int, weight: torch.Tensor, dot: _Dot, sums: Callable[[torch.Tensor], torch.Tensor]
) -> torch.Tensor:
    """dot(x - zero, weight) in float64; sums(weight): dot(ones, weight), for a zero point that is computed."""
    zeros = op.get(zero)
    weight = weight.to(torch.float64)
    if zeros is None or not op.live[zero] or zeros.numel() != 1:
        return dot(centred(op, x, zero, axis=-2).to(torch.float64), weight)
    return dot(op[x].to(torch.float64), weight) - zeros.reshape(()).to(torch.float64) * sums(weight)


def _convolution(op: Op, x: int, xz: int, w: int, wz: int, bias: torch.Tensor | None = None) -> torch.Tensor:
    weight = centred(op, w, wz, axis=0)
    ones = torch.ones((1, *op[x].shape[1:]), dtype=torch.float64)
    added = None if bias is None else bias.to(torch.float64)

    def dot(values: torch.Tensor, held: torch.Tensor) -> torch.Tensor:
        return convolve(op, values, held, added)

    return _products(op, x, xz, weight, dot, lambda held: convolve(op, ones, held))


def _matrices(op: Op, a: int, az: int, b: int, bz: int) -> torch.Tensor:
    """A @ B; zero points of B: one, or one for each column."""
    right = centred(op, b, bz, axis=-1)
    live = (op.live[a], op.live[b])
    return _products(
        op,
        a,
        az,
        right,
        lambda x, held: multiply(x, held, live),
        lambda held: held.sum(dim=-2, keepdim=held.dim() > 2),
    )


@operator("ConvInteger")
def conv_integer(op: Op) -> torch.Tensor:
    """Inputs: x, w, zero point of x, zero point of w (one, or one for each output channel)."""
    return _convolution(op, 0, 2, 1, 3).to(torch.int64)


@operator("MatMulInteger")
def matmul_integer(op: Op) -> torch.Tensor:
    """Inputs: A, B, zero point of A (one, or one for each row), zero point of B (one, or one for each column)."""
    return _matrices(op, 0, 2, 1, 3).to(torch.int64)


@operator("QLinearConv")
def qlinear_conv(op: Op) -> torch.Tensor:
    """Inputs: x, its scale and zero point, w, its scales and zero points, scale and zero point of y, bias (int32)."""
    total = _convolution(op, 0, 2, 3, 5, op.get(8)).to(op.dtype)
    return _requantised(op, total, (1, 4), 6, axis=1)


@operator("QLinearMatMul")
def qlinear_matmul(op: Op) -> torch.Tensor:
    """Inputs: a, its scale and zero point, b, its scale and zero point, scale and zero point of y."""
    return _requantised(op, _matrices(op, 0, 2, 3, 5).to(op.dtype), (1, 4), 6, axis=-1)


def _requantised(op: Op, total: torch.Tensor, scales: tuple[int, ...], y: int, axis: int) -> torch.Tensor:
    """saturate(round(total * scales / scale of y) + zero point of y)."""
    factor = spread(op, ratio(op, scales, y), total, axis)
    return whole(op, total * factor, y + 1, limits(op, y + 1))


@operator("ms.QGemm")
def qgemm(op: Op) -> torch.Tensor:
    """Alpha * A' @ B' + C. Inputs: A, scale, zero point, B, scale, zero point, C (int32), scale and zero point of y.

    C is in units of alpha * scale of A * scale of B. Without a scale of y the result is real.
    """
    if op.attr("transA", 0):
        raise op.refuse("transA is not supported")
    live = (op.live[0], op.live[3])
    flipped = bool(op.attr("transB", 0))
    right = (centred(op, 3, 5, axis=0 if flipped else 1)).to(torch.float64)
    right = right.t() if flipped else right
    total = _products(op, 0, 2, right, lambda x, held: multiply(x, held, live), lambda held: held.sum(dim=0))
    bias = op.get(6)
    total = (total if bias is None else total + bias.to(torch.float64)).to(op.dtype)
    alpha = float(op.attr("alpha", 1.0))
    scale = op[1] * op[4] if alpha == 1.0 else alpha * op[1] * op[4]
    if op.get(7) is None:
        return total * spread(op, scale, total, -1)
    return whole(op, total * spread(op, scale / op[7], total, -1), 8, limits(op, 8))


@operator("ms.MatMulIntegerToFloat")
def matmul_integer_to_float(op: Op) -> torch.Tensor:
    """Inputs: A, B, scale of A, scale of B (one, or one for each column), zero points of A and of B, bias."""
    return _to_real(op, _matrices(op, 0, 4, 1, 5).to(op.dtype), op[2].reshape(()) * op[3], 6)


@operator("ms.DynamicQuantizeMatMul")
def dynamic_quantize_matmul(op: Op) -> torch.Tensor:
    """DynamicQuantizeLinear of A, then MatMulIntegerToFloat. Inputs: A, B, scale of B, zero point of B, bias."""
    values, scale, zero = dynamic_quantize_linear(op)
    right = centred(op, 1, 3, axis=-1).to(torch.float64)
    total = multiply(values.to(torch.float64), right, (op.live[0], op.live[1]))
    total = total - zero.to(torch.float64) * right.sum(dim=-2)
    return _to_real(op, total.to(op.dtype), scale * op[2], 4)


def _to_real(op: Op, total: torch.Tensor, scale: torch.Tensor, bias: int) -> torch.Tensor:
    result = total * spread(op, scale, total, -1)
    added = op.get(bias)
    return result if added is None or is_number(op, bias, 0) else result + added
