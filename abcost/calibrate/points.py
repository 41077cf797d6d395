"""The raw points of a sweep as CSV: what was measured, before any law."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from abcost.calibrate.measure import Sweeped
from abcost.calibrate.point import Measured, Point
from abcost.core.reading import read_text
from abcost.core.unit_size import SIZES
from abcost.errors import ToolError

HEAD = f"unit,module,{next(iter(SIZES))},"
"""How every file of points begins."""


MOST_BYTES = 10_000_000


def measured_units(file: Path) -> frozenset[str]:
    """The units of which a file has points. Raises ToolError where it is not there."""
    text = read_text(file, str(file), ToolError, most=MOST_BYTES)
    return frozenset(row.get("unit") or "" for row in csv.DictReader(io.StringIO(text)))


def fields_of(file: Path, fields: Sequence[str]) -> tuple[str, ...]:
    """`fields`, and the leakage where the file has it. Raises ToolError where it is not there."""
    text = read_text(file, str(file), ToolError, most=MOST_BYTES)
    return (*fields, *(["leakage_nw"] if "leakage_nw" in text.partition("\n")[0].split(",") else []))


def read_points(
    file: Path, points: Sequence[Point], fields: Sequence[str], bounds: Sequence[str] = ()
) -> Sweeped:
    """The values of these points as a file has them; `bounds`: fields with a low and a high value.

    Raises ToolError where the file is not there, is damaged, or lacks a point.
    """
    text = read_text(file, str(file), ToolError, most=MOST_BYTES)
    rows = {row.get("module"): row for row in csv.DictReader(io.StringIO(text))}
    found = []
    for point in points:
        row = rows.get(point.unit.name, {})
        try:
            values = {name: float(row[name]) for name in fields}
            low, high = ({f: float(row[f"{side}_{f}"]) for f in bounds} for side in ("low", "high"))
            found.append(Measured(point, values, low, high))
        except (KeyError, TypeError, ValueError):
            raise ToolError(
                f"{file} has no values of {point.unit.name}; measure again, without --from-points"
            ) from None
    return Sweeped(tuple(found), ())


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
            *SIZES,
            "role",
            *fields,
            *(f"{side}_{f}" for f in bounds for side in ("low", "high")),
        ]
    )
    for m in measured:
        sizes = [m.point.size.get(name, "") for name in SIZES]
        values = [f"{m.values[f]:.6g}" for f in fields]
        sides = [f"{side[f]:.6g}" for f in bounds for side in (m.low, m.high)]
        writer.writerow([m.point.op, m.point.unit.name, *sizes, m.point.role, *values, *sides])
    return out.getvalue()
