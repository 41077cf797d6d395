"""Any folder of images, one folder per class."""

from __future__ import annotations

from pathlib import Path

import torch

from abcost.data.assemble import from_one, from_two
from abcost.data.dataset import DataSet
from abcost.data.files import FileSplit
from abcost.data.imagenet_augment import Crops
from abcost.data.listing import Listing, listing, same_classes
from abcost.data.options import Options
from abcost.errors import DataError, UsageError

SIDE = 224  # height and width, pixels
VALIDATION = 0.1  # of the training images, where there is a folder for testing but none for validation
LARGE = 64  # pixels; from here on the stem for ImageNet fits, below it the one for CIFAR


def image_folder(path: Path, options: Options) -> DataSet:
    """Images in PATH/train/CLASS/, PATH/val/CLASS/ and PATH/test/CLASS/, or in PATH/CLASS/.

    Without test/, val/ is for testing; without val/ (or where it is for testing), a tenth of train/ is for
    validation.  Without train/, the classes are split 64 / 16 / 20 %.  Which image is where depends on the
    names of the files only.  224x224 pixels unless the image size says otherwise; cropped, lightened (in the way
    that `options.lighting` says) and flipped as published for ImageNet.

    Raises DataError if folders are missing, empty or differ in their classes, and MissingExtra.
    """
    reader = Reader(options)
    side, name = reader.side, path.resolve().name
    preset = preset_for(side)
    if not (path / "train").is_dir():
        whole = listing(path)
        return from_one(name, whole.classes, preset, side, reader.split(whole), whole.files, options)
    train = listing(path / "train")
    own = {part: listing(path / part) for part in ("val", "test") if (path / part).is_dir()}
    if not own:
        raise DataError(f"{path} has train, but neither test nor val beside it; add images for testing")
    for other in own.values():
        same_classes(train, other)
    *validation, test = [reader.split(part) for part in own.values()]
    if validation and options.select_on != "test":
        splits = (reader.split(train), validation[0], test)
        return DataSet(name, train.classes, (3, side, side), preset, *splits)
    parts = (reader.split(train), train.files, test)
    return from_two(name, train.classes, preset, side, parts, VALIDATION, options)


def preset_for(side: int) -> str:
    """The preset of `abcost.models` whose stem fits images of side x side pixels."""
    return "imagenet" if side >= LARGE else "cifar10"


class Reader:
    """How image files are read, the same for all splits. Raises UsageError or MissingExtra."""

    def __init__(self, options: Options) -> None:
        if options.shift is not None:
            raise UsageError(
                "a shift is for data sets in memory; image files are cropped at random: leave it out"
            )
        self.side = options.image_size or SIDE
        self._crops = Crops(self.side, flip=options.flip is not False, lighting=options.lighting or "float")
        self._options = options

    def split(self, found: Listing) -> FileSplit:
        """The split of these files."""
        labels = torch.tensor(found.labels)
        workers = self._options.reading_processes
        return FileSplit(found.folder, found.files, labels, self._crops, self._options.seed, workers)
