"""Trainable parameters per network and data set."""

from __future__ import annotations

from dataclasses import dataclass

from abcost.models import catalogue, preset
from abcost.reproduce.printed import Verdict, millions, verdict

PUBLISHED: tuple[tuple[str, str, str, str], ...] = (
    ("ReActNet-18", "reactnet_18", "cifar10", "11.18 M"),
    ("ReActNet-A", "reactnet_a", "cifar10", "28.32 M"),
    ("ReActNet-18", "reactnet_18", "cifar100", "11.23 M"),
    ("ReActNet-A", "reactnet_a", "cifar100", "28.41 M"),
    ("ReActNet-18", "reactnet_18", "imagenet", "11.70 M"),
    ("ReActNet-34", "reactnet_34", "imagenet", "21.82 M"),
    ("ReActNet-A", "reactnet_a", "imagenet", "29.33 M"),
)
"""Network as printed, name in the zoo, preset, parameters as printed."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """One network's size."""

    network: str
    model: str
    preset: str
    published: str  # as printed
    ours: int

    @property
    def verdict(self) -> Verdict:
        """Whether our exact count, rounded, is the published one."""
        ours = millions(self.ours)
        return verdict(self.published, ours, ours)


def parameters() -> tuple[Parameters, ...]:
    """Sizes of the A&B networks, built without storage."""
    sizes = {}
    for name in dict.fromkeys(row[2] for row in PUBLISHED):
        chosen = preset(name)
        for entry in catalogue(variant="ab", stem=chosen.stem, num_classes=chosen.num_classes):
            sizes[entry.name, name] = entry.parameters
    return tuple(Parameters(*row, ours=sizes[row[1], row[2]]) for row in PUBLISHED)
