"""Images in one folder per class."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from abcost.errors import DataError

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")  # in any case


@dataclass(frozen=True, slots=True)
class Listing:
    """Image files in the order of their names, class by class."""

    folder: Path
    classes: tuple[str, ...]  # names of the class folders, sorted: label -> name
    files: tuple[str, ...]  # relative to `folder`, with "/"
    labels: tuple[int, ...]


def listing(folder: Path) -> Listing:
    """Every image in FOLDER/CLASS/, and in folders inside.

    Raises DataError if there are no class folders, or one of them has no image.
    """
    try:
        classes = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and entry.name[0] != ".")
        files: list[str] = []
        labels: list[int] = []
        for label, name in enumerate(classes):
            found = sorted(_images(folder, name))
            if not found:
                raise DataError(
                    f"{folder / name} holds no image ({', '.join(SUFFIXES)}); add some, or remove the folder"
                )
            files += found
            labels += [label] * len(found)
    except OSError as error:
        raise DataError(f"cannot read {error.filename or folder}: {error.strerror}") from error
    if len(classes) < 2:
        raise DataError(f"{folder} holds {len(classes)} class folders; images belong in one folder per class")
    return Listing(folder, tuple(classes), tuple(files), tuple(labels))


def _images(folder: Path, name: str) -> Iterator[str]:
    """Paths relative to `folder`; by text alone, because a million of them are listed. Raises OSError."""

    def fail(error: OSError) -> None:
        raise error

    start = len(str(folder / name)) - len(name)
    for place, _, names in os.walk(folder / name, onerror=fail):
        inside = place[start:].replace(os.sep, "/")
        yield from (f"{inside}/{file}" for file in names if file.lower().endswith(SUFFIXES))


def same_classes(one: Listing, other: Listing) -> None:
    """Raises DataError unless both have the same class folders."""
    apart = sorted(set(one.classes) ^ set(other.classes))
    if apart:
        shown = ", ".join(apart[:3]) + (", …" if len(apart) > 3 else "")
        raise DataError(
            f"{one.folder} and {other.folder} must have the same class folders; {len(apart)} are in one of them "
            f"only: {shown}"
        )
