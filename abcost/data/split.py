"""Cutting a split in two, the same way in every run and on every machine."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from abcost.data.seeded import number
from abcost.errors import DataError


def hold_out(keys: Sequence[str], labels: Tensor, fraction: float) -> tuple[Tensor, Tensor]:
    """Indices of the images that stay and of those held out, each ascending, int64.

    Of every class, round(fraction * images) are held out, and at least one: those whose `number("split", key)`
    is smallest.  A key names an image for good (its file, or its place in a fixed set), so that neither order nor
    seed moves it, and images that are added move few others.

    Raises DataError if a class has a single image.
    """
    kept: list[int] = []
    held: list[int] = []
    ranks = [number("split", key) for key in keys]
    classes: dict[int, list[int]] = {}
    for index, label in enumerate(labels.tolist()):
        classes.setdefault(label, []).append(index)
    for label, members in classes.items():
        if len(members) == 1:
            raise DataError(
                f"class {label} has one image ({keys[members[0]]}), which cannot be split; add images to it"
            )
        members.sort(key=lambda index: (ranks[index], keys[index]))
        count = min(max(1, round(fraction * len(members))), len(members) - 1)
        held += members[:count]
        kept += members[count:]
    return torch.tensor(sorted(kept)), torch.tensor(sorted(held))
