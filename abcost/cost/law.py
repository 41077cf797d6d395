"""Laws: how a cost depends on the size of a unit. Two forms, both readable in the table.

    luts = "1.17 * bits + 44.1"                                                      # formula
    energy_pj = { points = [[8, 0.2], [32, 3.1]], interpolation = "power" }          # published points

A law answers inside its valid range only; `abcost.cost.table` refuses everything else. Between points:

    linear   y = y0 + (y1 - y0) * (x - x0) / (x1 - x0)
    power    y = y0 * (x / x0) ** (log(y1 / y0) / log(x1 / x0))     straight on log-log axes
    none     nothing: only the points themselves
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from abcost.core.unit_size import SIZES
from abcost.cost.formula import Formula, shown
from abcost.errors import CostError

INTERPOLATIONS: tuple[str, ...] = ("linear", "power", "none")

_LARGEST = 1 << 20  # bound of every valid range; far above any width or word length
_SAMPLES = {
    1: 256,
    2: 24,
    3: 10,
    4: 6,
    5: 4,
    6: 3,
}  # number of ranged variables -> values tried of each at load


@dataclass(frozen=True, slots=True)
class Range:
    """Integers from `low` to `high`, both included."""

    low: int
    high: int

    def __contains__(self, value: int) -> bool:
        return self.low <= value <= self.high

    def __str__(self) -> str:
        return str(self.low) if self.low == self.high else f"{self.low} to {self.high}"

    def overlaps(self, other: Range) -> bool:
        """Whether some integer is in both."""
        return self.low <= other.high and other.low <= self.high

    def sample(self, count: int) -> list[int]:
        """Integers of the range, `count` at most, evenly spread, both ends included."""
        span = self.high - self.low
        if span < count:
            return list(range(self.low, self.high + 1))
        return [self.low + span * i // (count - 1) for i in range(count)]

    @classmethod
    def read(cls, value: object, variable: str) -> Range:
        """`[low, high]` from a table. Raises CostError with the reason."""
        least = SIZES[variable].least
        match value:
            case [int() as low, int() as high] if not isinstance(low, bool) and not isinstance(high, bool):
                if least <= low <= high <= _LARGEST:
                    return cls(low, high)
        raise CostError(
            f"valid_{variable} must be [low, high], {least} <= low <= high <= {_LARGEST}, got {shown(value)}"
        )


@dataclass(frozen=True, slots=True)
class Points:
    """Published points over one variable, with a stated way to read between them.

    >>> Points(((8, 0.2), (32, 3.1)), "power", "width").at({"width": 16})  # 0.2 * sqrt(3.1 / 0.2)
    0.7874007874011811
    """

    points: tuple[tuple[int, float], ...]
    interpolation: str
    over: str

    @property
    def text(self) -> str:
        """The points as text, for example `8: 0.2, 32: 3.1 (power over width)`."""
        listed = ", ".join(f"{x}: {y:g}" for x, y in self.points)
        return f"{listed} ({self.interpolation} over {self.over})"

    @property
    def variables(self) -> frozenset[str]:
        """The one variable."""
        return frozenset({self.over})

    @property
    def range(self) -> Range:
        """The range from the first point to the last: points are never extrapolated."""
        return Range(self.points[0][0], self.points[-1][0])

    def is_published(self, values: Mapping[str, int]) -> bool:
        """Whether the value asked for is a point itself, not read between two."""
        return any(x == values[self.over] for x, _ in self.points)

    def answers(self, values: Mapping[str, int]) -> bool:
        """Whether there is a value: everywhere in the range, unless interpolation is `none`."""
        return self.interpolation != "none" or self.is_published(values)

    def at(self, values: Mapping[str, int]) -> float:
        """The point, or the value between its two neighbours. Raises CostError where there is none."""
        asked = values[self.over]
        for (x0, y0), (x1, y1) in itertools.pairwise((self.points[0], *self.points)):
            if asked == x1:
                return y1
            if x0 < asked < x1 and self.interpolation == "linear":
                return y0 + (y1 - y0) * (asked - x0) / (x1 - x0)
            if x0 < asked < x1 and self.interpolation == "power":
                return float(y0 * (asked / x0) ** (math.log(y1 / y0) / math.log(x1 / x0)))
        listed = ", ".join(str(x) for x, _ in self.points)
        raise CostError(f"{self.over} {asked} is not among the published points {listed}; choose one of them")

    @classmethod
    def read(cls, form: Mapping[str, object]) -> Points:
        """`{points, interpolation, over}` from a table. Raises CostError with the reason."""
        unknown = sorted(set(form) - {"points", "interpolation", "over"})
        if unknown:
            raise CostError(f"unknown key {shown(unknown[0])}; points take points, interpolation and over")
        over = form.get("over", "width")
        if not isinstance(over, str) or over not in SIZES:
            raise CostError(f"over = {shown(over)} is no variable; choose one of {', '.join(SIZES)}")
        interpolation = form.get("interpolation")
        if interpolation not in INTERPOLATIONS:
            raise CostError(
                f"interpolation = {shown(interpolation)} is unknown; choose {', '.join(INTERPOLATIONS)}"
            )
        points = tuple(_point(pair) for pair in _list(form.get("points")))
        if any(x1 <= x0 for (x0, _), (x1, _) in itertools.pairwise(points)):
            raise CostError("points must be in rising order, each once")
        if interpolation == "power" and (points[0][0] == 0 or any(y == 0 for _, y in points)):
            raise CostError("power interpolation needs points above 0; use linear")
        return cls(points, str(interpolation), over)


def _list(value: object) -> list[object]:
    if not isinstance(value, list) or not value:
        raise CostError(f"points must be a list such as [[8, 0.03], [16, 0.05]], got {shown(value)}")
    return value


def _point(pair: object) -> tuple[int, float]:
    match pair:
        case [int() as x, int() | float() as y] if not isinstance(x, bool) and not isinstance(y, bool):
            if 0 <= x <= _LARGEST and 0 <= y < 1e300:
                return x, float(y)
    raise CostError(f"a point is [size, value] with an integer size and a value >= 0, got {shown(pair)}")


def read_law(form: object) -> Formula | Points:
    """A law as it stands in a table: number, formula or points. Raises CostError with the reason."""
    match form:
        case bool():
            pass
        case int() | float():
            if not 0 <= form < 1e300:
                raise CostError(f"a cost must be a finite number >= 0, got {shown(form)}")
            return Formula.parse(repr(form))
        case str():
            return Formula.parse(form)
        case dict():
            return Points.read(form)
    raise CostError(f"a law is a number, a formula in quotes or {{ points = … }}, got {shown(form)}")


def sample(valid: Mapping[str, Range]) -> Iterator[dict[str, int]]:
    """Parameter sets spread over the valid ranges, ends included; one variable is tried densely."""
    count = _SAMPLES[max(1, len(valid))]
    for values in itertools.product(*(r.sample(count) for r in valid.values())):
        yield dict(zip(valid, values, strict=True))
