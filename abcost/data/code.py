"""Images that a function of the user gives."""

from __future__ import annotations

import torch
from torch import Tensor

from abcost.core.usercode import made_by
from abcost.data.assemble import from_one
from abcost.data.augment import Moves
from abcost.data.dataset import DataSet
from abcost.data.folder import preset_for
from abcost.data.memory import MemorySplit
from abcost.data.options import Options
from abcost.errors import DataError, one_line

MOVES = Moves(shift=0, flip=False, padding="constant")  # nothing is known about the images


def from_code(text: str, options: Options) -> DataSet:
    """The images that the function `text`, path/to/file.py:function or package.module:function, returns.

    It takes no arguments and returns (images, labels): (N, 1 or 3, H, H), uint8 in 0 … 255 or floating point in
    0 … 1, and N whole numbers, the classes 0, 1, …  The set is split 64 / 16 / 20 %, by the place of an image.
    Images are not moved unless `options` says so.

    Raises DataError: the function is missing or fails, or what it returns is none of that.
    """
    images, labels = _pair(text, made_by(text, {}, what="data set", failure=DataError))
    side = images.shape[-1]
    options.refuse_image_size(text, side)
    options.refuse_workers(text)
    whole = MemorySplit(images, labels, options.moves(MOVES, side), options.seed)
    classes = [str(label) for label in range(int(labels.max()) + 1)]
    keys = [str(index) for index in range(len(whole))]
    return from_one(text, classes, preset_for(side), side, whole, keys, options)


def _pair(text: str, made: object) -> tuple[Tensor, Tensor]:
    """Images as `MemorySplit` takes them, and labels. Raises DataError."""
    if not isinstance(made, tuple) or len(made) != 2:
        raise DataError(
            f"{text} gave a {type(made).__name__}; return (images, labels), two tensors or arrays"
        )
    try:
        images, labels = (torch.as_tensor(part) for part in made)
    except (Exception, GeneratorExit) as error:  # its __array__ may raise anything
        raise DataError(f"{text} gave what is no tensor: {one_line(error)}") from error
    if images.dim() != 4 or images.shape[1] not in {1, 3} or images.shape[2] != images.shape[3]:
        shape = "x".join(map(str, images.shape))
        raise DataError(f"{text} gave images of shape {shape}; they must be Nx1xHxH or Nx3xHxH")
    if images.dtype != torch.uint8:
        if not images.is_floating_point() or not bool(((images >= 0) & (images <= 1)).all()):
            raise DataError(f"{text} gave {images.dtype} images; use uint8, or floating point from 0 to 1")
        images = images.float()
    if labels.shape != images.shape[:1] or labels.is_floating_point() or labels.is_complex():
        raise DataError(f"{text} gave labels that are not {len(images)} whole numbers, one for each image")
    labels = labels.to(torch.int64)
    classes = set(labels.tolist())
    if not classes or classes != set(range(len(classes))):
        raise DataError(f"{text} gave labels that are not 0, 1, 2, …, each at least once")
    return images, labels
