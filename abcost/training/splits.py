"""The images of several data sets at once, for networks side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from abcost.data import Split


class SideBySide:
    """The same split of several data sets, which differ in their seed: a batch holds the images of all."""

    def __init__(self, splits: Sequence[Split]) -> None:
        self._splits = splits

    def __len__(self) -> int:
        """Images of each."""
        return len(self._splits[0])

    def batches(
        self, order: Tensor, batch_size: int, *, epoch: int, augment: bool
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Images (B, K*3, H, W) and labels (K, B) as `Split.batches`, in the orders (K, n), or one order for all."""
        orders = order if order.dim() == 2 else order.expand(len(self._splits), -1)
        each = [
            split.batches(own, batch_size, epoch=epoch, augment=augment)
            for split, own in zip(self._splits, orders, strict=True)
        ]
        for batches in zip(*each, strict=True):
            yield (
                torch.cat([images for images, _ in batches], dim=1),
                torch.stack([labels for _, labels in batches]),
            )
