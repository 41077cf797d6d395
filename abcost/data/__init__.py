# mypy: ignore-errors
"""Stand-in for the room of data sets: digits only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Split(Protocol):
    labels: Tensor

    def __len__(self) -> int: ...

    def batches(
        self, order: Tensor, batch_size: int, *, epoch: int, augment: bool
    ) -> Iterator[tuple[Tensor, Tensor]]: ...


@dataclass(frozen=True, slots=True)
class DataSet:
    name: str
    classes: tuple[str, ...]
    input_shape: tuple[int, int, int]
    train: Split
    validation: Split
    test: Split


class InMemory:
    def __init__(self, images: Tensor, labels: Tensor, seed: int, shift: int = 1) -> None:
        self.images, self.labels, self.seed, self.shift = images, labels, seed, shift

    def __len__(self) -> int:
        return len(self.labels)

    def batches(
        self, order: Tensor, batch_size: int, *, epoch: int, augment: bool
    ) -> Iterator[tuple[Tensor, Tensor]]:
        mean, std = torch.tensor(MEAN).view(3, 1, 1), torch.tensor(STD).view(3, 1, 1)
        images = self.images
        if augment:
            generator = torch.Generator().manual_seed(1000 * self.seed + epoch)
            moves = torch.randint(-self.shift, self.shift + 1, (len(self), 2), generator=generator)
            h, w = images.shape[-2:]
            padded = torch.nn.functional.pad(images, [self.shift] * 4)
            rows = (torch.arange(h)[None] + self.shift + moves[:, :1])[:, None, :, None]
            columns = (torch.arange(w)[None] + self.shift + moves[:, 1:])[:, None, None, :]
            images = padded[
                torch.arange(len(self))[:, None, None, None],
                torch.zeros(1, 1, 1, 1, dtype=torch.int64),
                rows,
                columns,
            ]
        for chosen in order.split(batch_size):
            yield (images[chosen].expand(-1, 3, -1, -1) - mean) / std, self.labels[chosen]


def load(name: str, root: Path | None = None, *, seed: int = 0) -> DataSet:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    raw = load_digits()
    images = torch.tensor(raw.images / 16, dtype=torch.float32)[:, None]
    labels = torch.tensor(raw.target, dtype=torch.int64)
    rest, test = train_test_split(torch.arange(len(labels)), test_size=0.2, stratify=labels, random_state=0)
    train, validation = train_test_split(rest, test_size=0.25, stratify=labels[rest], random_state=0)
    make = lambda part: InMemory(images[part], labels[part], seed)
    return DataSet("digits", tuple("0123456789"), (3, 8, 8), make(train), make(validation), make(test))
