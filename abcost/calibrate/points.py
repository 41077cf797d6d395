"""The raw points of a sweep as CSV: what was measured, before any law."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from abcost.calibrate.point import Measured
from abcost.cost.formula import VARIABLES

HEAD = f"unit,module,{next(iter(VARIABLES))},"
"""How every file of points begins."""


def points_csv(measured: Sequence[Measured]) -> str:
    """One row per point: unit, module (its name says the parameters), sizes, role, values and bounds."""
    fields = list(measured[0].values)
    bounds = sorted(measured[0].low)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(
        [
            "unit",
            "module",
            *VARIABLES,
            "role",
            *fields,
            *(f"{side}_{f}" for f in bounds for side in ("low", "high")),
        ]
    )
    for m in measured:
        sizes = [m.point.size.get(name, "") for name in VARIABLES]
        values = [f"{m.values[f]:.6g}" for f in fields]
        sides = [f"{side[f]:.6g}" for f in bounds for side in (m.low, m.high)]
        writer.writerow([m.point.op, m.point.unit.name, *sizes, m.point.role, *values, *sides])
    return out.getvalue()
