"""Energy of measured points on standard cells: transitions on the mapped netlist, kept once they are counted."""

from __future__ import annotations

import hashlib
import inspect
import json
import os
from pathlib import Path

from abcost.calibrate.measure import Power
from abcost.calibrate.point import Point
from abcost.errors import ToolError
from abcost.rtl import vectors
from abcost.rtl.placed import placed
from abcost.synth import activity, function, netlist, simulate
from abcost.synth import liberty as reading
from abcost.synth.activity import energy_of
from abcost.synth.liberty import Library
from abcost.synth.netlist import netlist_of
from abcost.synth.runner import Answer

METHOD = (activity, function, netlist, reading, simulate, vectors)
"""What decides an energy beside the synthesis: where one of these changes, all are counted anew."""


def switching(library: Library, kept: Path | None = None) -> Power:
    """How to get the energy of a point from its netlist: value, low and high in pJ per operation.

    kept: folder in which energies stay that were counted once.

    The result raises ToolError for a netlist that is missing, has cells that cannot be simulated, or does not
    compute what the unit's model says.
    """

    def power(point: Point, answer: Answer) -> tuple[float, float, float]:
        unit = placed(point.unit)
        if answer.netlist is None:
            raise ToolError(f"{unit.name}: no netlist was kept, so no energy can be counted")
        energy = energy_of(unit, netlist_of(answer.netlist, unit.name, library), library)
        return energy.value, energy.low, energy.high

    return power if kept is None else _keeping(power, kept)


def _keeping(power: Power, folder: Path) -> Power:
    """The same, counted once: a file per energy, named by the hash of all that decides it."""
    method = "".join(map(inspect.getsource, METHOD))

    def known(point: Point, answer: Answer) -> tuple[float, float, float]:
        file = folder / f"{hashlib.sha256(f'{answer.key}{method}'.encode()).hexdigest()}.json"
        try:
            value, low, high = map(float, json.loads(file.read_text()))
        except (OSError, ValueError, TypeError):  # not there, or damaged
            value, low, high = power(point, answer)
            _write(file, json.dumps([value, low, high]))
        return value, low, high

    return known


def _write(file: Path, text: str) -> None:
    part = file.with_suffix(f".{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text)
        part.replace(file)
    except OSError as error:
        raise ToolError(
            f"{file.parent} cannot be written ({error.strerror}); choose another --cache"
        ) from None
