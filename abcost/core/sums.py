"""Convolutions and pools of real values in fixed point, compiled.

All values are multiples of 2**-F and all weights of 2**-F, so that sums are exact and may be taken in any order, as
long as no partial sum needs more than 53 bits; what could is left to torch.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

import torch
from torch import Tensor

from abcost.core.adders.of_node import in_adders
from abcost.core.arithmetic import Arithmetic, FixedPoint
from abcost.core.chain import Value
from abcost.core.graph import OpGraph
from abcost.core.kernels import MOST_TAPS, MOST_WORDS, Convolution
from abcost.core.kinds import OpKind
from abcost.core.node import OpNode
from abcost.core.packed import channels_last, empty, geometry, spread

_TOGETHER = 32  # output channels that the kernel sums at once
_LARGEST_HELD = 2**20  # elements of weights that are kept laid out; larger ones are a matter of torch


@dataclass(frozen=True, slots=True)
class RealConv:
    """A convolution or linear layer of real values.

    weight: (taps, padded channels); largest: the largest sum of magnitudes of an output channel's weights.
    """

    node: OpNode
    source: str
    shape: tuple[int, ...]  # (out, in, kernel height, kernel width)
    weight: Tensor
    largest: float

    @property
    def to(self) -> str:
        """The name of the sums, which are cut and stored in a chain."""
        return f"{self.node.name} sums"

    def run(self, given: Value, arithmetic: Arithmetic, library: ctypes.CDLL) -> Tensor | None:
        """The sums, without bias; None where partial sums could be inexact, or for a shape that does not fit."""
        x = given if isinstance(given, Tensor) else given.plain(library)
        out, inner, kernel_h, kernel_w = self.shape
        dims = 4 if self.node.kind is OpKind.CONV else 2
        if x.dtype != torch.float64 or x.dim() != dims or x.shape[1] != inner or not x.numel():
            return None
        low, high = torch.aminmax(x)
        most = max(float(high), -float(low))
        if (
            not isinstance(arithmetic, FixedPoint)
            or not most * self.largest * 4.0**arithmetic.fraction_bits < 2.0**52
        ):
            return None
        x = channels_last(x)
        size, stride, padding, dilation, to = geometry(self.node, tuple(x.shape), (kernel_h, kernel_w))
        y = empty((x.shape[0], out, *to) if dims == 4 else (x.shape[0], out))
        positions = x.shape[0] * to[0] * to[1]
        convolution = Convolution(
            *size, 8 * inner, 0, 8 * inner, kernel_h, kernel_w, *stride, *padding, *dilation,
            *to, out, 0, out, self.weight.shape[1], inner * kernel_h * kernel_w, inner * kernel_h * kernel_w,
        )  # fmt: skip

        def part(start: int, end: int) -> None:
            library.abcost_real_convolve(
                ctypes.byref(convolution), x.data_ptr(), self.weight.data_ptr(), y.data_ptr(), start, end
            )

        spread(part, positions, positions)
        return y


def real_conv(graph: OpGraph, node: OpNode, arithmetic: FixedPoint) -> RealConv | None:
    """The node as a `RealConv`, None if it is none, or too large."""
    if node.kind not in (OpKind.CONV, OpKind.LINEAR) or node.attrs.get("transposed", False):
        return None
    if in_adders(node):
        return None  # executed adder by adder
    if int(node.attrs.get("groups", 1)) != 1 or int(node.attrs.get("divisor", 1)) != 1:
        return None
    constant = node.consts["weight"]
    if constant.values.dim() not in (2, 4) or constant.count > _LARGEST_HELD:
        return None
    weight = arithmetic.constant(constant)
    shape = (*weight.shape, 1, 1)[:4]
    taps = shape[1] * shape[2] * shape[3]
    grid = 2.0**arithmetic.fraction_bits
    if (
        shape[2] * shape[3] > MOST_TAPS
        or taps > 8 * MOST_WORDS
        or not torch.equal(weight * grid, (weight * grid).round())
    ):
        return None  # also refuses what is not a number
    laid = weight.reshape(shape).permute(2, 3, 1, 0).reshape(taps, shape[0])
    padded = torch.zeros((taps, -(-shape[0] // _TOGETHER) * _TOGETHER), dtype=torch.float64)
    padded[:, : shape[0]] = laid
    largest = float(laid.abs().sum(0).max())
    return RealConv(node, graph.inputs(node.name)[0], shape, padded, largest)


@dataclass(frozen=True, slots=True)
class PoolSum:
    """Sums over windows without padding."""

    node: OpNode
    source: str

    @property
    def to(self) -> str:
        """The name of the sums, which are cut and stored in a chain."""
        return f"{self.node.name} sums"

    def run(self, given: Value, _arithmetic: Arithmetic, library: ctypes.CDLL) -> Tensor | None:
        """The sums; None for a shape that does not fit."""
        x = given if isinstance(given, Tensor) else given.plain(library)
        if x.dtype != torch.float64 or x.dim() != 4 or not x.numel():
            return None
        x = channels_last(x)
        kernel, stride = tuple(self.node.attrs["kernel"]), tuple(self.node.attrs["stride"])
        to = [(x.shape[2 + i] - kernel[i]) // stride[i] + 1 for i in (0, 1)]
        if min(to) < 1:
            return None
        y = empty((*x.shape[:2], *to))
        library.abcost_pool_sum(
            x.data_ptr(),
            x.shape[0],
            x.shape[2],
            x.shape[3],
            x.shape[1],
            *kernel,
            *stride,
            to[1],
            y.data_ptr(),
        )
        return y


def pool_sum(graph: OpGraph, node: OpNode) -> PoolSum | None:
    """The node as a `PoolSum`, None if it is none."""
    a = node.attrs
    if node.kind is not OpKind.SUM_POOL or "axes" in a or "windows" in a or len(a["kernel"]) != 2:
        return None
    if any(a["padding"]) or a["ceil_mode"]:
        return None
    return PoolSum(node, graph.inputs(node.name)[0])
