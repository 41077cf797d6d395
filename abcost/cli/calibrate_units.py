"""`abcost calibrate TARGET --unit NAME`: a unit more in a table, without measuring the others again."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from abcost.cli.calibrate_energy import provenance_of
from abcost.errors import UsageError

if TYPE_CHECKING:
    from abcost.calibrate.point import Measured
    from abcost.calibrate.targets import Target


def extended(
    target: Target, units: Collection[str], points: Path, *, quick: bool
) -> tuple[Target, tuple[Measured, ...]]:
    """The target with the units that its file of points has, and `units`; the kept points of all others.

    Raises UnknownName for a unit that the target does not measure, ToolError where points are missing or damaged.
    """
    from abcost.calibrate.points import fields_of, measured_units, read_points
    from abcost.calibrate.run import planned_points
    from abcost.registry import unknown_name

    for unit in units:
        if unit not in target.ops:
            raise unknown_name(f"unit that {target.name} measures,", unit, target.ops)
    there = measured_units(points) - set(units)
    target = replace(target, ops=tuple(op for op in target.ops if op in there or op in units))
    bounds = ("energy_pj",) if target.energy else ()
    planned = [point for point in planned_points(target, quick=quick) if point.op not in units]
    return target, read_points(points, planned, fields_of(points, target.fields), bounds).measured


def check_tool(table: Path, tool: str) -> None:
    """Raise UsageError if the other points of a table were measured by another synthesizer."""
    before = provenance_of(table).tool
    if before != tool:
        raise UsageError(
            f"the other units of {table} were measured by {before}, and this is {tool}: "
            "calibrate all of them, without --unit, or install that one"
        )
