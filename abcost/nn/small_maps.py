"""Convolution of small feature maps in training, tap by tap."""

from __future__ import annotations

from itertools import product

import torch
from torch import Tensor
from torch.autograd.function import BackwardCFunction, FunctionCtx

LARGEST_MAP = 4  # output positions
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
    those, and is slow at the gradient of the weight, a sum over few positions: with 1024 channels five times as slow.
    """
    if torch.is_autocast_enabled(x.device.type):
        dtype = torch.get_autocast_dtype(x.device.type)
        x, weight = x.to(dtype), weight.to(dtype)
    weight = weight.contiguous(memory_format=torch.channels_last)  # a tap is a matrix with unit stride then
    result: Tensor = _Taps.apply(x, weight, stride)  # type: ignore[no-untyped-call]
    return result


def spans(size: int, kernel: int, stride: int) -> list[Span | None]:
    """Along one axis, per tap: the outputs that see an input under it, and these inputs; None if there are none.

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


def _zeros(like: Tensor, *shape: int) -> Tensor:
    return like.new_zeros(
        shape, dtype=torch.promote_types(like.dtype, torch.float32)
    )  # sums of many products


class _Taps(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, weight: Tensor, stride: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride = stride  # type: ignore[attr-defined]
        pixels, kernel = x.permute(0, 2, 3, 1), weight.permute(2, 3, 1, 0)  # (N, H, W, in), (k, k, in, out)
        n, height, width, _ = pixels.shape
        result = _zeros(x, n, -(-height // stride), -(-width // stride), weight.shape[0])
        for tap, outputs, inputs in _taps(x, weight, stride):
            result[outputs] += pixels[inputs] @ kernel[tap]
        return result.to(x.dtype).permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx: BackwardCFunction, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        saved: tuple[Tensor, ...] = ctx.saved_tensors
        x, weight = saved
        stride: int = ctx.stride  # type: ignore[attr-defined]
        pixels, grads = x.permute(0, 2, 3, 1), grad.permute(0, 2, 3, 1)
        kernel = weight.permute(2, 3, 0, 1)  # (k, k, out, in)
        x_grad = _zeros(x, *pixels.shape)
        weight_grad = torch.zeros_like(weight).permute(2, 3, 0, 1)
        for tap, outputs, inputs in _taps(x, weight, stride):
            x_grad[inputs] += grads[outputs] @ kernel[tap]
            rows, read = grads[outputs].flatten(0, 2), pixels[inputs].flatten(0, 2)
            weight_grad[tap].addmm_(rows.t(), read, beta=0)
        return x_grad.to(x.dtype).permute(0, 3, 1, 2), weight_grad.permute(2, 3, 0, 1), None
