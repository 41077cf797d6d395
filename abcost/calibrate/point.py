"""One measured point: a unit at one size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
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
