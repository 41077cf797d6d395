"""A split that fits into memory."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import torch
from torch import Tensor

from abcost.data.augment import Draws, Moves, apply, draw
from abcost.data.normalize import normalize


class MemorySplit:
    """Images as one tensor, (N, 1 or 3, H, W): uint8 in 0 … 255, or float32 in 0 … 1."""

    def __init__(self, images: Tensor, labels: Tensor, moves: Moves, seed: int) -> None:
        self._images = images
        self._labels = labels.to(torch.int64)
        self._moves = moves
        self._seed = seed
        self._draws = lru_cache(maxsize=2)(self._draw)  # an epoch's draws serve all of its batches

    @property
    def labels(self) -> Tensor:
        """Class of every image, (N,), int64."""
        return self._labels

    def __len__(self) -> int:
        """Number of images."""
        return len(self._labels)

    def batch(self, indices: Tensor, *, epoch: int, augment: bool) -> tuple[Tensor, Tensor]:
        """Images and labels of one batch; see `Split.batch`."""
        images = self._images[indices]
        if images.dtype == torch.uint8:
            images = images.float() / 255
        if augment:
            images = apply(self._moves, images, self._draws(epoch), indices)
        return normalize(images), self._labels[indices]

    def batches(
        self, order: Tensor, batch_size: int, *, epoch: int, augment: bool
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches of images and labels; see `Split.batches`."""
        for indices in torch.split(order, batch_size):
            yield self.batch(indices, epoch=epoch, augment=augment)

    def subset(self, indices: Tensor) -> MemorySplit:
        """A split of these images alone."""
        return MemorySplit(self._images[indices], self._labels[indices], self._moves, self._seed)

    def _draw(self, epoch: int) -> Draws:
        return draw(self._moves, len(self), self._seed, epoch)
