"""Handwritten digits that ship with scikit-learn: for a first try without a download."""

from __future__ import annotations

from pathlib import Path

import torch

from abcost.data.assemble import from_one
from abcost.data.dataset import DataSet
from abcost.data.memory import MemorySplit
from abcost.data.moves import Moves
from abcost.data.options import Options
from abcost.data.registry import DATA
from abcost.data.shipped import refuse_root
from abcost.extras import require

SIDE = 8
MOVES = Moves(shift=1, flip=False, padding="constant")  # a digit fills the frame, and is not its mirror image


@DATA.add("digits")
def digits(root: Path | None, options: Options) -> DataSet:
    """1,797 digits of 8x8 pixels in 17 grey levels, split 64 / 16 / 20 %; moved by at most one pixel, no flips.

    Source: UCI Optical Recognition of Handwritten Digits, as in sklearn.datasets.load_digits.
    """
    refuse_root("digits", "scikit-learn", root)
    options.refuse_image_size("digits", SIDE)
    options.refuse_workers("digits")
    found = require("sklearn.datasets", "train", "the data set digits").load_digits()
    images = torch.from_numpy(found.images).float()[:, None] / 16  # (1797, 1, 8, 8)
    whole = MemorySplit(images, torch.from_numpy(found.target), options.moves(MOVES, SIDE), options.seed)
    keys = [str(index) for index in range(len(whole))]
    return from_one("digits", [str(digit) for digit in range(10)], "digits", SIDE, whole, keys, options)
