"""One measured point: a unit at one size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from abcost.rtl.unit import Unit, build

Role = Literal["fit", "held out", "published"]
"""To fit a law; to test it; to hold against a published figure."""


_TEMPLATES: dict[str, tuple[str, Mapping[str, Any]]] = {
    "masked_popcount": ("xnor_popcount", {"masked": True}),
    "masked_two_word_popcount": ("two_word_popcount", {"masked": True}),
    "plain_popcount": ("popcount", {}),
    "block_read": ("memory", {"place": "block"}),
}
"""Units of a cost table whose template has another name, or is built in another way."""


def unit_of(op: str, parameters: Mapping[str, Any]) -> Unit:
    """The hardware of a unit of a cost table."""
    template, more = _TEMPLATES.get(op, (op, {}))
    return build(template, **parameters, **more)


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
        return unit_of(self.op, self.parameters)


@dataclass(frozen=True, slots=True)
class Measured:
    """A point and what it costs: field -> value; `low` and `high` where the method gives an interval."""

    point: Point
    values: Mapping[str, float]
    low: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    high: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
