"""Stem, classes and input size that belong together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from abcost.registry import unknown_name


@dataclass(frozen=True, slots=True)
class Preset:
    """What a data set asks of a network."""

    stem: str  # "imagenet" or "cifar"
    num_classes: int
    input_shape: tuple[int, int, int, int]  # (N, C, H, W)


PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        "imagenet": Preset("imagenet", 1000, (1, 3, 224, 224)),
        "cifar10": Preset("cifar", 10, (1, 3, 32, 32)),
        "cifar100": Preset("cifar", 100, (1, 3, 32, 32)),
        "digits": Preset("cifar", 10, (1, 3, 8, 8)),
        "mnist5k": Preset("cifar", 10, (1, 3, 16, 16)),
    }
)


def preset(name: str) -> Preset:
    """The preset called `name`. Raises UnknownName.

    >>> preset("cifar10").input_shape
    (1, 3, 32, 32)
    """
    if name not in PRESETS:
        raise unknown_name("preset", name, PRESETS)
    return PRESETS[name]
