"""Binary dot products on packed bits: signs eight to a byte, XOR and popcount, sums that are whole numbers.

    sum(x * w) = K - 2 * popcount(bits(x) XOR bits(w))      bits: 1 for +1, 0 for -1

Taps in the padding are no products: the kernel takes them for -1 and adds their weights again. Sums of signs are exact,
so that they are the same in whichever order and arithmetic they are computed.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from abcost.core.arithmetic import Arithmetic
from abcost.core.kernels import MOST_TAPS, MOST_WORDS, Convolution
from abcost.core.kinds import OpKind
from abcost.core.node import Constant, OpNode

_T = TypeVar("_T")
_TOGETHER = 16  # output channels that the kernel sums at once
_WORTH_THREADS = 2**14  # positions, below which starting threads costs more than it saves


@dataclass(slots=True)
class Signs:
    """Bits of a tensor of two values, channels last: (positions, ceil(channels / 8)) bytes.

    shape: of the tensor, (N, C) or (N, C, H, W). low, high: the values of a 0 and of a 1.
    """

    bits: Tensor
    shape: tuple[int, ...]
    low: float = -1.0
    high: float = 1.0
    _plain: Tensor | None = field(default=None, repr=False)

    def plain(self, library: ctypes.CDLL) -> Tensor:
        """The values in float64."""
        if self._plain is None:
            self._plain = empty(self.shape)
            positions = self._plain.numel() // self.shape[1]
            library.abcost_unpack(
                self.bits.data_ptr(), positions, self.shape[1], self.low, self.high, self._plain.data_ptr()
            )
        return self._plain

    def same(self, other: Signs) -> bool:
        """Whether both are the same values, held alike."""
        alike = (self.shape, self.low, self.high) == (other.shape, other.low, other.high)
        return alike and torch.equal(self.bits, other.bits)


@dataclass(slots=True)
class Sums:
    """Whole numbers, int32, that dot products of signs gave; shape as of `Signs`, memory channels last."""

    values: Tensor

    def plain(self, _library: ctypes.CDLL) -> Tensor:
        """The values in float64, in the order of memory that torch's own convolutions give."""
        return self.values.to(torch.float64).contiguous()


def empty(shape: tuple[int, ...], dtype: torch.dtype = torch.float64) -> Tensor:
    """A tensor of (N, C) or (N, C, H, W), its memory channels last."""
    if len(shape) == 4:
        return torch.empty(shape, dtype=dtype, memory_format=torch.channels_last)
    return torch.empty(shape, dtype=dtype)


def channels_last(x: Tensor) -> Tensor:
    """The tensor with its memory channels last, as the kernels walk through it."""
    return x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x.contiguous()


def pack(x: Tensor, library: ctypes.CDLL) -> Signs | None:
    """The bits of a float64 tensor of -1 and +1; None if it holds anything else."""
    if x.dtype != torch.float64 or x.dim() not in (2, 4) or not x.numel():
        return None
    laid = channels_last(x)
    positions, channels = laid.numel() // laid.shape[1], laid.shape[1]
    bits = torch.empty((positions, -(-channels // 8)), dtype=torch.uint8)
    others = library.abcost_pack(laid.data_ptr(), positions, channels, bits.data_ptr())
    return None if others else Signs(bits, tuple(x.shape))


@dataclass(frozen=True, slots=True)
class Weight:
    """Binary weights, packed.

    words: for each group (row words, padded channels), int64; tap_sums: for each group (taps of the window, padded
    channels), int32; scale: (channels,), float64, or None where all are 1.
    """

    words: tuple[Tensor, ...]
    tap_sums: tuple[Tensor, ...]
    scale: Tensor | None
    shape: tuple[int, ...]  # (out, in of a group, kernel height, kernel width)


def pack_weight(constant: Constant, groups: int, arithmetic: Arithmetic) -> Weight | None:
    """The packed weight of a 2-d convolution or a linear layer.

    None if it is not +-s per output channel in `arithmetic`, or too large.
    """
    signs, scale = _signs(constant, arithmetic)
    if signs is None or signs.dim() not in (2, 4):
        return None
    signs = signs[:, :, None, None] if signs.dim() == 2 else signs
    out, inner, height, width = signs.shape
    row_bytes = height * width * -(-inner // 8)
    if (groups > 1 and inner % 8) or height * width > MOST_TAPS or row_bytes > 8 * MOST_WORDS or out % groups:
        return None
    parts = [_packed_group(part) for part in signs.chunk(groups)]
    return Weight(tuple(p[0] for p in parts), tuple(p[1] for p in parts), scale, (out, inner, height, width))


def _signs(constant: Constant, arithmetic: Arithmetic) -> tuple[Tensor | None, Tensor | None]:
    """Bits (uint8) of the weight as the arithmetic holds it, and magnitudes per output channel where one is not 1."""
    values = constant.values if constant.binary and constant.fixed is None else arithmetic.constant(constant)
    if constant.binary and constant.fixed is None:
        zeros = not arithmetic.hardware_sign and bool((values == 0).any())
        return (None if zeros else (values >= 0).to(torch.uint8)), None
    if values.dim() not in (2, 4) or not values.numel():
        return None, None
    magnitude = values.abs().flatten(1)
    low, high = torch.aminmax(magnitude, dim=1)
    if not bool(((low == high) & (low > 0)).all()) or not bool(torch.isfinite(high).all()):
        return None, None
    return (values > 0).to(torch.uint8), None if bool((high == 1).all()) else high.to(torch.float64)


def _packed_group(signs: Tensor) -> tuple[Tensor, Tensor]:
    """Words (row words, padded channels) and sums of each tap (taps, padded channels) of bits (O, C, h, w)."""
    out, inner, height, width = signs.shape
    padded = -(-out // _TOGETHER) * _TOGETHER
    laid = signs.permute(0, 2, 3, 1).contiguous()  # (O, h, w, C)
    rows = np.packbits(laid.numpy(), axis=-1, bitorder="little").reshape(out, -1)
    filled = np.zeros((padded, -(-rows.shape[1] // 8) * 8), dtype=np.uint8)
    filled[:out, : rows.shape[1]] = rows
    words = np.ascontiguousarray(filled.view(np.uint64).T)
    sums = torch.zeros((height * width, padded), dtype=torch.int32)
    sums[:, :out] = (2 * laid.sum(-1, dtype=torch.int32) - inner).reshape(out, -1).t()
    return torch.from_numpy(words.view(np.int64)), sums


_Pair = tuple[int, int]


def geometry(node: OpNode, shape: tuple[int, ...], kernel: _Pair) -> tuple[_Pair, _Pair, _Pair, _Pair, _Pair]:
    """Size of the map, stride, padding, dilation, and size of the result; a linear layer is a map of one place."""
    if node.kind is not OpKind.CONV:
        return (1, 1), (1, 1), (0, 0), (1, 1), (1, 1)
    size = (shape[2], shape[3])
    stride, padding, dilation = (
        (int(down), int(across))
        for down, across in (node.attrs[name] for name in ("stride", "padding", "dilation"))
    )
    height, width = (
        (size[i] + 2 * padding[i] - dilation[i] * (kernel[i] - 1) - 1) // stride[i] + 1 for i in (0, 1)
    )
    return size, stride, padding, dilation, (height, width)


def convolve(
    node: OpNode, weight: Weight, signs: Signs, library: ctypes.CDLL
) -> tuple[Sums, tuple[int, int]] | None:
    """Sums of signs of a binary convolution or linear layer, and the least and the largest of them.

    None if shapes are not those of a 2-d convolution or a linear layer on (N, C).
    """
    batch, channels = signs.shape[:2]
    out, inner, kernel_h, kernel_w = weight.shape
    groups = len(weight.words)
    if channels != inner * groups:
        return None
    dims = 4 if node.kind is OpKind.CONV else 2
    if len(signs.shape) != dims:
        return None
    size, stride, padding, dilation, (height, width) = geometry(node, signs.shape, (kernel_h, kernel_w))
    shape = (batch, out, height, width) if dims == 4 else (batch, out)
    result = empty(shape, torch.int32)
    positions, share = batch * height * width, out // groups
    least = most = 0
    for group, (words, tap_sums) in enumerate(zip(weight.words, weight.tap_sums, strict=True)):
        convolution = Convolution(
            *size, -(-channels // 8), group * inner // 8, -(-inner // 8),
            kernel_h, kernel_w, *stride, *padding, *dilation,
            height, width, out, group * share, share,
            words.shape[1], inner * kernel_h * kernel_w, words.shape[0],
        )  # fmt: skip

        def run(
            start: int,
            end: int,
            convolution: Convolution = convolution,
            of: tuple[Tensor, Tensor] = (words, tap_sums),
        ) -> tuple[int, int]:
            extremes = (ctypes.c_int32 * 2)(0, 0)
            library.abcost_convolve(
                ctypes.byref(convolution), signs.bits.data_ptr(), of[0].data_ptr(), of[1].data_ptr(),
                result.data_ptr(), start, end, extremes,
            )  # fmt: skip
            return extremes[0], extremes[1]

        for low, high in spread(run, positions, positions):
            least, most = min(least, low), max(most, high)
    return Sums(result), (least, most)


def spread(run: Callable[[int, int], _T], total: int, positions: int, unit: int = 1) -> list[_T]:
    """`run(start, end)` over [0, total) by as many threads as torch uses; starts are multiples of `unit`."""
    threads = torch.get_num_threads()
    if threads == 1 or positions < _WORTH_THREADS:
        return [run(0, total)]
    units = -(-total // unit)
    step = -(-units // threads) * unit
    ends = [(start, min(start + step, total)) for start in range(0, total, step)]
    return list(_pool(threads, os.getpid()).map(lambda span: run(*span), ends))


@cache
def _pool(threads: int, _process: int) -> ThreadPoolExecutor:
    """Threads of this process: a fork has none of its parent's."""
    return ThreadPoolExecutor(threads)
