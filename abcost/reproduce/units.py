"""The four published 32-bit units, cited and as measured by synthesis, and what one layer saves."""

from __future__ import annotations

import csv
from dataclasses import dataclass

from abcost.cost import CostTable, cost_models_dir
from abcost.errors import CostError
from abcost.reproduce.printed import Verdict, percent
from abcost.rtl.readings import READINGS, WIDTH, Reading

TARGET = "abbnn-paper"
MEASURED = "fpga-lut6"
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
class Synthesized:
    """A reading of a published unit with the LUTs and DSPs that synthesis gives it (slices need a placement)."""

    reading: Reading
    luts: int
    dsps: int


@dataclass(frozen=True, slots=True)
class PublishedUnit:
    """One unit: published figures, those of the cited table (both in the order of FIELDS), and measured readings."""

    name: str
    unit: str
    published: tuple[int, int, int]
    table: tuple[float, ...]
    readings: tuple[Synthesized, ...]

    @property
    def meant(self) -> tuple[Synthesized, ...]:
        """The readings that may be meant."""
        return tuple(s for s in self.readings if s.reading.meant)

    def fits(self, reading: Synthesized) -> bool:
        """Whether synthesis gives the published LUTs and DSPs."""
        luts, _, dsps = self.published
        return (reading.luts, reading.dsps) == (luts, dsps)

    @property
    def verdict(self) -> Verdict:
        """Whether the table holds what was published, and a reading that may be meant measures the same."""
        measured = any(self.fits(reading) for reading in self.meant)
        return Verdict.EXACT if measured and self.table == self.published else Verdict.DIFFERS


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


def units() -> tuple[PublishedUnit, ...]:
    """The published units as the bundled table has them, and as they were measured."""
    table = CostTable.load(TARGET)
    synthesized = _synthesized()
    found = []
    for name, unit, published in UNITS:
        details = table.price(unit, width=WIDTH).details
        cited = tuple(details[field].value for field in FIELDS)
        readings = tuple(s for s in synthesized if s.reading.row == name)
        found.append(PublishedUnit(name, unit, published, cited, readings))
    return tuple(found)


def _synthesized() -> tuple[Synthesized, ...]:
    """The readings with their raw points. Raises CostError for a point that is not in the bundled file."""
    path = cost_models_dir() / "points" / f"{MEASURED}.csv"
    with path.open(encoding="utf-8", newline="") as file:
        points = {row["module"]: row for row in csv.DictReader(file) if row["role"] == "published"}
    missing = [r.unit.name for r in READINGS if r.unit.name not in points]
    if missing:
        raise CostError(f"{path} has no point {missing[0]}; run abcost calibrate {MEASURED}")
    rows = [(reading, points[reading.unit.name]) for reading in READINGS]
    return tuple(Synthesized(reading, int(row["luts"]), int(row["dsps"])) for reading, row in rows)


def one_layer(priced: tuple[PublishedUnit, ...]) -> tuple[Saving, ...]:
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
