"""Windows over a stream of pixels, row by row: how long one waits, and what it keeps of its input.

With spans k = (kernel - 1) * dilation + 1, padding p and P_i input pixels from one step along axis i to the next
(of an H x W image: W along a column, 1 along a row):

    pixels before the first result = sum_i max(0, k_i - 1 - p_i) * P_i
    pixels kept, overlapping windows = sum_i (k_i - 1) * P_i + 1
    partial results kept, separate windows = windows side by side, all axes but the first
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from abcost.core.kinds import OpKind
from abcost.core.node import OpNode

_POOLS = frozenset({OpKind.MAX_POOL, OpKind.AVG_POOL, OpKind.SUM_POOL})


@dataclass(frozen=True, slots=True)
class Window:
    """spans and padding per axis of an input of these sizes; separate: no pixel is in two windows."""

    sizes: tuple[int, ...]
    spans: tuple[int, ...]
    padding: tuple[int, ...]
    separate: bool

    @property
    def single(self) -> bool:
        """Whether a window is one pixel: nothing is kept."""
        return prod(self.spans) == 1

    @property
    def pixels_before_first(self) -> int:
        """Pixels that come before the last one of the first window."""
        missing = (max(0, k - 1 - p) for k, p in zip(self.spans, self.padding, strict=True))
        return sum(n * step for n, step in zip(missing, self._steps, strict=True))

    @property
    def line_buffer_pixels(self) -> int:
        """Pixels of overlapping windows, or partial results of separate ones, per channel."""
        if self.separate:
            return prod(-(-n // k) for n, k in zip(self.sizes[1:], self.spans[1:], strict=True))
        return sum((k - 1) * step for k, step in zip(self.spans, self._steps, strict=True)) + 1

    @property
    def _steps(self) -> list[int]:
        return [prod(self.sizes[i + 1 :]) for i in range(len(self.sizes))]


def window_of(node: OpNode, source: OpNode) -> Window | None:
    """The window of a convolution or pool over `source`, which is (N, C, *sizes); None for anything else."""
    sizes = tuple(source.shape[2:])
    if not sizes:
        return None
    if node.kind is OpKind.CONV:
        return _conv(node, sizes)
    if node.kind in _POOLS:
        return _pool(node, sizes)
    return None


def _conv(node: OpNode, sizes: tuple[int, ...]) -> Window:
    weight = node.const("weight")
    kernel = tuple(weight.values.shape[2:]) if weight is not None else (1,) * len(sizes)
    if node.attrs.get("transposed"):  # ceil(kernel / stride) inputs overlap in one output
        stride = _each(node.attrs["stride"], len(sizes))
        spans = tuple(-(-k // s) for k, s in zip(kernel, stride, strict=True))
        return Window(sizes, spans, (0,) * len(sizes), separate=False)
    return _sliding(node, kernel, sizes, separate=False)


def _pool(node: OpNode, sizes: tuple[int, ...]) -> Window:
    if "axes" in node.attrs:
        spans = tuple(n if axis in node.attrs["axes"] else 1 for axis, n in enumerate(sizes, start=2))
        return Window(sizes, spans, (0,) * len(sizes), separate=True)
    if "windows" in node.attrs:
        spans = tuple(max(end - start for start, end in axis) for axis in node.attrs["windows"])
        return Window(sizes, spans, (0,) * len(sizes), separate=False)
    kernel = _each(node.attrs["kernel"], len(sizes))
    stride = _each(node.attrs["stride"], len(sizes))
    return _sliding(node, kernel, sizes, separate=kernel == stride)


def _sliding(node: OpNode, kernel: tuple[int, ...], sizes: tuple[int, ...], *, separate: bool) -> Window:
    dilation = _each(node.attrs.get("dilation", (1,)), len(sizes))
    spans = tuple((k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True))
    return Window(sizes, spans, _each(node.attrs.get("padding", (0,)), len(sizes)), separate)


def _each(values: Sequence[int], axes: int) -> tuple[int, ...]:
    """One value per axis; torch writes one for all."""
    return tuple(int(v) for v in values) * (axes if len(values) == 1 else 1)
