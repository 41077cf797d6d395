"""CIFAR-10 and CIFAR-100, from their files in Python's format, read by torchvision."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from abcost.data.assemble import from_two
from abcost.data.augment import Moves
from abcost.data.dataset import DataSet
from abcost.data.memory import MemorySplit
from abcost.data.options import Options
from abcost.data.registry import DATA
from abcost.errors import DataError
from abcost.extras import require

SIDE = 32
MOVES = Moves(shift=4, flip=True)  # of the published recipe
VALIDATION = 0.1  # of the 50,000 training images: 5,000
ROOT = Path("data")  # where the files are looked for by default


@DATA.add("cifar10")
def cifar10(root: Path | None, options: Options) -> DataSet:
    """CIFAR-10: 45,000 / 5,000 / 10,000 images of 32x32 pixels, the last as published for testing.

    Source: Krizhevsky, Learning multiple layers of features from tiny images, 2009.
    """
    return _cifar("cifar10", "CIFAR10", root, options)


@DATA.add("cifar100")
def cifar100(root: Path | None, options: Options) -> DataSet:
    """CIFAR-100, by its 100 fine labels; otherwise as `cifar10`."""
    return _cifar("cifar100", "CIFAR100", root, options)


def _cifar(name: str, kind: str, root: Path | None, options: Options) -> DataSet:
    """Training images moved as published: padded by 4 with their reflection, flipped, cropped to 32x32."""
    options.refuse_image_size(name, SIDE)
    options.refuse_workers(name)
    moves = options.moves(MOVES, SIDE)
    published = getattr(require("torchvision.datasets", "vision", f"the data set {name}"), kind)
    folder = (root or ROOT) / published.base_folder
    _check_files(name, published, folder)
    train, test = (published(folder.parent, train=of_training) for of_training in (True, False))
    splits = [MemorySplit(*_tensors(part), moves, options.seed) for part in (train, test)]
    keys = [str(index) for index in range(len(splits[0]))]
    parts = (splits[0], keys, splits[1])
    return from_two(name, train.classes, name, SIDE, parts, VALIDATION, options)


def _tensors(part: Any) -> tuple[Tensor, Tensor]:
    """Images (N, 3, 32, 32), uint8, and labels of a torchvision data set."""
    return torch.from_numpy(part.data).permute(0, 3, 1, 2).contiguous(), torch.tensor(part.targets)


def _check_files(name: str, published: Any, folder: Path) -> None:
    """All files there, with the published checksums; so what is unpickled later is what was published."""
    check_integrity = require("torchvision.datasets.utils", "vision", f"the data set {name}").check_integrity
    files = [*published.train_list, *published.test_list, (published.meta["filename"], published.meta["md5"])]
    advice = f"get {published.filename} from {published.url} and unpack it in {folder.parent}"
    missing = [file for file, _ in files if not (folder / file).is_file()]
    if missing:
        raise DataError(
            f"{name} is not complete in {folder}: {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} "
            f"missing; {advice}, or name another folder with --data-root"
        )
    damaged = [file for file, checksum in files if not check_integrity(folder / file, checksum)]
    if damaged:
        raise DataError(
            f"{name} is damaged: {', '.join(damaged)} in {folder} {'has' if len(damaged) == 1 else 'have'} "
            f"not the published MD5 checksum; {advice} again"
        )
