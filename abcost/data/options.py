"""What a user may say about how a data set is read."""

from __future__ import annotations

import os
from dataclasses import dataclass

from abcost.data.augment import Moves
from abcost.data.lighting import LIGHTINGS
from abcost.errors import UsageError
from abcost.registry import unknown_name

SELECT_ON = ("validation", "test")


@dataclass(frozen=True, slots=True)
class Options:
    """None takes what is documented for the data set. Raises UnknownName or UsageError."""

    seed: int = 0  # of the augmentation; splits do not depend on it
    image_size: int | None = None  # pixels, height and width
    shift: int | None = None  # pixels that an image of a set in memory is moved by at most
    flip: bool | None = None  # left to right, with probability 1/2
    workers: int | None = None  # processes that read image files
    select_on: str = "validation"  # or "test", as published: train on all, choose by the test split
    lighting: str | None = None  # of image files in training, see `abcost.data.lighting`; None: float

    def __post_init__(self) -> None:
        if self.select_on not in SELECT_ON:
            raise unknown_name("split to select on", self.select_on, SELECT_ON)
        if self.lighting is not None and self.lighting not in LIGHTINGS:
            raise unknown_name("lighting", self.lighting, LIGHTINGS)
        if self.image_size is not None and self.image_size < 1:
            raise UsageError(f"an image size of {self.image_size} is not at least 1 pixel")
        if self.workers is not None and self.workers < 0:
            raise UsageError(f"{self.workers} workers are not at least 0")

    def moves(self, usual: Moves, side: int) -> Moves:
        """`usual`, with what the user said, for images of side x side pixels in memory. Raises UsageError."""
        if self.lighting is not None:
            raise UsageError(
                f"lighting {self.lighting} is for image files; a data set in memory has none: leave it out"
            )
        chosen = Moves(
            usual.shift if self.shift is None else self.shift,
            usual.flip if self.flip is None else self.flip,
            usual.padding,
        )
        chosen.check(side)
        return chosen

    @property
    def reading_processes(self) -> int:
        """Processes that read image files; 0 is the calling one."""
        return min(8, os.cpu_count() or 1) if self.workers is None else self.workers

    def refuse_workers(self, name: str) -> None:
        """Raise UsageError if workers are given; for sets that are held in memory."""
        if self.workers is not None:
            raise UsageError(
                f"images of {name} are held in memory, nobody reads files; leave the workers out"
            )

    def refuse_image_size(self, name: str, side: int) -> None:
        """Raise UsageError if another image size is given; for sets that come in one size."""
        if self.image_size not in {None, side}:
            raise UsageError(f"images of {name} are {side}x{side}; leave the image size out")
