"""Laws from measured points: formulas that a human can read, or the points themselves.

    Terms("width", "1")                value = a * width + b, by least squares; terms with a negative factor are dropped
    Pieces("width", (Terms(…), …))     one such law per range of widths, as few ranges as keep within the tolerance
    Lines("width", boxes)              one line over width per box of other sizes, bounds from the spread of the points
    Interpolated("bits")               the points, straight lines between them

What a table says must not fall when a unit grows: lines of successive boxes and interpolated points are made to rise by
pooling neighbours that fall (isotonic regression), and a piece never ends above the start of the next, unless the
measured points themselves fall there (a larger multiplier moves from LUTs into DSPs).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from abcost.calibrate.point import Measured
from abcost.cost.formula import Formula

TOLERANCE: dict[str, tuple[float, float]] = {
    "luts": (1.0, 0.03),
    "ffs": (0.0, 0.0),
    "dsps": (0.0, 0.0),
    "area_um2": (0.0, 0.04),
    "energy_pj": (0.0, 0.10),
}
"""How far a piece may miss one of its points: absolute, or relative to the point, whichever is larger."""

Ranges = dict[str, tuple[int, int]]
Curve = tuple[tuple[int, float], ...]


@dataclass(frozen=True, slots=True)
class Law:
    """What one field of one entry of a cost table says: a formula, or points over one variable."""

    value: str | Curve
    low: str | Curve | None = None
    high: str | Curve | None = None


@dataclass(frozen=True, slots=True)
class Fitted:
    """One entry of a cost table: where it holds, and a law per field."""

    valid: Ranges
    laws: Mapping[str, Law]
    over: str = ""  # variable of the points, where a law is points


class Form(Protocol):
    """A family of laws."""

    def fit(self, measured: Sequence[Measured]) -> list[Fitted]:
        """The entries that describe these points of one unit."""
        ...


@dataclass(frozen=True, slots=True)
class Terms:
    """A weighted sum of terms, each a formula over the sizes."""

    terms: tuple[str, ...]

    def fit(self, measured: Sequence[Measured]) -> list[Fitted]:
        """One entry over the whole range of the points."""
        laws = {name: _law(self, measured, name) for name in measured[0].values}
        return [Fitted(_ranges(measured), laws)]

    def formula(self, measured: Sequence[Measured], values: Sequence[float]) -> str:
        """The least-squares formula for these values at the points' sizes."""
        columns = np.array([[Formula.parse(t).at(m.point.size) for t in self.terms] for m in measured])
        target = np.array(values)
        used = list(range(len(self.terms)))
        factors: NDArray[np.float64] = np.zeros(0)
        while used:
            weights = 1 / np.maximum(1.0, np.abs(target))  # relative errors count
            factors, *_ = np.linalg.lstsq(columns[:, used] * weights[:, None], target * weights, rcond=None)
            worst = [i for i, f in zip(used, factors, strict=True) if f < 0 and self.terms[i] != "1"]
            if not worst:
                break
            used.remove(worst[0])
        return _sum([(float(f), self.terms[i]) for f, i in zip(factors, used, strict=True)])


@dataclass(frozen=True, slots=True)
class Pieces:
    """One law per range of `over`, split where a law would miss a point by more than the tolerance.

    forms: from the simplest on; a field takes the first that keeps within the tolerance.
    """

    over: str
    forms: tuple[Terms, ...]

    def fit(self, measured: Sequence[Measured]) -> list[Fitted]:
        """The fewest entries that keep within the tolerance; of these the ones with the least error."""
        steps = sorted({m.point.size[self.over] for m in measured})
        groups = [[m for m in measured if m.point.size[self.over] == step] for step in steps]
        best: list[tuple[int, float, int]] = [(0, 0.0, 0)]  # pieces, error, start of the last piece
        for end in range(1, len(steps) + 1):
            options = []
            for start in range(end):
                error = self._error([m for group in groups[start:end] for m in group])
                if error is not None or end - start == 1:
                    options.append((best[start][0] + 1, best[start][1] + (error or 0.0), start))
            best.append(min(options))
        cuts, end = [], len(steps)
        while end:
            cuts.append((best[end][2], end))
            end = best[end][2]
        pieces = []
        for start, end in reversed(cuts):
            inside = [m for group in groups[start:end] for m in group]
            following = groups[end] if end < len(steps) else []  # between two steps, what either may have
            valid = _ranges([*inside, *following])
            valid[self.over] = (steps[start], steps[end] - 1 if end < len(steps) else steps[-1])
            laws = {name: _law(self._form(inside, name)[0], inside, name) for name in inside[0].values}
            pieces.append(Fitted(valid, laws))
        return _rising(pieces, measured, self.over)

    def _error(self, inside: Sequence[Measured]) -> float | None:
        """Sum of squared errors of all fields in units of the tolerance; None if some point is missed by more."""
        errors = [self._form(inside, name)[1] for name in inside[0].values]
        known = [error for error in errors if error is not None]
        return sum(known) if len(known) == len(errors) else None

    def _form(self, inside: Sequence[Measured], name: str) -> tuple[Terms, float | None]:
        """The simplest form within the tolerance, with its error; the last form and None if there is none."""
        for form in self.forms:
            error = _misfit(form, inside, name)
            if error is not None:
                return form, error
        return self.forms[-1], None


@dataclass(frozen=True, slots=True)
class Lines:
    """A line over `over` in each box of the other sizes; the spread of the points around it becomes its bounds.

    boxes: in the order in which cost rises. A box without points is left out.
    """

    over: str
    boxes: tuple[Ranges, ...]

    def fit(self, measured: Sequence[Measured]) -> list[Fitted]:
        """One entry per box."""
        inside = [(box, [m for m in measured if _contains(box, m)]) for box in self.boxes]
        inside = [(box, points) for box, points in inside if points]
        ranges = [_ranges(points)[self.over] for _, points in inside]
        laws: list[dict[str, Law]] = [{} for _ in inside]
        low, high = min(r[0] for r in ranges), max(r[1] for r in ranges)
        for name in measured[0].values:
            ends = np.array([self._ends(points, name, low, high) for _, points in inside])
            ends = np.column_stack([isotonic(ends[:, 0]), isotonic(ends[:, 1])])
            for i, (at_low, at_high) in enumerate(ends):
                slope = (at_high - at_low) / max(1, high - low)
                text = _sum([(slope, self.over), (at_low - slope * low, "1")])
                laws[i][name] = _bounded(text, inside[i][1], name)
        return [
            Fitted({self.over: valid, **box}, found)
            for (box, _), valid, found in zip(inside, ranges, laws, strict=True)
        ]

    def _ends(self, inside: Sequence[Measured], name: str, low: int, high: int) -> tuple[float, float]:
        law = Formula.parse(Terms((self.over, "1")).formula(inside, [m.values[name] for m in inside]))
        return law.at({self.over: low}), law.at({self.over: high})


def _contains(box: Ranges, m: Measured) -> bool:
    return all(low <= m.point.size[name] <= high for name, (low, high) in box.items())


@dataclass(frozen=True, slots=True)
class Interpolated:
    """The points over one variable, in straight lines."""

    over: str

    def fit(self, measured: Sequence[Measured]) -> list[Fitted]:
        """One entry."""
        ordered = sorted(measured, key=lambda m: m.point.size[self.over])
        sizes = [m.point.size[self.over] for m in ordered]

        def curve(values: Sequence[float]) -> str | Curve:
            smooth = [_digits(v) for v in isotonic(np.array(values))]
            return _number(smooth[0]) if len(set(smooth)) == 1 else tuple(zip(sizes, smooth, strict=True))

        laws = {}
        for name in ordered[0].values:
            bounds = [
                curve([side[name] for side in sides]) if all(name in side for side in sides) else None
                for sides in ([m.low for m in ordered], [m.high for m in ordered])
            ]
            laws[name] = Law(curve([m.values[name] for m in ordered]), *bounds)
        return [Fitted({self.over: (sizes[0], sizes[-1])}, laws, self.over)]


def isotonic(values: NDArray[np.float64]) -> list[float]:
    """The nearest rising sequence in least squares: neighbours that fall are replaced by their mean.

    >>> isotonic(np.array([1.0, 3.0, 2.0, 4.0]))
    [1.0, 2.5, 2.5, 4.0]
    """
    blocks: list[tuple[float, int]] = []
    for value in values:
        mean, count = float(value), 1
        while blocks and blocks[-1][0] > mean:
            before, many = blocks.pop()
            mean, count = (before * many + mean * count) / (many + count), many + count
        blocks.append((mean, count))
    return [mean for mean, count in blocks for _ in range(count)]


def _misfit(form: Terms, inside: Sequence[Measured], name: str) -> float | None:
    """Sum of squared errors in units of the tolerance; None if a point is missed by more than that."""
    absolute, relative = TOLERANCE[name]
    values = [m.values[name] for m in inside]
    law = Formula.parse(form.formula(inside, values))
    total = 0.0
    for m, value in zip(inside, values, strict=True):
        allowed = max(absolute, relative * value, 1e-3)
        miss = abs(law.at(m.point.size) - value) / allowed
        if miss > 1:
            return None
        total += miss**2
    return total


def _law(form: Terms, inside: Sequence[Measured], name: str) -> Law:
    """The law of one field, with laws for its bounds where the points have them."""
    value = form.formula(inside, [m.values[name] for m in inside])
    low, high = (
        form.formula(inside, [side[name] for side in sides]) if all(name in side for side in sides) else None
        for sides in ([m.low for m in inside], [m.high for m in inside])
    )
    return Law(
        value,
        None if low is None else f"min({low}, {value})",
        None if high is None else f"max({high}, {value})",
    )


def _bounded(text: str, inside: Sequence[Measured], name: str) -> Law:
    """The line with bounds that hold all its points (and their own bounds), as constant factors of it."""
    law = Formula.parse(text)
    ratios = [1.0]
    ratios += [
        side[name] / law.at(m.point.size)
        for m in inside
        for side in (m.values, m.low, m.high)
        if name in side and law.at(m.point.size) > 0
    ]
    least, most = np.floor(min(ratios) * 1000) / 1000, np.ceil(max(ratios) * 1000) / 1000
    if least == most == 1 or not law.variables:
        return Law(text)
    return Law(text, f"{_number(least)} * ({text})", f"{_number(most)} * ({text})")


def _rising(pieces: list[Fitted], measured: Sequence[Measured], over: str) -> list[Fitted]:
    """Cut each piece off at the least value that follows, unless the points themselves fall across the border."""
    found = pieces[-1:]
    for piece in reversed(pieces[:-1]):
        after = found[0]
        laws = dict(piece.laws)
        for name, law in piece.laws.items():
            if isinstance(law.value, str) and isinstance(after.laws[name].value, str):
                laws[name] = _capped(law, after.laws[name], piece, after, over)
                if _falls(measured, name, over, piece.valid[over], after.valid[over]):
                    laws[name] = law
        found.insert(0, Fitted(piece.valid, laws))
    return found


def _capped(law: Law, after: Law, piece: Fitted, following: Fitted, over: str) -> Law:
    """`law` no higher than `after` is at its start; only where both depend on `over` alone."""
    sides = []
    for here, there in ((law.value, after.value), (law.low, after.low), (law.high, after.high)):
        if not isinstance(here, str) or not isinstance(there, str):
            sides.append(here)
            continue
        mine, theirs = Formula.parse(here), Formula.parse(there)
        if (mine.variables | theirs.variables) - {over}:
            sides.append(here)
            continue
        start = theirs.at({over: following.valid[over][0]})
        over_it = mine.at({over: piece.valid[over][1]}) > start
        sides.append(f"min({here}, {_number(_digits(start))})" if over_it else here)
    return Law(*sides)  # type: ignore[arg-type]


def _falls(
    measured: Sequence[Measured], name: str, over: str, before: tuple[int, int], after: tuple[int, int]
) -> bool:
    """Whether the measured values fall from the last point of one range to the first of the next."""
    last = [m for m in measured if before[0] <= m.point.size[over] <= before[1]]
    first = [m for m in measured if m.point.size[over] == after[0]]
    end = max(m.point.size[over] for m in last)
    return max(m.values[name] for m in first) < max(m.values[name] for m in last if m.point.size[over] == end)


def _ranges(measured: Sequence[Measured]) -> Ranges:
    """From the least to the greatest value of each size."""
    names = measured[0].point.size
    return {
        name: (min(m.point.size[name] for m in measured), max(m.point.size[name] for m in measured))
        for name in names
    }


def _digits(value: float) -> float:
    """Four significant digits; a formula with more would claim more than was measured."""
    return float(f"{value:.4g}")


def _number(value: float) -> str:
    """A number as a formula writes it: 16, 0.6875, never 1.6e+01."""
    return f"{value:.12f}".rstrip("0").rstrip(".") or "0"


def _sum(parts: Sequence[tuple[float, str]]) -> str:
    """`2 * width + 3`; parts below a thousandth are left out, and a sum that can turn negative stops at 0."""
    text, negative = "", False
    for factor, term in parts:
        size = _number(abs(_digits(factor)))
        if float(size) < 1e-3:
            continue
        written = size if term == "1" else term if size == "1" else f"{size} * {term}"
        text += (
            f" {'-' if factor < 0 else '+'} {written}" if text else f"{'-' if factor < 0 else ''}{written}"
        )
        negative |= factor < 0
    return f"max(0, {text})" if negative else text or "0"
