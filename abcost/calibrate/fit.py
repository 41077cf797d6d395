"""Laws from measured points: formulas that a human can read, or the points themselves.

The forms that a unit's file names (`abcost.rtl.forms`) are fitted here. What a table says must not fall when a unit
grows: see `abcost.calibrate.monotone`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from abcost.calibrate.laws import Curve, Fitted, Law, Ranges, digits, number, sum_text
from abcost.calibrate.monotone import embedded, exceeds, isotonic, monotone
from abcost.calibrate.point import Measured, means
from abcost.cost.formula import Formula
from abcost.rtl.forms import Box, Boxes, Each, Form, Interpolated, Pieces, Terms

TOLERANCE: dict[str, tuple[float, float]] = {
    "luts": (1.0, 0.03),
    "area_um2": (0.0, 0.04),
    "energy_pj": (0.0, 0.10),
    "leakage_nw": (0.0, 0.04),
}
"""How far a piece may miss one of its points: absolute, or relative to the point, whichever is larger."""

WHOLE = {"ffs": (0.0, 0.0), "dsps": (0.0, 0.0)}
"""Fields that come in whole pieces: their laws must be exact."""

MUCH_BETTER = 4
"""A longer form is preferred if its squared error is less than this fraction of a shorter one's."""


NEGLIGIBLE = 1e-3
"""A part of a law that stays below this fraction of the scale is left out."""


def scale(measured: Sequence[Measured], values: Sequence[float]) -> float:
    """What errors of these values are small against.

    Of standard cells the least positive value, for square micrometres and picojoules say nothing of a library. What is
    counted on FPGAs comes in pieces: LUTs, flip-flops, blocks, and transitions, which take about a picojoule each.
    """
    return min((value for value in values if value > 0), default=1.0) if _cells(measured) else 1.0


def _cells(measured: Sequence[Measured]) -> bool:
    """Whether the points are of standard cells."""
    return "area_um2" in measured[0].values


def fit(form: Form, measured: Sequence[Measured]) -> list[Fitted]:
    """The entries of a cost table that describe these points of one unit."""
    match form:
        case Terms():
            laws = {name: _law(form, measured, name) for name in measured[0].values}
            return [Fitted(_ranges(measured), laws)]
        case Pieces():
            return _pieces(form, measured)
        case Boxes():
            return _boxes(form, measured)
        case Each():
            return _each(form, measured)
        case Interpolated():
            return _interpolated(form, measured)


def _formula(terms: Terms, measured: Sequence[Measured], values: Sequence[float]) -> str:
    """The least-squares formula for these values at the points' sizes."""
    return sum_text(list(zip(_factors(terms, measured, values), terms.terms, strict=True)))


def _factors(form: Terms, measured: Sequence[Measured], values: Sequence[float]) -> tuple[float, ...]:
    """The least-squares factors of the terms, for relative errors; 0 for a term that would pull down."""
    formulas = [Formula.parse(term) for term in form.terms]
    columns = np.array([[formula.at(m.point.size) for formula in formulas] for m in measured])
    target, least = np.array(values), scale(measured, values)
    weights = 1 / np.maximum(least, np.abs(target))
    found = np.zeros(len(form.terms))
    used = list(range(len(form.terms)))
    while used:
        some, *_ = np.linalg.lstsq(columns[:, used] * weights[:, None], target * weights, rcond=None)
        worst = [i for i, f in zip(used, some, strict=True) if f < 0 and form.terms[i] != "1"]
        if not worst:
            found[used] = some
            break
        used.remove(worst[0])
    reach = np.abs(found) * (np.abs(columns).max(axis=0) if _cells(measured) else 1)  # a piece a step
    found[reach < NEGLIGIBLE * least] = 0
    return tuple(found.tolist())


def _pieces(form: Pieces, measured: Sequence[Measured]) -> list[Fitted]:
    """The fewest entries that keep within the tolerance; of these the ones with the least error."""
    measured = embedded(measured, form.over)
    steps = sorted({m.point.size[form.over] for m in measured})
    groups = [[m for m in measured if m.point.size[form.over] == step] for step in steps]
    pieces = []
    for start, end in _cuts(form, steps, groups):
        inside = [m for group in groups[start:end] for m in group]
        following = groups[end] if end < len(steps) else []  # between two steps, what either may have
        valid = _ranges([*inside, *following])
        if form.covering:
            valid[form.over] = (steps[start - 1] + 1 if start else steps[0], steps[end - 1])
        else:
            valid[form.over] = (steps[start], steps[end] - 1 if end < len(steps) else steps[-1])
        laws = {name: _law_of_piece(form, inside, name) for name in inside[0].values}
        pieces.append(Fitted(valid, laws))
    return monotone(pieces, measured, form.over)


def _cuts(form: Pieces, steps: Sequence[int], groups: Sequence[Sequence[Measured]]) -> list[tuple[int, int]]:
    """First and last step (exclusive) of each range."""
    best: list[tuple[int, float, int]] = [(0, 0.0, 0)]  # pieces, error, start of the last piece
    for end in range(1, len(steps) + 1):
        options = []
        for start in range(end):
            error = _error(form, [m for group in groups[start:end] for m in group])
            if error is not None or end - start == 1:
                options.append((best[start][0] + 1, best[start][1] + (error or 0.0), start))
        best.append(min(options))
    cuts, end = [], len(steps)
    while end:
        cuts.append((best[end][2], end))
        end = best[end][2]
    return cuts[::-1]


def _error(form: Pieces, inside: Sequence[Measured]) -> float | None:
    """Sum of squared errors of all fields in units of the tolerance; None if some point is missed by more."""
    errors = [_simplest(form, inside, name)[1] for name in inside[0].values]
    known = [error for error in errors if error is not None]
    return sum(known) if len(known) == len(errors) else None


def _law_of_piece(form: Pieces, inside: Sequence[Measured], name: str) -> Law:
    """The law of one field; bounds hold the points where no form is within the tolerance.

    What comes in whole pieces (DSPs, flip-flops) is then the most of any point, not a fraction.
    """
    terms, error = _simplest(form, inside, name)
    if error is None and name in WHOLE:
        counts = [m.values[name] for m in inside]
        return Law(number(max(counts)), low=number(min(counts)))
    law = _law(terms, inside, name)
    if error is None and law.low is None and isinstance(law.value, str):
        return _bounded(law.value, inside, name)
    return law


def _simplest(form: Pieces, inside: Sequence[Measured], name: str) -> tuple[Terms, float | None]:
    """The simplest form within the tolerance, unless a later one is much better; with its error.

    The last form and None if there is none.
    """
    if len({m.values[name] for m in inside}) == 1:
        return Terms(("1",)), 0.0
    found: tuple[Terms, float | None] = (form.forms[-1], None)
    for terms in form.forms:
        error = _misfit(terms, inside, name)
        if error is not None and (found[1] is None or error < found[1] / MUCH_BETTER):
            found = (terms, error)
    return found


def _boxes(form: Boxes, measured: Sequence[Measured]) -> list[Fitted]:
    """One entry per box."""
    held = [(box, [m for m in measured if box.holds(m.point.size)]) for box in form.boxes]
    inside = [(box, points) for box, points in held if points]
    over = form.terms[0]
    valid: list[Ranges] = [{over: _ranges(measured)[over], **box.ranges} for box, _ in inside]
    laws: list[dict[str, Law]] = [{} for _ in inside]
    for name in measured[0].values:
        texts = [
            _formula(Terms((*form.terms, *box.terms, "1")), points, [m.values[name] for m in points])
            for box, points in inside
        ]
        for i, (_, points) in enumerate(inside):
            growing = frozenset(inside[i][0].growing)
            earlier = [(_least(texts[j], inside[j][0], growing), valid[j]) for j in range(i)]
            before = [text for text, there in earlier if exceeds(text, texts[i], there, valid[i], growing)]
            text = f"max({', '.join([texts[i], *before])})" if before else texts[i]
            laws[i][name] = _bounded(text, points, name)
    return [Fitted(ranges, found) for ranges, found in zip(valid, laws, strict=True)]


def _least(text: str, box: Box, growing: Collection[str]) -> str:
    """A law with the least that a unit in its box has of these sizes."""
    for name in growing:
        if name in box.least:
            text = re.sub(rf"\b{name}\b", str(box.least[name]), text)
    return text


def _each(form: Each, measured: Sequence[Measured]) -> list[Fitted]:
    """The entries of every value in turn."""
    found = []
    for value in sorted({m.point.size[form.over] for m in measured}):
        mine = [m for m in measured if m.point.size[form.over] == value]
        found += [
            replace(entry, valid={**entry.valid, form.over: (value, value)}) for entry in fit(form.form, mine)
        ]
    return found


def _interpolated(form: Interpolated, measured: Sequence[Measured]) -> list[Fitted]:
    """One entry; of several points of one size their mean."""
    ordered = sorted(means(measured), key=lambda m: m.point.size[form.over])
    sizes = [m.point.size[form.over] for m in ordered]

    def curve(values: Sequence[float]) -> str | Curve:
        smooth = [digits(v) for v in isotonic(np.array(values))]
        return number(smooth[0]) if len(set(smooth)) == 1 else tuple(zip(sizes, smooth, strict=True))

    laws = {}
    for name in ordered[0].values:
        bounds = [
            curve([side[name] for side in sides]) if all(name in side for side in sides) else None
            for sides in ([m.low for m in ordered], [m.high for m in ordered])
        ]
        laws[name] = Law(curve([m.values[name] for m in ordered]), *bounds)
    return [Fitted({form.over: (sizes[0], sizes[-1])}, laws, form.over)]


def _misfit(form: Terms, inside: Sequence[Measured], name: str) -> float | None:
    """Sum of squared errors in units of the tolerance; None if a point is missed by more than that."""
    absolute, relative = {**TOLERANCE, **WHOLE}[name]
    values = [m.values[name] for m in inside]
    law, slack = Formula.parse(_formula(form, inside, values)), NEGLIGIBLE * scale(inside, values)
    total = 0.0
    for m, value in zip(inside, values, strict=True):
        allowed = max(absolute, relative * value, slack)
        miss = abs(law.at(m.point.size) - value) / allowed
        if miss > 1:
            return None
        total += miss**2
    return total


def _law(form: Terms, inside: Sequence[Measured], name: str) -> Law:
    """The law of one field, with laws for its bounds where the points have them."""
    value = _formula(form, inside, [m.values[name] for m in inside])
    low, high = (
        _formula(form, inside, [side[name] for side in sides])
        if all(name in side for side in sides)
        else None
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
    return Law(text, f"{number(least)} * ({text})", f"{number(most)} * ({text})")


def _ranges(measured: Sequence[Measured]) -> Ranges:
    """Name of a size -> its least and greatest value."""
    names = measured[0].point.size
    return {
        name: (min(m.point.size[name] for m in measured), max(m.point.size[name] for m in measured))
        for name in names
    }
