"""Tiles of two photographs that ship with scikit-learn: colour images for a first try without a download."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from abcost.data.assemble import from_one
from abcost.data.augment import Moves
from abcost.data.dataset import DataSet
from abcost.data.memory import MemorySplit
from abcost.data.options import Options
from abcost.data.registry import DATA
from abcost.data.shipped import refuse_root
from abcost.extras import require

SIDE = 16  # pixels
CLASSES = ("china", "flower")
MOVES = Moves(shift=1, flip=True)


@DATA.add("photos")
def photos(root: Path | None, options: Options) -> DataSet:
    """2,080 tiles of 16x16 pixels in colour, 1,040 of each photograph: which of the two is it of?

    Split 64 / 16 / 20 %; moved by at most one pixel, flipped left to right. Tiles do not overlap, but neighbours are
    alike and stand in different splits: for trials of colour and of two classes, not for comparing networks.
    Source: china.jpg and flower.jpg of sklearn.datasets.load_sample_images (Creative Commons BY 2.0).
    """
    refuse_root("photos", "scikit-learn", root)
    options.refuse_image_size("photos", SIDE)
    options.refuse_workers("photos")
    require("PIL.Image", "train", "the data set photos")  # scikit-learn reads JPEG with it, mlxtend brings it
    found = require("sklearn.datasets", "train", "the data set photos")
    parts = [_tiles(torch.tensor(found.load_sample_image(f"{name}.jpg"))) for name in CLASSES]
    labels = torch.cat([torch.full((len(part),), label) for label, part in enumerate(parts)])
    whole = MemorySplit(torch.cat(parts), labels, options.moves(MOVES, SIDE), options.seed)
    keys = [
        f"{name}-{index}" for name, part in zip(CLASSES, parts, strict=True) for index in range(len(part))
    ]
    return from_one("photos", CLASSES, "mnist5k", SIDE, whole, keys, options)


def _tiles(photo: Tensor) -> Tensor:
    """(H, W, 3) -> (tiles, 3, 16, 16), row by row; what is left at the right and at the bottom is cut off."""
    tiles = photo.unfold(0, SIDE, SIDE).unfold(1, SIDE, SIDE)  # (rows, columns, 3, 16, 16)
    return tiles.reshape(-1, 3, SIDE, SIDE)
