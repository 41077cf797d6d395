"""How far a table is from the points it was made of, and from those it has not seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from abcost.calibrate.point import Measured
from abcost.cost.table import CostTable
from abcost.errors import CostError

MOST_HELD_OUT = 0.25
"""Mean error over the points held out above which a measured table is not written."""
PIECES = ("luts", "ffs", "dsps")


@dataclass(frozen=True, slots=True)
class Residual:
    """Relative errors |law - measured| / measured of one field over some points.

    Of what comes in pieces they are relative to one piece at least, of the rest to the least positive value.
    """

    points: int
    mean: float
    worst: float
    beyond: int = 0  # points that no law reaches: those around them failed

    def __str__(self) -> str:
        beyond = f", {self.beyond} beyond the range" if self.beyond else ""
        return f"{self.points} points, mean {self.mean:.1%}, worst {self.worst:.1%}{beyond}"


def residual(table: CostTable, measured: Sequence[Measured], name: str) -> Residual:
    """Error of one field of the table over these points, and how many the table does not reach."""
    values = [m.values[name] for m in measured]
    least = 1.0 if name in PIECES else min((value for value in values if value > 0), default=1.0)
    errors = []
    for m in measured:
        size = {"width": table.default_width, **m.point.size}
        try:
            said = table.price(m.point.op, **size).details[name].value
        except CostError:
            continue
        errors.append(abs(said - m.values[name]) / max(m.values[name], least))
    beyond = len(measured) - len(errors)
    return Residual(len(errors), sum(errors) / max(1, len(errors)), max(errors, default=0.0), beyond)


def beyond_limit(residuals: Mapping[tuple[str, str], tuple[Residual, Residual]]) -> tuple[str, ...]:
    """What misses its held-out points by more than the limit, a phrase for each; residuals: fitted, held out."""
    return tuple(
        f"{name} of {unit} misses its {held.points} held-out points by {held.mean:.1%} on average "
        f"(worst {held.worst:.1%}), more than {MOST_HELD_OUT:.0%}"
        for (unit, name), (_, held) in residuals.items()
        if held.mean > MOST_HELD_OUT
    )
