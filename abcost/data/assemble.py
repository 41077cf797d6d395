"""From images for training and images for testing to the three splits."""

from __future__ import annotations

from collections.abc import Sequence

from abcost.data.dataset import DataSet, Split
from abcost.data.options import Options
from abcost.data.split import hold_out

TEST = 0.2  # of all images, where a set comes without a test split
VALIDATION = 0.2  # of what is left then


def from_two(
    name: str,
    classes: Sequence[str],
    preset: str,
    side: int,
    parts: tuple[Split, Sequence[str], Split],
    fraction: float,
    options: Options,
) -> DataSet:
    """A set that has a test split of its own: `fraction` of the training images is for validation.

    parts: training images, a key for each (see `hold_out`), test images.  side: height and width, pixels.
    With `select_on` "test" all training images are trained on, and the test split serves for validation.
    """
    train, keys, test = parts
    on_test = options.select_on == "test"
    if on_test:
        validation = test
    else:
        kept, held = hold_out(keys, train.labels, fraction)
        train, validation = train.subset(kept), train.subset(held)
    return DataSet(name, tuple(classes), (3, side, side), preset, train, validation, test, on_test)


def from_one(
    name: str,
    classes: Sequence[str],
    preset: str,
    side: int,
    whole: Split,
    keys: Sequence[str],
    options: Options,
) -> DataSet:
    """A set that comes in one piece: a fifth of it is for testing, a fifth of the rest for validation."""
    rest, tested = hold_out(keys, whole.labels, TEST)
    left = [keys[index] for index in rest.tolist()]
    parts = (whole.subset(rest), left, whole.subset(tested))
    return from_two(name, classes, preset, side, parts, VALIDATION, options)
