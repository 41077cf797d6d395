"""Nothing gets cheaper by growing: how points and laws are made to rise.

Values of successive sizes are pooled where they fall (isotonic regression). A point counts with no more than a larger
unit that could stand in for it. A piece of a law never ends above the start of the next, unless the points themselves
fall there, because a larger unit moves from LUTs into DSPs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from abcost.calibrate.laws import Fitted, Law, Ranges, digits, number
from abcost.calibrate.point import Measured
from abcost.cost.formula import Formula


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


def embedded(measured: Sequence[Measured], over: str) -> list[Measured]:
    """Every point with at most the values of points that are larger in `over` alone and take no more DSPs."""

    def stands_in(larger: Measured, m: Measured) -> bool:
        sizes, own = dict(larger.point.size), dict(m.point.size)
        return (
            sizes.pop(over) >= own.pop(over)
            and sizes == own
            and larger.values.get("dsps", 0) <= m.values.get("dsps", 0)
        )

    found = []
    for m in measured:
        others = [larger for larger in measured if stands_in(larger, m)]
        values = {name: min(o.values[name] for o in others) for name in m.values}
        low = {name: min(values[name], bound) for name, bound in m.low.items()}
        found.append(replace(m, values=values, low=low))
    return found


COUNTS = {"exponents", "choices"}
"""Sizes that grow from one structure of a unit to the next."""


def exceeds(
    first: str, second: str, here: Ranges, there: Ranges, growing: frozenset[str] = frozenset()
) -> bool:
    """Whether one formula is above another at some size that is in both ranges, `COUNTS` and `growing` sizes aside.

    Looked at where pieces of the formulas meet: at the ends of ranges, and where two variables are equal.
    """
    a, b = Formula.parse(first), Formula.parse(second)
    names = sorted(a.variables | b.variables)
    common = [_common(name, here, there) for name in names]
    if any(low > high for low, high in common) or any(
        max(here[n][0], there[n][0]) > min(here[n][1], there[n][1])
        for n in (here.keys() & there.keys()) - COUNTS - growing
    ):
        return False
    marks = sorted({*(end for ends in common for end in ends), 1, *range(2, 64)})
    steps = [[m for m in marks if low <= m <= high] for low, high in common]
    steps = [
        s if len(s) < 4 or name == "span" else [s[0], s[1], s[-1]]
        for s, name in zip(steps, names, strict=True)
    ]
    sizes = (dict(zip(names, values, strict=True)) for values in product(*steps))
    return any(a.at(size) > b.at(size) * (1 + 1e-9) for size in sizes)


def _common(name: str, here: Ranges, there: Ranges) -> tuple[int, int]:
    (low, high), (least, most) = (ranges.get(name, (0, 63)) for ranges in (here, there))
    return max(low, least), min(high, most)


def monotone(pieces: list[Fitted], measured: Sequence[Measured], over: str) -> list[Fitted]:
    """Cut each piece off at the least value that follows, unless the points themselves fall across the border."""
    found = pieces[-1:]
    for piece in reversed(pieces[:-1]):
        after = found[0]
        laws = dict(piece.laws)
        for name, law in piece.laws.items():
            if isinstance(law.value, str) and isinstance(after.laws[name].value, str):
                rounded = _below if "area_um2" in measured[0].values else digits
                laws[name] = _capped(law, after.laws[name], piece, after, over, rounded)
                if _falls(measured, name, over, piece.valid[over], after.valid[over]):
                    laws[name] = law
        found.insert(0, Fitted(piece.valid, laws))
    return found


def _capped(
    law: Law, after: Law, piece: Fitted, following: Fitted, over: str, rounded: Callable[[float], float]
) -> Law:
    """`law` no higher than `after` is at its start, to four digits; only where both depend on `over` alone."""
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
        sides.append(f"min({here}, {number(rounded(start))})" if over_it else here)
    return Law(*sides)  # type: ignore[arg-type]


def _below(value: float) -> float:
    """Four digits that are no more than the value."""
    short = digits(value)
    if short <= value:
        return short
    step = 10.0 ** (math.floor(math.log10(value)) - 3)
    return digits(math.floor(value / step) * step)


def _falls(
    measured: Sequence[Measured], name: str, over: str, before: tuple[int, int], after: tuple[int, int]
) -> bool:
    """Whether the measured values fall from the last point of one range to the first of the next."""
    last = [m for m in measured if before[0] <= m.point.size[over] <= before[1]]
    start = min(m.point.size[over] for m in measured if m.point.size[over] >= after[0])
    first = [m for m in measured if m.point.size[over] == start]
    end = max(m.point.size[over] for m in last)
    return max(m.values[name] for m in first) < max(m.values[name] for m in last if m.point.size[over] == end)
