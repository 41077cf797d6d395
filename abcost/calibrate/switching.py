"""Energy of measured points on standard cells: transitions on the mapped netlist."""

from __future__ import annotations

from pathlib import Path

from abcost.calibrate.measure import Power
from abcost.calibrate.point import Point
from abcost.errors import ToolError
from abcost.rtl.placed import placed
from abcost.synth.activity import energy_of
from abcost.synth.liberty import read_liberty
from abcost.synth.netlist import netlist_of
from abcost.synth.runner import Answer


def switching(liberty: Path) -> Power:
    """How to get the energy of a point from its netlist: value, low and high in pJ per operation.

    Raises ToolError if the Liberty file cannot be read; the result raises it for a netlist that is missing,
    has cells that cannot be simulated, or does not compute what the unit's model says.
    """
    library = read_liberty(liberty)

    def power(point: Point, answer: Answer) -> tuple[float, float, float]:
        unit = placed(point.unit)
        if answer.netlist is None:
            raise ToolError(f"{unit.name}: no netlist was kept, so no energy can be counted")
        energy = energy_of(unit, netlist_of(answer.netlist, unit.name, library), library)
        return energy.value, energy.low, energy.high

    return power
