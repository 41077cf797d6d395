"""Convolution of small feature maps in training, tap by tap."""

from __future__ import annotations

from itertools import product
from typing import Any

import torch
from torch import Tensor

LARGEST_MAP = 16  # output positions
FEWEST_CHANNELS = 256  # with fewer, the calls cost more than they save

Span = tuple[slice, slice]  # outputs, and the inputs that they read
Index = tuple[slice, slice, slice]  # of a tensor (N, H, W, C)


def convolves_taps_faster(x: Tensor, weight: Tensor, stride: int) -> bool:
    """Whether `convolve_taps` is quicker than the library's convolution; measured on CPUs only."""
    positions = -(-x.shape[2] // stride) * -(-x.shape[3] // stride)
    wide = min(weight.shape[:2]) >= FEWEST_CHANNELS
    return x.device.type == "cpu" and weight.shape[-1] > 1 and positions <= LARGEST_MAP and wide


def convolve_taps(x: Tensor, weight: Tensor, stride: int) -> Tensor:
    """conv(x, weight), padded by half the (odd) kernel size, as one matrix product per tap.

    x: (N, in, H, W);  weight: (out, in, k, k);  result: (N, out, ceil(H/stride), ceil(W/stride)), all channels last.
    What a tap reads from the padding is left out: 5 products of 9 if k is 3 and the map 2x2. The library computes
    those, and is slow at the gradient of the weight, a sum over few positions: with 1024 channels on 2x2 five times as
    slow, with 512 on 4x4 twice, in bfloat16 three times.
    """
    if torch.is_autocast_enabled(x.device.type):
        dtype = torch.get_autocast_dtype(x.device.type)
        x, weight = x.to(dtype), weight.to(dtype)
    result: Tensor = torch.ops.abcost.convolve_taps(x, weight, stride)
    return result


def spans(size: int, kernel: int, stride: int) -> list[Span | None]:
    """One axis, tap by tap: the outputs that see an input under it, and these inputs; None if there are none.

    >>> spans(2, 3, 1)[0]  # under the first tap, only the second output sees an input: the first
    (slice(1, 2, None), slice(0, 1, 1))
    """
    found: list[Span | None] = []
    for tap in range(kernel):
        offset = tap - kernel // 2  # output o reads input stride*o + offset
        first = max(0, -(offset // stride))
        last = min(-(-size // stride) - 1, (size - 1 - offset) // stride)
        reads = slice(stride * first + offset, stride * last + offset + 1, stride)
        found.append((slice(first, last + 1), reads) if first <= last else None)
    return found


def _taps(x: Tensor, weight: Tensor, stride: int) -> list[tuple[tuple[int, int], Index, Index]]:
    """(Position in the kernel, outputs, inputs) of every tap that reads an input."""
    rows, columns = (spans(size, weight.shape[2], stride) for size in x.shape[2:])
    every = slice(None)
    return [
        ((i, j), (every, row[0], column[0]), (every, row[1], column[1]))
        for (i, row), (j, column) in product(enumerate(rows), enumerate(columns))
        if row is not None and column is not None
    ]


def _last(x: Tensor) -> Tensor:
    """(a, b, c, d) -> (a, c, d, b), laid out so: rows of unit stride, or products take many times as long."""
    return x.contiguous(memory_format=torch.channels_last).permute(0, 2, 3, 1)


def _product(pixels: Tensor, matrix: Tensor) -> Tensor:
    """(N, H, W, a) @ (a, b) in one product; left to itself, torch copies the matrix for every row of a slice."""
    return (pixels.flatten(0, 2) @ matrix).reshape(*pixels.shape[:3], -1)


def _zeros(like: Tensor, *shape: int) -> Tensor:
    sums = torch.promote_types(like.dtype, torch.float32)  # of many products
    return like.new_zeros(shape, dtype=sums)


# operators of torch's: torch.compile would write out every tap of every layer, and take minutes for it
@torch.library.custom_op("abcost::convolve_taps", mutates_args=())
def _convolve(x: Tensor, weight: Tensor, stride: int) -> Tensor:
    pixels, kernel = _last(x), _last(weight).permute(1, 2, 3, 0)  # (N, H, W, in), (k, k, in, out)
    n, height, width, _ = pixels.shape
    result = _zeros(x, n, -(-height // stride), -(-width // stride), weight.shape[0])
    for tap, outputs, inputs in _taps(x, weight, stride):
        result[outputs] += _product(pixels[inputs], kernel[tap])
    return result.to(x.dtype).permute(0, 3, 1, 2)


@_convolve.register_fake
def _shape(x: Tensor, weight: Tensor, stride: int) -> Tensor:
    n, _, height, width = x.shape
    return x.new_empty((n, -(-height // stride), -(-width // stride), weight.shape[0])).permute(0, 3, 1, 2)


@torch.library.custom_op("abcost::convolve_taps_gradients", mutates_args=())
def _gradients(grad: Tensor, x: Tensor, weight: Tensor, stride: int) -> tuple[Tensor, Tensor]:
    pixels, grads = _last(x), _last(grad)
    kernel = _last(weight).permute(1, 2, 0, 3)  # (k, k, out, in)
    x_grad = _zeros(x, *pixels.shape)
    weight_grad = torch.zeros_like(kernel)
    for tap, outputs, inputs in _taps(x, weight, stride):
        x_grad[inputs] += _product(grads[outputs], kernel[tap])
        rows, read = grads[outputs].flatten(0, 2), pixels[inputs].flatten(0, 2)
        weight_grad[tap].addmm_(rows.t(), read, beta=0)
    return x_grad.to(x.dtype).permute(0, 3, 1, 2), weight_grad.permute(2, 3, 0, 1)


@_gradients.register_fake
def _shapes(_grad: Tensor, x: Tensor, weight: Tensor, _stride: int) -> tuple[Tensor, Tensor]:
    x_grad, weight_grad = (of.new_empty(_last(of).shape).permute(0, 3, 1, 2) for of in (x, weight))
    return x_grad, weight_grad


def _keep(ctx: Any, inputs: tuple[Tensor, Tensor, int], output: Tensor) -> None:  # noqa: ARG001
    x, weight, ctx.stride = inputs
    ctx.save_for_backward(x, weight)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
    x, weight = ctx.saved_tensors
    x_grad, weight_grad = torch.ops.abcost.convolve_taps_gradients(grad, x, weight, ctx.stride)
    return x_grad, weight_grad, None


_convolve.register_autograd(_backward, setup_context=_keep)
