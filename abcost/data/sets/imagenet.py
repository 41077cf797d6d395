"""ImageNet (ILSVRC 2012) as folders of JPEG files."""

from __future__ import annotations

import re
from pathlib import Path

from abcost.data.assemble import from_two
from abcost.data.dataset import DataSet
from abcost.data.folder import Reader
from abcost.data.listing import Listing, listing, same_classes
from abcost.data.options import Options
from abcost.data.registry import DATA
from abcost.errors import DataError

ROOT = Path("data/imagenet")  # where the folders are looked for by default
CLASSES = 1000
VALIDATION = 0.02  # of the 1.28 million training images: 26 of a class's 1,300
WNID = re.compile(r"n\d{8}")  # WordNet's number of a class, such as n01440764
ADVICE = (
    "get ILSVRC 2012 from https://www.image-net.org and unpack it as train/n01440764/*.JPEG … and "
    "val/n01440764/*.JPEG …, or name another folder with --data-root"
)


@DATA.add("imagenet")
def imagenet(root: Path | None, options: Options) -> DataSet:
    """ImageNet: its 50,000 validation images (val/) are for testing, 2 % of train/ for validation.

    Classes are in the order of their WordNet numbers, as in published checkpoints.  Images as in `image_folder`.

    Source: Russakovsky et al., ImageNet large scale visual recognition challenge, IJCV 2015.
    """
    reader = Reader(options)
    folder = root or ROOT
    missing = [part for part in ("train", "val") if not (folder / part).is_dir()]
    if missing:
        raise DataError(f"imagenet is not complete: there is no {folder / missing[0]}; {ADVICE}")
    train, test = (_classes(listing(folder / part)) for part in ("train", "val"))
    same_classes(train, test)
    parts = (reader.split(train), train.files, reader.split(test))
    return from_two("imagenet", train.classes, "imagenet", reader.side, parts, VALIDATION, options)


def _classes(found: Listing) -> Listing:
    """Raises DataError unless the folders are the 1,000 classes."""
    strange = [name for name in found.classes if not WNID.fullmatch(name)]
    if strange:
        raise DataError(
            f"{found.folder} of imagenet holds the folder {strange[0]}, which is no class (n and 8 digits); {ADVICE}"
        )
    if len(found.classes) != CLASSES:
        raise DataError(
            f"{found.folder} of imagenet holds {len(found.classes):,} classes, not {CLASSES:,}; {ADVICE}; "
            "a part of ImageNet is read as any folder of images: --data FOLDER"
        )
    return found
