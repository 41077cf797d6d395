"""Which sizes of which units a calibration measures: points to fit, and points held out to test the fit.

A view of what the units' files say (`Sweep`); the full plan and the quick one (--quick) are in the same form.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from abcost.calibrate.point import Point, role_of
from abcost.rtl.forms import Form
from abcost.rtl.sweep import BITS, Sweep
from abcost.rtl.unit import in_order

SWEEPS: tuple[str, ...] = tuple(op for op, template in in_order() if template.sweep is not None)
"""Units of which a sweep is known at the start, in the order of the tables."""


@dataclass(frozen=True, slots=True)
class UnitPlan:
    """All points of one unit, and the forms that its laws may take; energy: those of its energy on FPGAs.

    drawn: points of one size differ in random contents only; laws are of their mean.
    """

    op: str
    points: tuple[Point, ...]
    form: Form
    energy: Form
    drawn: bool = False


def plan(ops: Iterable[str], *, quick: bool, longest: int = BITS[-1], cells: bool = False) -> list[UnitPlan]:
    """The plans of those of these units that have one there, in table order.

    longest: bits of the longest words of popcounts; cells: on standard cells.
    """
    wanted = set(ops)
    plans = [
        _plan(op, template.sweep(quick=quick), cells=cells)
        for op, template in in_order()
        if op in wanted and template.sweep is not None
    ]
    return [replace(found, points=_up_to(longest, found)) for found in plans if found.points]


def _plan(op: str, sweep: Sweep, *, cells: bool) -> UnitPlan:
    sweep = (sweep.cells or sweep) if cells else sweep
    points = tuple(Point(op, s.size, s.parameters, role_of(s)) for s in sweep.samples)
    return UnitPlan(op, points, sweep.form, sweep.energy or sweep.form, sweep.drawn)


def _up_to(longest: int, found: UnitPlan) -> tuple[Point, ...]:
    if found.op != "xnor_popcount":
        return found.points
    return tuple(point for point in found.points if point.size["bits"] <= longest)
