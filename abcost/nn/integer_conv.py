"""Convolution of signs with binary weights in 8-bit integers, in training."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

FEWEST_PRODUCTS = 10**8  # with fewer, the calls cost more than they save
FEWEST_POSITIONS = 2048  # of a batch; with fewer, packing a weight of more than one tap does

# whether processor and torch have what `convolve_signs` needs; a constant, so that torch.compile need not ask
MULTIPLIES_BYTES = bool(torch.cpu.get_capabilities().get("avx512_vnni")) and hasattr(
    torch.ops.onednn, "qconv_pointwise"
)


def convolves_signs_faster(x: Tensor, weight: Tensor, stride: int) -> bool:
    """Whether `convolve_signs` is there and pays: single precision on a CPU that multiplies bytes."""
    if x.device.type != "cpu" or not MULTIPLIES_BYTES:
        return False
    positions = x.shape[0] * -(-x.shape[2] // stride) * -(-x.shape[3] // stride)
    large = positions * weight.numel() >= FEWEST_PRODUCTS
    single = x.dtype == weight.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
    return single and large and (positions >= FEWEST_POSITIONS or weight.shape[-1] == 1)


def convolve_signs(x: Tensor, weight: Tensor, stride: int) -> Tensor:
    """conv(x, weight), padded by half the (odd) kernel size.

    x: (N, in, H, W), values -1, 0, +1;  weight: (out, in, k, k), values -s, 0, +s with one s per output channel;
    result: (N, out, ceil(H/stride), ceil(W/stride)), channels last.  The sum of products is a whole number and comes
    out exactly, as in hardware; s multiplies it. The gradients are those of the convolution, in floating point.
    """
    result: Tensor = torch.ops.abcost.convolve_signs(x, weight, stride)
    return result


# an operator of torch's, for the library's own cannot be compiled
@torch.library.custom_op("abcost::convolve_signs", mutates_args=())
def _convolve_signs(x: Tensor, weight: Tensor, stride: int) -> Tensor:
    padding = weight.shape[2] // 2
    geometry = ([stride, stride], [padding, padding], [1, 1], 1)  # dilation 1, one group
    scales = torch.linalg.vector_norm(weight, math.inf, dim=(1, 2, 3))  # s
    zeros = torch.zeros_like(scales, dtype=torch.int32)
    bytes_in = x.to(torch.int8).add_(1).view(torch.uint8)  # the library takes bytes without sign: 0, 1, 2
    codes = weight.sign().to(torch.int8)
    packed = torch.ops.onednn.qconv_prepack(codes, scales, 1.0, 1, *geometry, list(x.shape))
    result: Tensor = torch.ops.onednn.qconv_pointwise(
        bytes_in, 1.0, 1, packed, scales, zeros, None, *geometry, 1.0, 0, torch.float32, "none", [], ""
    )
    return result.contiguous(memory_format=torch.channels_last)


@_convolve_signs.register_fake
def _shape(x: Tensor, weight: Tensor, stride: int) -> Tensor:
    n, _, height, width = x.shape
    shape = (n, weight.shape[0], -(-height // stride), -(-width // stride))
    return x.new_empty(shape).contiguous(memory_format=torch.channels_last)


def _keep(ctx: Any, inputs: tuple[Tensor, Tensor, int], output: Tensor) -> None:  # noqa: ARG001
    x, weight, ctx.stride = inputs
    ctx.save_for_backward(x, weight)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
    x, weight = ctx.saved_tensors
    stride, padding = [ctx.stride] * 2, [weight.shape[2] // 2] * 2
    needed = [*ctx.needs_input_grad[:2], False]
    x_grad, weight_grad, _ = torch.ops.aten.convolution_backward(
        grad, x, weight, None, stride, padding, [1, 1], False, [0, 0], 1, needed
    )
    return x_grad, weight_grad, None


_convolve_signs.register_autograd(_backward, setup_context=_keep)
