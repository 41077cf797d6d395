"""Delay laws from routed points: the mean over seeds, and how far seeds and sizes lie around it.

The forms that a unit's file names (`abcost.rtl.forms`) are fitted here. No law falls when a unit grows: curves are made
monotone, factors are not negative. Its ends are the law times the least and the most of (routed delay / law) over all
rows, those held out included: nothing that was seen lies beyond them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from abcost.calibrate.delay_point import MeasuredDelay
from abcost.calibrate.laws import Curve as Points
from abcost.calibrate.laws import Ranges, digits, number
from abcost.calibrate.monotone import isotonic
from abcost.cost.formula import Formula
from abcost.cost.law import Points as Straight
from abcost.rtl.forms import Curve, DelayForm, Factors, Split


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


def fit(form: DelayForm, rows: Sequence[MeasuredDelay]) -> list[FittedDelay]:
    """The laws of these rows of one unit under one mapping, without ends."""
    match form:
        case Curve():
            return [_curve(form, rows)]
        case Factors():
            return [_factors(form, rows)]
        case Split():
            return _split(form, rows)


def _curve(form: Curve, rows: Sequence[MeasuredDelay]) -> FittedDelay:
    """The means at each size, made to rise."""
    sizes = sorted({row.size[form.over] for row in rows})
    groups = [[row.delay_ns for row in rows if row.size[form.over] == size] for size in sizes]
    curve = isotonic(np.array([sum(group) / len(group) for group in groups]))
    if len(sizes) == 1:
        return FittedDelay({form.over: (sizes[0], sizes[0])}, number(digits(float(curve[0]))))
    points = tuple((x, digits(float(y))) for x, y in zip(sizes, curve, strict=True))
    return FittedDelay({form.over: (sizes[0], sizes[-1])}, points, form.over)


def _factors(form: Factors, rows: Sequence[MeasuredDelay]) -> FittedDelay:
    """The sum of the terms. Terms whose factor would be negative are left out, the worst first."""
    negligible = 1e-4 * min(1.0, *(row.delay_ns for row in rows))  # ns; a nanosecond is long on some cells
    value = " + ".join(
        number(digits(f)) if term == "1" else f"{number(digits(f))} * {term}"
        for f, term in zip(_least_squares(form.terms, rows), form.terms, strict=True)
        if digits(f) >= negligible
    )
    names = sorted(rows[0].size)
    valid = {n: (min(r.size[n] for r in rows), max(r.size[n] for r in rows)) for n in names}
    return FittedDelay(valid, value)


def _least_squares(terms: Sequence[str], rows: Sequence[MeasuredDelay]) -> list[float]:
    formulas = [Formula.parse(term) for term in terms]
    columns = np.array([[formula.at(row.size) for formula in formulas] for row in rows])
    weights = 1 / np.array([row.delay_ns for row in rows])
    found = [0.0] * len(terms)
    used = list(range(len(terms)))
    while used:
        some, *_ = np.linalg.lstsq(columns[:, used] * weights[:, None], np.ones(len(rows)), rcond=None)
        worst = min(range(len(used)), key=lambda i: some[i])
        if some[worst] >= 0:
            for i, factor in zip(used, some, strict=True):
                found[i] = float(factor)
            break
        used.pop(worst)
    return found


def _split(form: Split, rows: Sequence[MeasuredDelay]) -> list[FittedDelay]:
    """One law for each side that has rows.

    They do not fall from one side to the other: a larger unit could stand in for a smaller one.
    """
    low = [row for row in rows if row.size[form.over] <= form.last]
    high = [row for row in rows if row.size[form.over] > form.last]
    laws = [law for side in (low, high) if side for law in fit(form.form, side)]
    for i in range(1, len(laws)):
        laws[i] = _not_below(laws[i], laws[i - 1], form.over)
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
