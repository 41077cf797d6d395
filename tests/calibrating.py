"""Small targets and measured points for the tests of the calibration."""

from __future__ import annotations

from dataclasses import replace

from abcost.calibrate.point import Measured, Point
from abcost.calibrate.targets import TARGETS


def small(*ops: str):
    """A target with these units only."""
    return replace(TARGETS["fpga-ice40"], ops=ops)


def points(values, *, op="multiply", name="luts", over="width", low=None, high=None):
    """Measured points from size -> value."""
    return [
        Measured(
            Point(op, {over: size}, {}),
            {name: value},
            {name: low[size]} if low else {},
            {name: high[size]} if high else {},
        )
        for size, value in values.items()
    ]
