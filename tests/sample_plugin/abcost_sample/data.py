"""Bars that lie, stand or lean, with noise: made, not downloaded."""

from pathlib import Path

import torch

from abcost.data import DATA, DataSet
from abcost.data.assemble import from_one
from abcost.data.augment import Moves
from abcost.data.memory import MemorySplit
from abcost.data.options import Options
from abcost.errors import UsageError

SIDE = 8
IMAGES = 300
CLASSES = ("lying", "standing", "leaning")
MOVES = Moves(shift=1, flip=False, padding="constant")


@DATA.add("sample_bars")
def sample_bars(root: Path | None, options: Options) -> DataSet:
    """300 images of 8x8 pixels in three classes, split 64 / 16 / 20 %; the same in every run."""
    if root is not None:
        raise UsageError("sample_bars is made, not read from files; leave the folder out")
    options.refuse_image_size("sample_bars", SIDE)
    options.refuse_workers("sample_bars")
    labels = torch.arange(IMAGES) % len(CLASSES)
    generator = torch.Generator().manual_seed(0)
    places = torch.randint(1, SIDE - 1, (IMAGES,), generator=generator)
    images = 0.3 * torch.rand(IMAGES, 1, SIDE, SIDE, generator=generator)
    for image, label, place in zip(images, labels.tolist(), places.tolist(), strict=True):
        if label == 0:
            image[0, place] += 0.7
        elif label == 1:
            image[0, :, place] += 0.7
        else:
            image[0] += 0.7 * torch.eye(SIDE).roll(place, 1)
    whole = MemorySplit(images, labels, options.moves(MOVES, SIDE), options.seed)
    keys = [str(index) for index in range(IMAGES)]
    return from_one("sample_bars", CLASSES, "digits", SIDE, whole, keys, options)
