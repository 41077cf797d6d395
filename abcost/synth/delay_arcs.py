"""What delays need of a Liberty file: the timing arcs of its cells, as tables over input slew and load.

    delay, slew of an output = bilinear in (slew of the input, load of the output)

Beyond the ends of a table its last straight lines go on, as timing tools let them; below 0 they stop. Slews are as
their library measures them (10 to 90 %, 30 to 70 %, …) and never leave it. Of arcs with conditions (`when`) all count:
the slowest decides.
"""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from abcost.errors import ToolError
from abcost.synth.groups import Group, read_groups
from abcost.synth.liberty import Units, units_of

Edge = Literal["rise", "fall"]
EDGES: tuple[Edge, Edge] = ("rise", "fall")

_LOADS = ("total_output_net_capacitance",)
_SLEWS = ("input_net_transition", "input_transition_time", "constrained_pin_transition")
_CLOCK_SLEWS = ("related_pin_transition",)
_COMBINATIONAL = ("", "combinational", "combinational_rise", "combinational_fall")


@dataclass(frozen=True, slots=True)
class Grid:
    """ns over slews of the pin that moves (ns) and loads (pF), or slews of the clock (ns)."""

    slews: tuple[float, ...]
    others: tuple[float, ...]
    values: tuple[float, ...]  # row by row, a row for each slew

    def at(self, slew: float, other: float) -> float:
        """The value there, at least 0 of what takes time; a setup time may be below."""
        i, u = _between(self.slews, slew)
        j, v = _between(self.others, other)
        width = len(self.others)
        row, following = i * width, min(i + 1, len(self.slews) - 1) * width
        right = min(j + 1, width - 1)
        low = self.values[row + j] * (1 - v) + self.values[row + right] * v
        high = self.values[following + j] * (1 - v) + self.values[following + right] * v
        return low * (1 - u) + high * u


def _between(axis: Sequence[float], at: float) -> tuple[int, float]:
    """The interval to use, and how far into it; below 0 or above 1 beyond the ends."""
    if len(axis) < 2:
        return 0, 0.0
    i = min(max(bisect_right(axis, at) - 1, 0), len(axis) - 2)
    return i, (at - axis[i]) / (axis[i + 1] - axis[i])


@dataclass(frozen=True, slots=True)
class Arc:
    """From an edge of one pin to an edge of an output: delay and slew."""

    pin: str
    edge: Edge
    output: str
    output_edge: Edge
    delay: Grid
    slew: Grid


@dataclass(frozen=True, slots=True)
class Setup:
    """How long before the clock edge an input must have made this edge; over its slew and the clock's."""

    pin: str
    edge: Edge
    time: Grid


@dataclass(frozen=True, slots=True)
class TimedCell:
    """The arcs from inputs to outputs, those from the rising clock, and the setup times."""

    arcs: tuple[Arc, ...]
    launched: tuple[Arc, ...]
    setups: tuple[Setup, ...]


class DelayArcs:
    """The arcs of a library, read cell by cell when they are asked for."""

    def __init__(self, files: Iterable[Path]) -> None:
        """Raises ToolError with file, line and reason."""
        self._roots = [read_groups(file) for file in sorted(files, key=lambda file: file.name)]
        self._known: dict[str, TimedCell] = {}

    @cached_property
    def _cells(self) -> Mapping[str, tuple[Group, Group]]:
        return {cell.name: (root, cell) for root in self._roots for cell in root.of("cell")}

    @cached_property
    def _templates(self) -> Mapping[int, Mapping[str, Group]]:
        return {id(root): {t.name: t for t in root.of("lu_table_template")} for root in self._roots}

    def of(self, name: str) -> TimedCell:
        """The arcs of a cell. Raises ToolError for one that is not there or has none, or with file and line."""
        found = self._known.get(name)
        if found is None:
            if name not in self._cells:
                raise ToolError(f"no timing of a cell {name}: it is in none of the Liberty files")
            root, cell = self._cells[name]
            found = self._known[name] = _timed(cell, units_of(root), self._templates[id(root)])
        return found


def _timed(cell: Group, units: Units, templates: Mapping[str, Group]) -> TimedCell:
    arcs: list[Arc] = []
    launched: list[Arc] = []
    setups: list[Setup] = []
    for pin in cell.of("pin"):
        for name in pin.names:
            for timing in pin.of("timing"):
                kind = timing.text("timing_type") or ""
                if kind in _COMBINATIONAL:
                    arcs += _arcs(timing, name, units, templates)
                elif kind == "rising_edge":
                    launched += _arcs(timing, name, units, templates)
                elif kind == "setup_rising":
                    setups += _setups(timing, name, units, templates)
    return TimedCell(tuple(arcs), tuple(launched), tuple(setups))


def _arcs(timing: Group, output: str, units: Units, templates: Mapping[str, Group]) -> Iterator[Arc]:
    sense = timing.text("timing_sense") or "non_unate"
    clocked = timing.text("timing_type") == "rising_edge"
    for pin in (timing.text("related_pin") or "").split():
        for output_edge in EDGES:
            delay = _grid(timing, f"cell_{output_edge}", units, templates)
            slew = _grid(timing, f"{output_edge}_transition", units, templates)
            if delay is None or slew is None:
                continue
            for edge in EDGES:
                if clocked:
                    possible = edge == "rise"
                else:
                    same = edge == output_edge
                    possible = (
                        sense == "non_unate" or (sense == "positive_unate") == same
                    )  # whether this edge can cause that one
                if possible:
                    yield Arc(pin, edge, output, output_edge, delay, slew)


def _setups(timing: Group, pin: str, units: Units, templates: Mapping[str, Group]) -> Iterator[Setup]:
    for edge in EDGES:
        time = _grid(timing, f"{edge}_constraint", units, templates)
        if time is not None:
            yield Setup(pin, edge, time)


def _grid(timing: Group, kind: str, units: Units, templates: Mapping[str, Group]) -> Grid | None:
    """A table of a timing group in ns; None where it has none of this kind."""
    table = next(iter(timing.of(kind)), None)
    if table is None:
        return None
    seconds = units.time * 1e9
    values = tuple(value * seconds for value in table.numbers("values"))
    slews: tuple[float, ...] = (0.0,)
    others: tuple[float, ...] = (0.0,)
    turned = False
    for number, (variable, points) in enumerate(_axes(table, templates)):
        if variable in _SLEWS:
            slews, turned = tuple(point * seconds for point in points), number > 0
        elif variable in _LOADS:
            others = tuple(point * units.farads for point in points)
        elif variable in _CLOCK_SLEWS:
            others = tuple(point * seconds for point in points)
        else:
            raise table.error(f"a table over {variable[:40]!r} is none of delays over slew and load")
    if len(values) != len(slews) * len(others):
        raise table.error(f"table needs {len(slews)} x {len(others)} values, got {len(values)}")
    if turned:
        values = tuple(values[j * len(slews) + i] for i in range(len(slews)) for j in range(len(others)))
    return Grid(slews, others, values)


def _axes(table: Group, templates: Mapping[str, Group]) -> Iterator[tuple[str, tuple[float, ...]]]:
    """Variable and points of each axis: the template's, with the table's own points where it gives them."""
    name = table.name
    if name == "scalar":
        return
    template = templates.get(name)
    if template is None:
        raise table.error(f"no template {name[:40]!r} in the library")
    for number in (1, 2, 3):
        variable = template.text(f"variable_{number}")
        if variable is None:
            continue
        index = f"index_{number}"
        points = (table if index in table.complex else template).numbers(index)
        if not points or any(b <= a for a, b in itertools.pairwise(points)):
            raise table.error(f"{index} must rise")
        yield variable, points
