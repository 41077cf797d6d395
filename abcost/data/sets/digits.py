"""Handwritten digits that ship with scikit-learn: for a first try without a download."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from abcost.data.assemble import from_one
from abcost.data.augment import Moves
from abcost.data.dataset import DataSet
from abcost.data.memory import MemorySplit
from abcost.data.options import Options
from abcost.data.registry import DATA
from abcost.data.shipped import refuse_root
from abcost.extras import folder_of

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
    rows = _rows()  # 64 pixels of 0 … 16, and the digit
    images = torch.from_numpy(rows[:, :-1]).float().reshape(-1, 1, SIDE, SIDE) / 16  # (1797, 1, 8, 8)
    digit = torch.from_numpy(rows[:, -1].astype(np.int64))
    whole = MemorySplit(images, digit, options.moves(MOVES, SIDE), options.seed)
    keys = [str(index) for index in range(len(whole))]
    return from_one("digits", [str(digit) for digit in range(10)], "digits", SIDE, whole, keys, options)


def _rows() -> NDArray[np.float64]:
    """The file that scikit-learn ships, (1797, 65); importing scikit-learn for it takes half a second."""
    folder = folder_of("sklearn", "train", "the data set digits")
    return np.loadtxt(folder / "datasets" / "data" / "digits.csv.gz", delimiter=",")
