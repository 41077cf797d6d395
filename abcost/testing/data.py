"""What a data set promises."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from torch import Tensor

from abcost.data import DataSet, Split, load
from abcost.models.presets import PRESETS
from abcost.testing.contract import hold

BATCH = 16
_PARTS = ("train", "validation", "test")


def check_data(
    name: str,
    root: Path | str | None = None,
    *,
    image_size: int | None = None,
    most: int = 20_000,
    alike: int = 0,
) -> None:
    """Raises AssertionError unless the data set is three splits that a training can rely on.

    - Classes have names of their own, labels are int64 from 0, and every class is in every split.
    - Images are (B, 3, H, W), float32, finite, of the size that the set says; its preset is one of abcost's.
    - The splits have no image in common, and are the same in every run, whatever the seed.
    - Without augmentation an image is the same in every epoch; with it, it depends on seed, epoch and index only, not
      on who reads it, in which order or with which.
    - `batches` gives all of its order, `subset` counts from 0.
    - With select_on "test" all other images are for training, and validation is the test split.

    root: folder of its files.  most: images per split that are compared, the first ones.
    alike: pairs of equal images in two splits that the source is known to have.
    """
    what, folder = f"data set {name}", None if root is None else Path(root)
    first, second = (load(name, folder, image_size=image_size) for _ in range(2))
    other = load(name, folder, image_size=image_size, seed=1)
    hold(first.preset in PRESETS, f"{what}: preset {first.preset!r} is none of {', '.join(PRESETS)}")
    distinct = len(set(first.classes)) == len(first.classes) > 1
    hold(distinct and all(first.classes), f"{what}: its classes need names, at least two, each another")
    for part in _PARTS:
        split = getattr(first, part)
        _check_split(f"{what}, {part}", split, first)
        for again, when in ((second, "when it is loaded again"), (other, "with another seed")):
            same = _same(split, getattr(again, part), most)
            hold(same, f"{what}, {part}: other images or another order {when}")
        _check_reading(f"{what}, {part}", split, getattr(second, part))
    _check_disjoint(what, first, most, alike)
    _check_selection(what, first, load(name, folder, image_size=image_size, select_on="test"), most)


def _check_selection(what: str, first: DataSet, chosen: DataSet, most: int) -> None:
    """`chosen` was loaded with select_on "test"."""
    hold(chosen.selected_on_test, f"{what}: select_on 'test' is not said by selected_on_test")
    hold(
        _same(chosen.validation, first.test, most),
        f"{what}: with select_on 'test' validation is not the test split",
    )
    hold(
        len(chosen.train) == len(first.train) + len(first.validation),
        f"{what}: with select_on 'test' {len(chosen.train)} images are trained on, "
        f"not {len(first.train) + len(first.validation)}",
    )


def _check_split(what: str, split: Split, data: DataSet) -> None:
    labels, classes = split.labels, len(data.classes)
    hold(len(split) > 0, f"{what} is empty")
    kept = labels.dtype == torch.int64 and tuple(labels.shape) == (len(split),)
    hold(
        kept,
        f"{what}: labels are {labels.dtype} of shape {tuple(labels.shape)}, not int64 of ({len(split)},)",
    )
    missing = sorted(set(range(classes)) ^ set(labels.tolist()))
    hold(
        not missing,
        f"{what}: classes {missing[:5]} are without images, or labels are none of 0 … {classes - 1}",
    )
    some = torch.arange(min(BATCH, len(split)))
    images, found = split.batch(some, epoch=0, augment=False)
    shape = (len(some), *data.input_shape)
    hold(
        tuple(images.shape) == shape and images.dtype == torch.float32,
        f"{what}: a batch is {images.dtype} of shape {tuple(images.shape)}, not float32 of {shape}",
    )
    hold(bool(images.isfinite().all()), f"{what}: an image has values that are not finite")
    hold(torch.equal(found, labels[some]), f"{what}: labels of a batch are not those of the split")


def _check_reading(what: str, split: Split, again: Split) -> None:
    """Check the images of one and the same split, read twice."""
    some = torch.arange(min(BATCH, len(split)))
    backwards = some.flip(0)
    plain = _images(split, some, 0)
    hold(
        torch.equal(plain, _images(split, some, 3)),
        f"{what}: without augmentation an image changes with the epoch",
    )
    for epoch in (0, 1):
        moved = _images(split, some, epoch, augment=True)
        hold(
            torch.equal(moved, _images(again, some, epoch, augment=True)),
            f"{what}: augmentation is not repeatable",
        )
        hold(
            torch.equal(moved, _images(split, backwards, epoch, augment=True).flip(0)),
            f"{what}: how an image is moved depends on the order in which images are read",
        )
        parts = [images for images, _ in split.batches(some, 5, epoch=epoch, augment=True)]
        hold(torch.equal(torch.cat(parts), moved), f"{what}: batches() gives other images than batch()")
        sizes = [len(part) for part in parts]
        hold(all(size == 5 for size in sizes[:-1]), f"{what}: batches of 5 have {sizes} images")
    part = split.subset(backwards)
    same = len(part) == len(some) and torch.equal(_images(part, some, 0), plain.flip(0))
    hold(same and torch.equal(part.labels, split.labels[backwards]), f"{what}: subset() gives other images")


def _images(split: Split, indices: Tensor, epoch: int, *, augment: bool = False) -> Tensor:
    return split.batch(indices, epoch=epoch, augment=augment)[0]


def _digests(split: Split, most: int) -> list[bytes]:
    """Digests of the first images as they are, and their labels."""
    order = torch.arange(min(most, len(split)))
    found = []
    for images, labels in split.batches(order, 256, epoch=0, augment=False):
        found += [
            hashlib.sha256(image.numpy().tobytes()).digest() + bytes(str(label), "ascii")
            for image, label in zip(images, labels.tolist(), strict=True)
        ]
    return found


def _same(one: Split, other: Split, most: int) -> bool:
    return len(one) == len(other) and _digests(one, most) == _digests(other, most)


def _check_disjoint(what: str, data: DataSet, most: int, alike: int) -> None:
    """Equal images in two splits, whatever their labels."""
    digests = {part: {d[:32] for d in _digests(getattr(data, part), most)} for part in _PARTS}
    pairs = (("train", "validation"), ("train", "test"), ("validation", "test"))
    shared = {f"{a} and {b}": len(digests[a] & digests[b]) for a, b in pairs}
    hold(
        sum(shared.values()) <= alike,
        f"{what}: images are in two splits: "
        + ", ".join(f"{n} in {pair}" for pair, n in shared.items() if n),
    )
