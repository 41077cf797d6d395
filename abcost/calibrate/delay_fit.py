"""Delay laws from routed points: the mean over seeds, and how far seeds and sizes lie around it.

    Curve("width")                  the means over one size, straight lines between them
    Factors(("log2(bits)", "1"))    a weighted sum of terms that rise with the sizes, no factor below 0
    Split("width", 18, form)        one law up to 18, another from 19 on

No law falls when a unit grows: curves are made monotone, factors are not negative. Its ends are the law times
the least and the most of (routed delay / law) over all rows, those held out included: nothing that was seen
lies beyond them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from abcost.calibrate.delay_point import MeasuredDelay
from abcost.calibrate.laws import Curve as Points
from abcost.calibrate.laws import Ranges, digits, number
from abcost.calibrate.rising import isotonic
from abcost.cost.formula import Formula
from abcost.cost.law import Points as Straight


@dataclass(frozen=True, slots=True)
class FittedDelay:
    """One law: a formula, or points over one size; least, most: what its ends are times the law."""

    valid: Ranges
    value: str | Points
    over: str = ""
    least: float = 1.0
    most: float = 1.0

    def side(self, factor: float) -> str | Points:
        """The law times a factor, as a table writes it."""
        if isinstance(self.value, str):
            return self.value if factor == 1 else f"{number(factor)} * ({self.value})"
        return tuple((x, digits(y * factor)) for x, y in self.value)

    def within(self, size: Mapping[str, int]) -> bool:
        """Whether the law holds at these sizes."""
        return all(low <= size[name] <= high for name, (low, high) in self.valid.items())

    def at(self, size: Mapping[str, int]) -> float:
        """The law's value in ns."""
        if isinstance(self.value, str):
            return Formula.parse(self.value).at(size)
        return Straight(self.value, "linear", self.over).at(size)

    def with_ends(self, rows: Sequence[MeasuredDelay]) -> FittedDelay:
        """The same law with ends that hold all of these rows that are in its range."""
        ratios = [row.delay_ns / self.at(row.size) for row in rows if self.within(row.size)]
        least, most = math.floor(min(1, *ratios) * 1000) / 1000, math.ceil(max(1, *ratios) * 1000) / 1000
        return replace(self, least=least, most=most)


class Form(Protocol):
    """A family of laws."""

    def fit(self, rows: Sequence[MeasuredDelay]) -> list[FittedDelay]:
        """The laws of these rows of one unit under one mapping, without ends."""
        ...


@dataclass(frozen=True, slots=True)
class Curve:
    """The means over one size."""

    over: str

    def fit(self, rows: Sequence[MeasuredDelay]) -> list[FittedDelay]:
        """One law; the other sizes do not matter to it."""
        sizes = sorted({row.size[self.over] for row in rows})
        groups = [[row.delay_ns for row in rows if row.size[self.over] == size] for size in sizes]
        curve = isotonic(np.array([sum(group) / len(group) for group in groups]))
        if len(sizes) == 1:
            return [FittedDelay({self.over: (sizes[0], sizes[0])}, number(digits(float(curve[0]))))]
        points = tuple((x, digits(float(y))) for x, y in zip(sizes, curve, strict=True))
        return [FittedDelay({self.over: (sizes[0], sizes[-1])}, points, self.over)]


@dataclass(frozen=True, slots=True)
class Factors:
    """A weighted sum of terms over the sizes, by least squares of relative errors."""

    terms: tuple[str, ...]

    def fit(self, rows: Sequence[MeasuredDelay]) -> list[FittedDelay]:
        """One law. Terms whose factor would be negative are left out, the worst first."""
        factors = self._factors(rows)
        value = " + ".join(
            number(digits(f)) if term == "1" else f"{number(digits(f))} * {term}"
            for f, term in zip(factors, self.terms, strict=True)
            if digits(f) >= 1e-4
        )
        names = sorted(rows[0].size)
        valid = {n: (min(r.size[n] for r in rows), max(r.size[n] for r in rows)) for n in names}
        return [FittedDelay(valid, value)]

    def _factors(self, rows: Sequence[MeasuredDelay]) -> list[float]:
        formulas = [Formula.parse(term) for term in self.terms]
        columns = np.array([[formula.at(row.size) for formula in formulas] for row in rows])
        weights = 1 / np.array([row.delay_ns for row in rows])
        found = [0.0] * len(self.terms)
        used = list(range(len(self.terms)))
        while used:
            some, *_ = np.linalg.lstsq(columns[:, used] * weights[:, None], np.ones(len(rows)), rcond=None)
            worst = min(range(len(used)), key=lambda i: some[i])
            if some[worst] >= 0:
                for i, factor in zip(used, some, strict=True):
                    found[i] = float(factor)
                break
            used.pop(worst)
        return found


@dataclass(frozen=True, slots=True)
class Split:
    """One law up to `last`, another beyond: where a unit takes another structure."""

    over: str
    last: int
    form: Form

    def fit(self, rows: Sequence[MeasuredDelay]) -> list[FittedDelay]:
        """One law for each side that has rows.

        They do not fall from one side to the other: a larger unit could stand in for a smaller one.
        """
        low = [row for row in rows if row.size[self.over] <= self.last]
        high = [row for row in rows if row.size[self.over] > self.last]
        laws = [law for side in (low, high) if side for law in self.form.fit(side)]
        for i in range(1, len(laws)):
            laws[i] = _not_below(laws[i], laws[i - 1], self.over)
        return laws


def _not_below(law: FittedDelay, before: FittedDelay, over: str) -> FittedDelay:
    """A law raised to where the law before it ends."""
    last = before.valid[over][1]
    if isinstance(law.value, str) and isinstance(before.value, str):
        ending = re.sub(rf"\b{over}\b", str(last), before.value)
        return replace(law, value=f"max({ending}, {law.value})")
    if isinstance(law.value, str) or isinstance(before.value, str):
        return law
    least = before.value[-1][1]
    return replace(law, value=tuple((x, max(y, least)) for x, y in law.value))
