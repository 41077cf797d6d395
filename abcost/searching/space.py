"""What is searched: which exponents the slopes of each group of layers may take."""

from __future__ import annotations

import hashlib
import json
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from torch import nn

from abcost.core.exponents import ExponentSet
from abcost.core.graph import OpGraph
from abcost.core.kinds import OpKind
from abcost.errors import UsageError
from abcost.nn import QuantizedPReLU
from abcost.registry import unknown_name

GRANULARITIES = ("layer", "stage", "network")
SCALES: Mapping[str, Mapping[str, Any]] = {
    "none": {},
    "po2": {"weight_scale": "po2"},
    "csd": {"constant_multiply": "csd"},
}
"""Roundings of the scales of binary weights, as options of the rewriting: none, to powers of two, to signed digits."""
LOWEST, HIGHEST = -16, 8
MOST_SETS = 20_000  # of one group: each is priced once


@dataclass(frozen=True, slots=True)
class Candidate:
    """One point of a space: a set of exponents per group, in the order of `Space.groups`.

    alpha: exponent of the residual scale, None as the recipe says. scale: rounding of weight scales, in `SCALES`.
    """

    sets: tuple[ExponentSet, ...]
    alpha: int | None = None
    scale: str = "none"

    @property
    def key(self) -> str:
        """Twelve hexadecimal digits that name it in folders and tables."""
        return hashlib.sha256(json.dumps([self.sets, self.alpha, self.scale]).encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class Space:
    """Per group of layers a set of 1 to `most` exponents between `low` and `high`.

    groups: name -> the layers that share the set. width: bits of the data path; a right shift that leaves only the
    sign is the same shift, whatever its exponent. alphas: exponents of the residual scale to choose from, none for
    that of the recipe. scales: roundings of weight scales to choose from. Raises UsageError for a space that is empty
    or too large, UnknownName for a rounding that there is not.
    """

    groups: Mapping[str, tuple[str, ...]]
    low: int = -7
    high: int = 2
    most: int = 4
    width: int = 16
    alphas: tuple[int, ...] = ()
    scales: tuple[str, ...] = ("none",)

    def __post_init__(self) -> None:
        if not LOWEST <= self.low <= self.high <= HIGHEST:
            raise UsageError(
                f"--exponents {self.low}:{self.high} must rise and lie between {LOWEST} and {HIGHEST}, as in -7:2"
            )
        if not 1 <= self.most <= self.high - self.low + 1:
            raise UsageError(
                f"--max-exponents {self.most} must lie between 1 and the {self.high - self.low + 1} exponents of "
                f"{self.low}:{self.high}"
            )
        for scale in self.scales:
            if scale not in SCALES:
                raise unknown_name("--weight-scales choice", scale, SCALES)
        count = sum(math.comb(self.high - self.low + 1, size) for size in range(1, self.most + 1))
        if count > MOST_SETS:
            raise UsageError(
                f"--exponents {self.low}:{self.high} with --max-exponents {self.most} are {count:,} sets per group, "
                f"of at most {MOST_SETS:,}: narrow the range, or lower --max-exponents"
            )

    def sets(self) -> list[ExponentSet]:
        """All sets that differ in hardware, those with fewer exponents first."""
        offered = ExponentSet(range(self.low, self.high + 1)).at(self.width)
        sizes = range(1, min(self.most, len(offered)) + 1)
        return [ExponentSet(chosen) for size in sizes for chosen in combinations(offered, size)]

    def uniform(self, exponents: Sequence[int]) -> Candidate:
        """The same set everywhere, with the first of the other choices."""
        return self.candidate([exponents] * len(self.groups))

    def random(self, generator: random.Random) -> Candidate:
        """Sizes evenly, then exponents evenly."""
        offered = range(self.low, self.high + 1)
        sizes = [generator.randint(1, self.most) for _ in self.groups]
        sets = [generator.sample(offered, size) for size in sizes]
        alpha = generator.choice(self.alphas) if self.alphas else None
        return self.candidate(sets, alpha, generator.choice(self.scales))

    def candidate(
        self, sets: Sequence[Sequence[int]], alpha: int | None = None, scale: str | None = None
    ) -> Candidate:
        """With these sets, in the order of the groups; of the other choices the first, unless given."""
        first = self.alphas[0] if self.alphas else None
        return Candidate(
            tuple(ExponentSet(s).at(self.width) for s in sets),
            first if alpha is None else alpha,
            scale or self.scales[0],
        )

    def layers(self, candidate: Candidate) -> dict[str, ExponentSet]:
        """Layer -> its set, as `train --slopes` and `analyze --slopes` take it."""
        return {
            layer: exponents
            for exponents, layers in zip(candidate.sets, self.groups.values(), strict=True)
            for layer in layers
        }

    def to_dict(self) -> dict[str, Any]:
        """Plain values; `from_dict` reads them."""
        return {
            "groups": {name: list(layers) for name, layers in self.groups.items()},
            "low": self.low,
            "high": self.high,
            "most": self.most,
            "width": self.width,
            "alphas": list(self.alphas),
            "scales": list(self.scales),
        }

    @staticmethod
    def from_dict(plain: Mapping[str, Any]) -> Space:
        """The space that gave these values."""
        groups = {name: tuple(layers) for name, layers in plain["groups"].items()}
        return Space(
            groups,
            plain["low"],
            plain["high"],
            plain["most"],
            plain["width"],
            tuple(plain["alphas"]),
            tuple(plain["scales"]),
        )


def check_searchable(model: nn.Module, name: str, alphas: Sequence[int]) -> None:
    """Raise UsageError unless a search can choose the slopes of a network of the user's own, and nothing else of it."""
    real = [path for path, module in model.named_modules() if type(module) is nn.PReLU]
    if real or not any(isinstance(module, QuantizedPReLU) for module in model.modules()):
        found = f"{real[0]!r} is an nn.PReLU" if real else "there is none"
        raise UsageError(
            f"search chooses the exponents that the slopes of RPReLU may take, which are abcost.nn.QuantizedPReLU "
            f"layers, and in {name} {found}: build its activations with QuantizedPReLU(channels)"
        )
    if alphas:
        raise UsageError(f"--alpha-exponents is for zoo models: {name} has its own residual scales")


def groups_of(graph: OpGraph, granularity: str) -> dict[str, tuple[str, ...]]:
    """The layers with power-of-two PReLUs, in groups that share one set. Raises UsageError if there are none.

    A stage is what works on maps of one shape, and is named by it: 64x8x8.
    """
    found: dict[str, list[str]] = {}
    for node in graph:
        if node.kind is OpKind.SHIFT_PRELU:
            stage = "x".join(str(size) for size in node.shape[1:])
            name = {"layer": node.layer, "stage": stage, "network": "network"}[granularity]
            layers = found.setdefault(name, [])
            if node.layer not in layers:
                layers.append(node.layer)
    if not found:
        raise UsageError(
            "this network has no power-of-two slopes to choose: search needs variant ab, or a model with nn.PReLU"
        )
    return {name: tuple(layers) for name, layers in found.items()}
