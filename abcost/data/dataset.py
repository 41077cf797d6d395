"""What a trainer sees of a data set."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor


class Split(Protocol):
    """Images with labels, read by index; in memory or on disk."""

    @property
    def labels(self) -> Tensor:
        """Class of every image, (len,), int64."""

    def __len__(self) -> int:
        """Number of images."""

    def batch(self, indices: Tensor, *, epoch: int, augment: bool) -> tuple[Tensor, Tensor]:
        """Normalised images (B, 3, H, W), float32, and labels (B,), int64.

        With `augment`, images are cropped and flipped at random.  What happens to an image depends on the
        seed of the data set, `epoch` and its index only, not on who reads it, in which order or with which.
        Raises DataError for an image that cannot be read.
        """

    def batches(
        self, order: Tensor, batch_size: int, *, epoch: int, augment: bool
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """The images `order` (int64 indices) as batches, in that order; the last batch may be smaller.

        Who wants full batches only cuts `order`; who shares the work with others takes a part of it.
        """

    def subset(self, indices: Tensor) -> Split:
        """A split of these images; their index is from now on their place in `indices`."""


@dataclass(frozen=True, slots=True)
class DataSet:
    """Three splits of the same kind of images, without an image in common (but see `selected_on_test`)."""

    name: str
    classes: tuple[str, ...]  # label -> name
    input_shape: tuple[int, int, int]  # (3, H, W)
    preset: str  # preset of `abcost.models` whose stem fits images of this size
    train: Split
    validation: Split  # to choose a checkpoint by
    test: Split
    selected_on_test: bool = False  # `validation` is `test`, as in the published recipe, on request only
