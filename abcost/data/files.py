"""A split whose images are files, decoded when they are read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from abcost.core.reading import check_regular
from abcost.data.normalize import normalize
from abcost.data.seeded import number
from abcost.errors import DataError

if TYPE_CHECKING:
    from abcost.data.imagenet_augment import Crops


class FileSplit:
    """Image files, read by `workers` processes; 0: by the calling one."""

    def __init__(
        self, folder: Path, files: Sequence[str], labels: Tensor, crops: Crops, seed: int, workers: int
    ) -> None:
        self._folder = folder
        self._files = files
        self._labels = labels
        self._crops = crops
        self._seed = seed
        self._workers = workers

    @property
    def labels(self) -> Tensor:
        """Class of every image, (N,), int64."""
        return self._labels

    def __len__(self) -> int:
        """Number of images."""
        return len(self._files)

    def batch(self, indices: Tensor, *, epoch: int, augment: bool) -> tuple[Tensor, Tensor]:
        """Images and labels of one batch, decoded in the calling process; see `Split.batch`."""
        images = [self.image(index, epoch=epoch, augment=augment) for index in indices.tolist()]
        return normalize(torch.stack(images)), self._labels[indices]

    def batches(
        self, order: Tensor, batch_size: int, *, epoch: int, augment: bool
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches of images and labels, decoded ahead by the workers; see `Split.batches`."""
        loader = DataLoader(
            _Read(self, epoch=epoch, augment=augment),
            batch_sampler=[part.tolist() for part in torch.split(order, batch_size)],
            num_workers=self._workers,
            collate_fn=_collate,
            generator=torch.Generator(),  # the loader draws a number; not from the trainer's generator
        )
        for read in loader:
            if isinstance(read, str):
                raise DataError(read)
            images, indices = read
            yield normalize(images), self._labels[indices]

    def subset(self, indices: Tensor) -> FileSplit:
        """A split of these images alone."""
        files = [self._files[index] for index in indices.tolist()]
        return FileSplit(self._folder, files, self._labels[indices], self._crops, self._seed, self._workers)

    def image(self, index: int, *, epoch: int, augment: bool) -> Tensor:
        """(3, H, W), float32 in 0 … 1, moved if `augment`. Raises DataError if the file cannot be read."""
        picture = _decode(self._folder / self._files[index])
        if not augment:
            return self._crops.test(picture)
        with _seeded(number("crop", self._seed, epoch, index)):
            return self._crops.train(picture)


@dataclass(frozen=True)
class _Read(Dataset[Any]):
    """What a worker is sent: the split in one epoch.

    An error is handed back as its text: one raised in a worker arrives with the worker's traceback in it.
    """

    split: FileSplit
    epoch: int
    augment: bool

    def __getitem__(self, index: int) -> tuple[Tensor, int] | str:
        try:
            return self.split.image(index, epoch=self.epoch, augment=self.augment), index
        except DataError as error:
            return str(error)


def _collate(read: Sequence[tuple[Tensor, int] | str]) -> tuple[Tensor, Tensor] | str:
    """Images and indices of a batch, or the first error in it."""
    items = []
    for item in read:
        if isinstance(item, str):
            return item
        items.append(item)
    return torch.stack([image for image, _ in items]), torch.tensor([index for _, index in items])


def _decode(path: Path) -> Any:
    """The picture, red, green and blue."""
    from PIL import Image  # noqa: PLC0415 - comes with torchvision

    check_regular(path, f"the image {path}", DataError, advice="copy it again, or remove it")
    try:
        with Image.open(path) as picture:
            return picture.convert("RGB")
    except Exception as error:  # decoders raise OSError, SyntaxError, ValueError, …
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise DataError(f"cannot read the image {path}: {reason}; copy it again, or remove it") from error


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed torch's global generator, from which torchvision draws, and put it back; those of GPUs are left alone."""
    before = torch.get_rng_state()
    torch.set_rng_state(torch.Generator().manual_seed(seed).get_state())
    try:
        yield
    finally:
        torch.set_rng_state(before)
