"""The four published 32-bit units, and what one layer saves: cited, not measured."""

from __future__ import annotations

from dataclasses import dataclass

from abcost.cost import CostTable
from abcost.reproduce.printed import Verdict, percent

TARGET = "abbnn-paper"
WIDTH = 32  # bits
FIELDS = ("luts", "slices", "dsps")

UNITS: tuple[tuple[str, str, tuple[int, int, int]], ...] = (
    ("multiplier", "multiply", (47, 12, 4)),
    ("bit-shift", "shift_select", (32, 11, 0)),
    ("PReLU", "prelu", (57, 17, 4)),
    ("quantized PReLU", "qprelu", (32, 9, 0)),
)
"""Published name, unit of the cost table, published LUTs, slices and DSPs."""

BEFORE = ("multiply", "multiply", "prelu")  # alpha, beta, slope
AFTER = ("shift_select", "qprelu")  # alpha; beta is gone with the mask
ONE_LAYER: tuple[tuple[str, int, int, str], ...] = (
    ("luts", 151, 64, "57.6"),
    ("slices", 41, 20, "51.2"),
    ("dsps", 12, 0, "100.0"),
)
"""One convolution layer without pooling: field, published before, after, and percent saved."""


@dataclass(frozen=True, slots=True)
class Unit:
    """One unit: published figures and those of the cited table, in the order of FIELDS."""

    name: str
    unit: str
    published: tuple[int, int, int]
    table: tuple[float, ...]

    @property
    def verdict(self) -> Verdict:
        """Whether the table holds what was published."""
        return Verdict.EXACT if self.table == self.published else Verdict.DIFFERS


@dataclass(frozen=True, slots=True)
class Saving:
    """One layer before and after, in one resource; ours is the sum over the table's units."""

    resource: str
    published: tuple[int, int, str]  # before, after, percent saved
    before: float
    after: float

    @property
    def saved(self) -> str:
        """Percent."""
        return percent(self.before - self.after, self.before)

    @property
    def verdict(self) -> Verdict:
        """Whether sums and percentage come out."""
        return Verdict.EXACT if (self.before, self.after, self.saved) == self.published else Verdict.DIFFERS


def units() -> tuple[Unit, ...]:
    """The published units as the bundled table has them."""
    table = CostTable.load(TARGET)
    found = []
    for name, unit, published in UNITS:
        details = table.price(unit, width=WIDTH).details
        found.append(Unit(name, unit, published, tuple(details[field].value for field in FIELDS)))
    return tuple(found)


def one_layer(priced: tuple[Unit, ...]) -> tuple[Saving, ...]:
    """One layer: alpha multiplier + beta multiplier + PReLU -> alpha shift + quantized PReLU."""
    figures = {unit.unit: dict(zip(FIELDS, unit.table, strict=True)) for unit in priced}
    return tuple(
        Saving(
            field,
            (before, after, saved),
            before=sum(figures[unit][field] for unit in BEFORE),
            after=sum(figures[unit][field] for unit in AFTER),
        )
        for field, before, after, saved in ONE_LAYER
    )
