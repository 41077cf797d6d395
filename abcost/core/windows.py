"""Pools whose windows have sizes of their own, as those of an adaptive pool whose sizes do not divide.

`attrs["windows"]` of a pool node: per pooled axis (the last ones) a list of [start, end) per position.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import torch

Windows = Sequence[Sequence[Sequence[int]]]


def over_windows(x: torch.Tensor, windows: Windows, reduce: Callable[..., torch.Tensor]) -> torch.Tensor:
    """`reduce` (torch.sum, torch.amax) over every window: axis by axis, for sums and extrema are separable."""
    for axis, bounds in zip(range(x.dim() - len(windows), x.dim()), windows, strict=True):
        parts = [reduce(x.narrow(axis, start, end - start), dim=axis) for start, end in bounds]
        x = torch.stack(parts, dim=axis)
    return x


def elements_in(windows: Windows) -> int:
    """Elements of all windows together, over all positions.

    >>> elements_in([[[0, 2], [1, 3]], [[0, 3]]])   # 2 windows of 2 x 3
    12
    """
    return prod(sum(end - start for start, end in axis) for axis in windows)
