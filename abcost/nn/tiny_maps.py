"""Grouped convolution of maps no larger than a kernel's reach: one dense matrix per group."""

from __future__ import annotations

from itertools import product
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def is_dense(x: Tensor, weight: Tensor, stride: int) -> bool:
    """Whether every output of the convolution, padded by half the kernel size, sees every input of a map (N, C, H, W).

    A 3x3 kernel on a 2x2 map: 16 products per pair of channels where the library computes 36, padding included.
    """
    reach = weight.shape[-1] // 2
    return stride == 1 and weight.shape[-1] > 1 and max(x.shape[2:]) <= reach + 1


def convolve_dense(x: Tensor, weight: Tensor, groups: int) -> Tensor:
    """conv(x, weight) in so many groups, where `is_dense`.

    x: (N, groups*in, H, W);  weight: (groups*out, in, k, k);  result: (N, groups*out, H, W), all channels last.
    Each group is a product of matrices of its own, so that its bits do not depend on the others.
    """
    matrices: Tensor = _Matrices.apply(weight, groups, x.shape[2:])  # type: ignore[no-untyped-call]
    return _maps(torch.bmm(_rows(x, groups), matrices.transpose(1, 2)), x.shape)


class _Matrices(torch.autograd.Function):
    """(groups, H*W*out, H*W*in): what every input counts for every output."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, groups: int, size: torch.Size) -> Tensor:
        ctx.groups, ctx.size, ctx.shape = groups, size, weight.shape
        kernels = _taps_last(weight, groups)
        seen = [kernels[:, :, rows, columns] for rows, columns in _windows(weight.shape[-1], size)]
        together = torch.stack(seen, dim=1)  # (groups, outputs, out, H, W, in)
        return together.reshape(groups, -1, size[0] * size[1] * weight.shape[1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        """A tap is in the matrix once for each output that sees an input under it."""
        out, inputs, kernel, _ = ctx.shape
        found = grad.new_zeros(ctx.groups, out // ctx.groups, kernel, kernel, inputs)
        each = grad.reshape(ctx.groups, ctx.size[0] * ctx.size[1], out // ctx.groups, *ctx.size, inputs)
        for number, (rows, columns) in enumerate(_windows(kernel, ctx.size)):
            found[:, :, rows, columns] += each[:, number]
        return found.reshape(out, kernel, kernel, inputs).permute(0, 3, 1, 2), None, None


def _rows(x: Tensor, groups: int) -> Tensor:
    """(N, groups*C, H, W) -> (groups, N, H*W*C)."""
    n, channels, height, width = x.shape
    apart = x.permute(0, 2, 3, 1).reshape(n, height * width, groups, channels // groups)
    return apart.permute(2, 0, 1, 3).reshape(groups, n, -1)


def _maps(rows: Tensor, like: torch.Size) -> Tensor:
    """The inverse, to maps of the size of `like`, channels last."""
    groups, n, _ = rows.shape
    height, width = like[2:]
    apart = rows.view(groups, n, height, width, -1).permute(1, 2, 3, 0, 4)
    return apart.reshape(n, height, width, -1).permute(0, 3, 1, 2)


def _taps_last(weight: Tensor, groups: int) -> Tensor:
    """(groups*out, in, k, k) -> (groups, out, k, k, in)."""
    out, inputs, kernel, _ = weight.shape
    return weight.permute(0, 2, 3, 1).reshape(groups, out // groups, kernel, kernel, inputs)


def _windows(kernel: int, size: torch.Size) -> list[tuple[slice, slice]]:
    """Rows and columns of the kernel under which each output, row by row, sees the map.

    >>> _windows(3, (2, 1))
    [(slice(1, 3, None), slice(1, 2, None)), (slice(0, 2, None), slice(1, 2, None))]
    """
    reach = kernel // 2
    spans = [[slice(reach - o, reach - o + n) for o in range(n)] for n in size]
    return list(product(*spans))
