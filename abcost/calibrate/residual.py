"""How far a table is from the points it was made of, and from those it has not seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from abcost.calibrate.point import Measured
from abcost.cost.table import CostTable
from abcost.errors import CostError

FLOOR = {"luts": 1.0, "ffs": 1.0, "dsps": 1.0, "area_um2": 1.0, "energy_pj": 0.01}
"""An error is relative to the measured value, or to this if that is smaller."""


@dataclass(frozen=True, slots=True)
class Residual:
    """Relative errors |law - measured| / measured of one field over some points."""

    points: int
    mean: float
    worst: float
    beyond: int = 0  # points that no law reaches: those around them failed

    def __str__(self) -> str:
        beyond = f", {self.beyond} beyond the range" if self.beyond else ""
        return f"{self.points} points, mean {self.mean:.1%}, worst {self.worst:.1%}{beyond}"


def residual(table: CostTable, measured: Sequence[Measured], name: str) -> Residual:
    """Error of one field of the table over these points, and how many the table does not reach."""
    errors = []
    for m in measured:
        size = {"width": table.default_width, **m.point.size}
        try:
            said = table.price(m.point.op, **size).details[name].value
        except CostError:
            continue
        errors.append(abs(said - m.values[name]) / max(m.values[name], FLOOR[name]))
    beyond = len(measured) - len(errors)
    return Residual(len(errors), sum(errors) / max(1, len(errors)), max(errors, default=0.0), beyond)
