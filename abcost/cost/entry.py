"""The frozen records of a cost table: figures with their provenance, sources, memory levels, answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from abcost.core.cost import FIELDS, Cost
from abcost.cost.formula import Formula
from abcost.cost.law import Points, Range
from abcost.rtl.unit import in_order

PER_BIT: dict[str, str] = {"xnor": "one bit", "popcount": "one bit of the counted word"}
"""Operations that have a price of their own, and are part of a unit where they are built."""


def units() -> dict[str, str]:
    """What a table may price -> what one of it is: every unit that is registered, and PER_BIT."""
    return {**{op: template.about for op, template in in_order()}, **PER_BIT}


PRICED: tuple[str, ...] = (*FIELDS, "slices")
"""Fields that an entry may give. Slices stay a detail outside `Cost`: they hold the LUTs and flip-flops."""

METHODS: tuple[str, ...] = ("cited", "measured", "derived")

CONFIDENCES: tuple[str, ...] = ("verified", "measured", "derived", "partly", "from memory")
"""How sure a figure is, best first: checked against its source; measured by abcost; derived from checked
figures; checked in part; quoted from memory, not checked."""


def weakest(confidences: list[str]) -> str:
    """The least sure of several confidences."""
    return max(confidences, key=CONFIDENCES.index)


@dataclass(frozen=True, slots=True)
class Source:
    """Where figures come from: a publication, a repository at a commit, or a measurement."""

    name: str
    title: str
    where: str  # table, figure, DOI, repository@commit, command
    note: str = ""

    def __str__(self) -> str:
        return f"{self.title}; {self.where}"


@dataclass(frozen=True, slots=True)
class Figure:
    """One field of one unit: a law, where it holds, and where it comes from.

    With `parts` the law is a count: the value is law x (sum of the parts at the same parameters).
    """

    op: str
    field: str
    law: Formula | Points
    low: Formula | Points | None
    high: Formula | Points | None
    valid: Mapping[str, Range]
    sources: tuple[str, ...]  # names of `Source`; empty where parts carry them
    method: str
    confidence: str
    note: str
    parts: tuple[str, ...]
    entry: int  # position in the file, from 1

    def needs(self) -> set[str]:
        """Variables that must be known to answer."""
        laws = (self.law, self.low, self.high)
        return set(self.valid).union(*(law.variables for law in laws if law is not None))

    def to_dict(self) -> dict[str, Any]:
        """Plain values; laws as text, ranges as [low, high]."""
        return {
            "unit": self.op,
            "field": self.field,
            "law": self.law.text,
            "low": None if self.low is None else self.low.text,
            "high": None if self.high is None else self.high.text,
            "valid": {name: [valid.low, valid.high] for name, valid in self.valid.items()},
            "parts": list(self.parts),
            "source": list(self.sources),
            "method": self.method,
            "confidence": self.confidence,
            "note": self.note,
        }


@dataclass(frozen=True, slots=True)
class Detail:
    """One priced field with its provenance; `low` and `high` are bounds in the same unit, where known."""

    value: float
    low: float | None
    high: float | None
    sources: tuple[Source, ...]
    method: str  # cited | measured | derived | interpolated
    confidence: str  # one of CONFIDENCES
    note: str

    @property
    def source(self) -> str:
        """All citations in one line."""
        return " + ".join(map(str, self.sources))

    def to_dict(self) -> dict[str, Any]:
        """Plain values; `source` is the citation, `source_ids` the names in the table."""
        return {
            "value": self.value,
            "low": self.low,
            "high": self.high,
            "source": self.source,
            "source_ids": [source.name for source in self.sources],
            "method": self.method,
            "confidence": self.confidence,
            "note": self.note,
        }


@dataclass(frozen=True, slots=True)
class UnitPrice:
    """Cost of one unit. A field that the table does not price is None in `cost` and absent in `details`."""

    op: str
    cost: Cost
    details: Mapping[str, Detail]

    @property
    def confidence(self) -> str | None:
        """The least sure of all fields; None where nothing is priced."""
        return weakest([d.confidence for d in self.details.values()]) if self.details else None

    @property
    def sources(self) -> tuple[Source, ...]:
        """Sources of all fields, each once."""
        return tuple(dict.fromkeys(s for d in self.details.values() for s in d.sources))

    @property
    def source(self) -> str | None:
        """All citations in one line; None where nothing is priced."""
        return " + ".join(map(str, self.sources)) or None

    def to_dict(self) -> dict[str, Any]:
        """Cost fields (None: not priced), `source`, `confidence`, `low`/`high` per field, `details`."""
        return {
            **self.cost.to_dict(),
            "source": self.source,
            "confidence": self.confidence,
            "low": {name: d.low for name, d in self.details.items() if d.low is not None},
            "high": {name: d.high for name, d in self.details.items() if d.high is not None},
            "details": {name: d.to_dict() for name, d in self.details.items()},
        }


@dataclass(frozen=True, slots=True)
class Clock:
    """Energy of one clocked register in one cycle in which it does not turn, in pJ; the clock's tree aside."""

    energy_pj: float
    sources: tuple[str, ...]
    confidence: str
    note: str


@dataclass(frozen=True, slots=True)
class MemoryLevel:
    """One memory as published: energy of one access of `access_bits` bits.

    energy per bit = energy_pj / access_bits
    """

    name: str
    energy_pj: float  # picojoule per access
    low_pj: float | None
    high_pj: float | None
    access_bits: int
    capacity_bits: int | None  # None: unlimited, for example DRAM
    sources: tuple[str, ...]
    confidence: str
    note: str

    @property
    def energy_pj_per_bit(self) -> float:
        """Picojoule per bit moved: energy_pj / access_bits."""
        return self.energy_pj / self.access_bits


@dataclass(frozen=True, slots=True)
class MemoryLevels:
    """The memories of a target and which of them serve a network."""

    levels: Mapping[str, MemoryLevel]
    weights: MemoryLevel | None  # None: the table says that it does not know
    activations: MemoryLevel | None

    def to_dict(self) -> dict[str, Any]:
        """Plain values: the levels as published, and which of them serve weights and activations."""
        return {
            "weights": self.weights.name if self.weights else None,
            "activations": self.activations.name if self.activations else None,
            "levels": [
                {**asdict(level), "energy_pj_per_bit": level.energy_pj_per_bit}
                for level in self.levels.values()
            ],
        }
