"""How far a table is from the points it was made of, and from those it has not seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from abcost.calibrate.point import Measured
from abcost.cost.table import CostTable

FLOOR = {"luts": 1.0, "ffs": 1.0, "dsps": 1.0, "area_um2": 1.0, "energy_pj": 1e-6}
"""An error is relative to the measured value, or to this if that is smaller."""


@dataclass(frozen=True, slots=True)
class Residual:
    """Relative errors |law - measured| / measured of one field over some points."""

    points: int
    mean: float
    worst: float

    def __str__(self) -> str:
        return f"{self.points} points, mean {self.mean:.1%}, worst {self.worst:.1%}"


def residual(table: CostTable, measured: Sequence[Measured], name: str) -> Residual:
    """Error of one field of the table over these points. Raises CostError where the table does not reach."""
    errors = []
    for m in measured:
        size = {"width": table.default_width, **m.point.size}
        said = table.price(m.point.op, **size).details[name].value
        errors.append(abs(said - m.values[name]) / max(m.values[name], FLOOR[name]))
    return Residual(len(errors), sum(errors) / len(errors), max(errors)) if errors else Residual(0, 0.0, 0.0)
