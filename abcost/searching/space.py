"""What is searched: which exponents the slopes of each group of layers may take, and what else may be chosen.

What is trained is told apart from what is only made of it: the same training is rounded, put into other registers, onto
other devices and into engines for other frame rates, and each is priced and judged (`Space.variants`).
"""

from __future__ import annotations

import hashlib
import json
import math
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations, product
from typing import Any

from torch import nn

from abcost.core.exponents import ExponentSet
from abcost.core.graph import OpGraph
from abcost.core.kinds import OpKind
from abcost.errors import UsageError
from abcost.nn import QuantizedPReLU
from abcost.pipeline import check_width
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
    size: of the network, in `Space.sizes`; groups that it does not have are empty. width, fraction: bits of the data
    path, and those of them behind the point; None as the settings say, and not judged bit by bit.
    device: that must hold the accelerator, None as the settings say. fps: frames per second that engines are folded
    for, None as the budget says.
    """

    sets: tuple[ExponentSet, ...]
    alpha: int | None = None
    scale: str = "none"
    size: str = ""
    width: int | None = None
    fraction: int | None = None
    device: str | None = None
    fps: float | None = None

    @property
    def key(self) -> str:
        """Twelve hexadecimal digits that name it in folders and tables."""
        said: list[Any] = [self.sets, self.alpha, self.scale]
        others = [self.size, self.width, self.fraction, self.device]
        if others != ["", None, None, None]:  # else it is called as it was before there were others
            said += others
        if self.fps is not None:
            said.append(self.fps)
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:12]

    def described(self) -> dict[str, Any]:
        """Plain values, for trials and tables; `Space.read` reads them."""
        found: dict[str, Any] = {
            "sets": [list(s) for s in self.sets],
            "alpha": self.alpha,
            "scale": self.scale,
        }
        others = {
            "size": self.size,
            "width": self.width,
            "fraction": self.fraction,
            "device": self.device,
            "fps": self.fps,
        }
        return found | {name: value for name, value in others.items() if value not in ("", None)}


@dataclass(frozen=True, slots=True)
class Space:
    """Per group of layers a set of 1 to `most` exponents between `low` and `high`.

    groups: name -> the layers that share the set. width: bits of the data path; a right shift that leaves only the
    sign is the same shift, whatever its exponent. alphas: exponents of the residual scale to choose from, none for
    that of the recipe. scales: roundings of weight scales to choose from.
    formats: widths and fraction bits to choose from, none for those of the settings; `width` is the widest of them.
    sizes: name of a size of the network, as `shape_of` reads it -> its layers; none for the network as it is.
    devices: parts to choose from, the one to be preferred first. frame_rates: frames per second to fold engines for.
    Raises UsageError for a space that is empty or too large, UnknownName for a rounding that there is not.
    """

    groups: Mapping[str, tuple[str, ...]]
    low: int = -7
    high: int = 2
    most: int = 4
    width: int = 16
    alphas: tuple[int, ...] = ()
    scales: tuple[str, ...] = ("none",)
    formats: tuple[tuple[int, int], ...] = ()
    sizes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    devices: tuple[str, ...] = ()
    frame_rates: tuple[float, ...] = ()

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

    def uniform(self, exponents: Sequence[int], size: str | None = None) -> Candidate:
        """The same set everywhere, with the first of the other choices."""
        return self.candidate([exponents] * len(self.groups), size=size)

    def random(self, generator: random.Random) -> Candidate:
        """Sizes evenly, then exponents evenly."""
        offered = range(self.low, self.high + 1)
        sizes = [generator.randint(1, self.most) for _ in self.groups]
        sets = [generator.sample(offered, size) for size in sizes]
        alpha = generator.choice(self.alphas) if self.alphas else None
        size = generator.choice(list(self.sizes)) if self.sizes else None
        return self.candidate(sets, alpha, size=size)

    def candidate(
        self,
        sets: Sequence[Sequence[int]],
        alpha: int | None = None,
        scale: str | None = None,
        size: str | None = None,
    ) -> Candidate:
        """What is trained with these sets, in the order of the groups; of the other choices the first, unless given.

        Its `variants` are what is judged. Sets of groups that the size does not have are left out: they change nothing.
        """
        first = self.alphas[0] if self.alphas else None
        size = size or next(iter(self.sizes), "")
        there = self.present(size)
        return Candidate(
            tuple(
                ExponentSet(s).at(self.width) if group in there else ExponentSet()
                for s, group in zip(sets, self.groups, strict=True)
            ),
            first if alpha is None else alpha,
            scale or self.scales[0],
            size,
        )

    def read(self, described: Mapping[str, Any]) -> Candidate:
        """The candidate that gave these values (`Candidate.described`)."""
        found = self.candidate(
            described["sets"], described["alpha"], described["scale"], described.get("size")
        )
        return replace(
            found,
            width=described.get("width"),
            fraction=described.get("fraction"),
            device=described.get("device"),
            fps=described.get("fps"),
        )

    def variants(self, candidate: Candidate) -> list[Candidate]:
        """What one training gives without another: every rounding, format and frame rate, device by device.

        At a narrow width, hardware sees some exponents as others. Such a variant is left out: the candidate with those
        other exponents is the same hardware, and is judged itself.
        """
        formats: Sequence[tuple[int | None, int | None]] = self.formats or ((None, None),)
        kept = [
            (width, fraction)
            for width, fraction in formats
            if width is None or all(s.at(width) == s for s in candidate.sets)
        ]
        return [
            replace(candidate, scale=scale, width=width, fraction=fraction, device=part, fps=fps)
            for scale, (width, fraction), fps, part in product(
                self.scales, kept, self.frame_rates or (None,), self.devices or (None,)
            )
        ]

    def base(self, candidate: Candidate) -> Candidate:
        """What is trained for a variant."""
        return replace(candidate, scale=self.scales[0], width=None, fraction=None, device=None, fps=None)

    @property
    def chooses_forms(self) -> bool:
        """Whether one training gives several designs."""
        return len(self.scales) > 1 or bool(self.formats or self.devices or self.frame_rates)

    def present(self, size: str) -> dict[str, tuple[str, ...]]:
        """The groups that a size of the network has, with its layers alone."""
        if size not in self.sizes:
            return dict(self.groups)
        mine = set(self.sizes[size])
        found = {name: tuple(x for x in layers if x in mine) for name, layers in self.groups.items()}
        return {name: layers for name, layers in found.items() if layers}

    def of_size(self, size: str, width: int) -> Space:
        """The sets of one network at one width, for prices."""
        return Space(self.present(size), self.low, self.high, self.most, width, self.alphas, self.scales)

    def layers(self, candidate: Candidate) -> dict[str, ExponentSet]:
        """Layer -> its set, as `train --slopes` and `analyze --slopes` take it."""
        there = self.present(candidate.size)
        return {
            layer: exponents
            for exponents, group in zip(candidate.sets, self.groups, strict=True)
            for layer in there.get(group, ())
        }

    def to_dict(self) -> dict[str, Any]:
        """Plain values; `from_dict` reads them. What an older abcost did not have is there only where it is used."""
        found = {
            "groups": {name: list(layers) for name, layers in self.groups.items()},
            "low": self.low,
            "high": self.high,
            "most": self.most,
            "width": self.width,
            "alphas": list(self.alphas),
            "scales": list(self.scales),
        }
        others = {
            "formats": [list(pair) for pair in self.formats],
            "sizes": {name: list(layers) for name, layers in self.sizes.items()},
            "devices": list(self.devices),
            "frame_rates": list(self.frame_rates),
        }
        return found | {name: value for name, value in others.items() if value}

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
            tuple((width, fraction) for width, fraction in plain.get("formats", ())),
            {name: tuple(layers) for name, layers in plain.get("sizes", {}).items()},
            tuple(plain.get("devices", ())),
            tuple(plain.get("frame_rates", ())),
        )


def key_of(described: Mapping[str, Any]) -> str:
    """The key of what these values describe (`Candidate.described`), whatever its space."""
    sets = tuple(ExponentSet(s) for s in described["sets"])
    return Candidate(**{**described, "sets": sets}).key


def formats_of(widths: Sequence[int], fractions: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Every width with every number of fraction bits that leaves a bit before the point. Raises UsageError.

    >>> formats_of((8, 12), (6, 8))
    ((8, 6), (12, 6), (12, 8))
    """
    for option, values in (("--widths", widths), ("--fractions", fractions)):
        if any(type(value) is not int or value < 0 for value in values) or len(set(values)) < len(values):
            said = ",".join(map(str, values))
            raise UsageError(f"{option} {said} must be different whole numbers of at least 0, such as 8,12")
    for width in widths:
        check_width(width)
    found = tuple((width, fraction) for width, fraction in product(widths, fractions) if fraction < width)
    if not found:
        raise UsageError(
            f"no width of {','.join(map(str, widths))} holds a bit before the point with "
            f"{','.join(map(str, fractions))} fraction bits: widen --widths, or take fewer --fractions"
        )
    return found


def size_name(base_width: int | None, blocks: Sequence[int] | None) -> str:
    """How a size of the network is called: channels of the first stage, and blocks per stage.

    >>> size_name(16, (2, 2, 2)), size_name(None, (1, 1))
    ('16:2,2,2', ':1,1')
    """
    return f"{'' if base_width is None else base_width}:{','.join(map(str, blocks or ()))}"


def slug(name: str) -> str:
    """A name as a file is called.

    >>> slug("fixed 2^-3")
    'fixed-2-3'
    """
    return re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")


def shape_of(size: str) -> dict[str, Any]:
    """What a size says of the network; nothing where the recipe does.

    >>> shape_of("16:2,2,2"), shape_of(":1,1"), shape_of("")
    ({'base_width': 16, 'blocks': (2, 2, 2)}, {'blocks': (1, 1)}, {})
    """
    width, _, blocks = size.partition(":")
    found: dict[str, Any] = {"base_width": int(width)} if width else {}
    return found | ({"blocks": tuple(int(n) for n in blocks.split(","))} if blocks else {})


def joined(
    found: Mapping[str, Mapping[str, tuple[str, ...]]], granularity: str
) -> tuple[dict[str, tuple[str, ...]], dict[str, tuple[str, ...]]]:
    """The groups of several sizes as those of one space, and the layers of each size. found: size -> its groups.

    A stage is called by its number, for maps of the same stage differ between sizes.
    """
    groups: dict[str, dict[str, None]] = {}
    for of_size in found.values():
        for number, (name, layers) in enumerate(of_size.items(), 1):
            called = f"stage {number}" if granularity == "stage" else name
            groups.setdefault(called, {}).update(dict.fromkeys(layers))
    sizes = {size: tuple(x for layers in of.values() for x in layers) for size, of in found.items()}
    return {name: tuple(layers) for name, layers in groups.items()}, sizes


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
