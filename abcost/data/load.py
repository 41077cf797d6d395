"""From what the user named to a data set."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from abcost.data.code import from_code
from abcost.data.dataset import DataSet
from abcost.data.folder import image_folder
from abcost.data.options import Options
from abcost.data.registry import DATA
from abcost.errors import UnknownName, UsageError


def load(  # noqa: PLR0913 - what `Options` has, by name
    name_or_path: str | PathLike[str],
    root: str | PathLike[str] | None = None,
    *,
    seed: int = 0,
    image_size: int | None = None,
    shift: int | None = None,
    flip: bool | None = None,
    workers: int | None = None,
    select_on: str = "validation",
    lighting: str | None = None,
) -> DataSet:
    """The data set called `name_or_path`, the images in that folder, or those of `path/to/file.py:function`.

    Folders: see `image_folder`; functions: see `from_code`.

    root: folder that holds its files; sets that ship with a package take none.
    seed: of the augmentation; which image is in which split never changes.
    image_size, shift, flip, workers, select_on, lighting: see `Options`.

    Raises UnknownName, UsageError, MissingExtra (with what to install), and DataError if files are missing,
    damaged or not what they should be (with which files are wanted where, and how to get them).

    >>> load("digits").input_shape
    (3, 8, 8)
    """
    options = Options(seed, image_size, shift, flip, workers, select_on, lighting)
    name = str(name_or_path)
    if ":" in name:
        if root is not None:
            raise UsageError(f"--data-root is for data sets in files; {name} finds its own: leave it out")
        return from_code(name, options)
    try:
        loader = DATA.get(name)
    except UnknownName as error:
        folder = Path(root or "") / name
        if _is_folder(folder):
            return image_folder(folder, options)
        raise UnknownName(
            f"{error}; your own images are named by their folder, and there is no folder {folder}, or by "
            "a function that gives them, file.py:function"
        ) from None
    return loader(None if root is None else Path(root), options)


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a name too long
        return False
