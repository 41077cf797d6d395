"""One measured point: a unit at one size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal

from abcost.rtl.sweep import Sample
from abcost.rtl.unit import Unit, build

Role = Literal["fit", "held out", "published"]
"""To fit a law; to test it; to hold against a published figure."""


def role_of(sample: Sample) -> Role:
    """What a sample of a sweep is measured for."""
    return "held out" if sample.held_out else "fit"


@dataclass(frozen=True, slots=True)
class Point:
    """`op` built with `parameters`; `size` is the same in the variables of a cost table (width, bits, …).

    role: what the point is measured for, fit, test, or comparison.
    """

    op: str
    size: Mapping[str, int]
    parameters: Mapping[str, Any]
    role: Role = "fit"

    @property
    def unit(self) -> Unit:
        """The hardware."""
        return build(self.op, **self.parameters)


@dataclass(frozen=True, slots=True)
class Measured:
    """A point and what it costs: field -> value; `low` and `high` where the method gives an interval."""

    point: Point
    values: Mapping[str, float]
    low: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    high: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))


def means(measured: Sequence[Measured]) -> list[Measured]:
    """One point for each size, in the order in which the sizes come: of several of one size their mean."""
    of: dict[tuple[tuple[str, int], ...], list[Measured]] = {}
    for m in measured:
        of.setdefault(tuple(m.point.size.items()), []).append(m)
    return [
        replace(
            same[0],
            values=_mean([m.values for m in same]),
            low=_mean([m.low for m in same]),
            high=_mean([m.high for m in same]),
        )
        if len(same) > 1
        else same[0]
        for same in of.values()
    ]


def _mean(sides: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: sum(side[name] for side in sides) / len(sides) for name in sides[0]}
