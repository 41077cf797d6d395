"""Random shifts and flips of images in memory, all of an epoch drawn at once."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from abcost.data.seeded import number
from abcost.errors import UsageError


@dataclass(frozen=True, slots=True)
class Moves:
    """What may happen to a training image: pad by `shift` on every side, flip left to right, crop at random.

    The published recipe for CIFAR is shift 4, padded by reflection, with flips.
    """

    shift: int  # pixels
    flip: bool
    padding: str = "reflect"  # or "constant": black

    def check(self, side: int) -> None:
        """Raises UsageError for a shift that does not go with images of side x side pixels."""
        if not 0 <= self.shift < side:
            raise UsageError(f"a shift of {self.shift} is not between 0 and {side - 1} pixels")


@dataclass(frozen=True, slots=True)
class Draws:
    """What happens to every image of a split in one epoch."""

    down: Tensor  # (N,), int64, 0 … 2 * shift: first row of the crop, in the padded image
    right: Tensor  # (N,), the same for columns
    flips: Tensor  # (N,), bool


def draw(moves: Moves, images: int, seed: int, epoch: int) -> Draws:
    """Uniform offsets, flips of probability 1/2; the same for the same seed and epoch."""
    generator = torch.Generator().manual_seed(number("moves", seed, epoch))
    down, right = torch.randint(2 * moves.shift + 1, (2, images), generator=generator)
    flips = torch.randint(2, (images,), generator=generator).bool()
    return Draws(down, right, flips & moves.flip)


def apply(moves: Moves, images: Tensor, drawn: Draws, indices: Tensor) -> Tensor:
    """The images `indices` of a split moved as drawn; (B, C, H, W) -> (B, C, H, W), floating point."""
    height, width = images.shape[-2:]
    if moves.shift:
        images = functional.pad(images, [moves.shift] * 4, mode=moves.padding)
    # where each pixel of the result comes from: the padded image is flipped, then cropped
    rows = drawn.down[indices, None] + torch.arange(height)  # (B, H)
    columns = drawn.right[indices, None] + torch.arange(width)  # (B, W)
    columns = torch.where(drawn.flips[indices, None], images.shape[-1] - 1 - columns, columns)
    picture = torch.arange(len(images))[:, None, None]
    moved = images.movedim(1, -1)[picture, rows[:, :, None], columns[:, None, :]]  # (B, H, W, C)
    return moved.movedim(-1, 1).contiguous()
