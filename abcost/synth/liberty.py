"""What switching energy needs of a Liberty file: capacitances, functions, flip-flops and internal power.

    energy unit = capacitive_load_unit * voltage_unit ** 2            (pF V^2 = pJ)

Liberty states no unit for internal power; tools take it from the units of capacitance and voltage, because the
tables stand beside 1/2 C V^2. In osu018 that is 1 pF * 1 V^2 = 1 pJ, which its values bear out: an AND2X1 spends
0.012 to 0.15, while charging one of its own 13 fF inputs to 1.8 V takes 1/2 C V^2 = 0.021 pJ. (Volts times amperes
times seconds would be 1 fJ there, a thousandth of the energy of the pin alone.)

Internal power excludes the load: in osu018 it hardly moves while the load grows thirtyfold. So the energy of one
transition of an output is 1/2 C V^2 of its net plus the table's entry.

The entry read is at the median input transition time of the table (the lower one of two) and, in straight lines
between the table's loads, at the net's own load; beyond the last load the last entry holds. Of the tables of
several related pins or conditions the mean is taken, and of rising and falling too: a net rises as often as
it falls.

Leakage power of a cell is the mean over the states (`when`) that the library lists, summed over its supplies.

What no synthesis of logic may use is left out, and said: cells with `dont_use`, of power management (isolation,
level shifters, always-on, retention, switches), clock gates, latches, three-state outputs, memories (buses), and what
has no logic (fillers, decoupling). Their pins are not read.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from abcost.errors import ToolError
from abcost.synth.function import Function
from abcost.synth.groups import Group, parse, read_groups

_LOADS = ("total_output_net_capacitance",)
_SLEWS = ("input_transition_time", "input_net_transition")
_FARADS = {"ff": 1e-3, "pf": 1.0, "nf": 1e3}  # in picofarad
_PREFIXES = {"": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9, "p": 1e-12, "f": 1e-15}

_UNUSABLE = {
    "dont_use": "dont_use",
    "is_isolation_cell": "power management",
    "is_level_shifter": "power management",
    "always_on": "power management",
    "retention_cell": "power management",
    "switch_cell_type": "power management",
    "clock_gating_integrated_cell": "clock gate",
    "pad_cell": "pad",
    "is_macro_cell": "memory or macro",
}
"""Attributes of cells that synthesis leaves alone, and what they are."""
_STATEFUL = ("latch", "latch_bank", "ff_bank", "statetable")


@dataclass(frozen=True, slots=True)
class EnergyTable:
    """Energy of one transition in pJ over the load in pF, at the median input transition time."""

    loads: tuple[float, ...]
    energies: tuple[float, ...]

    def at(self, load: float) -> float:
        """Picojoule at this load; beyond the ends the end's entry."""
        return float(np.interp(load, self.loads, self.energies))


@dataclass(frozen=True, slots=True)
class InternalPower:
    """One internal_power group. related_pin: the input that causes the output's transition, "" without one."""

    related_pin: str
    rise: EnergyTable | None
    fall: EnergyTable | None

    def at(self, load: float) -> float:
        """Mean of a rising and a falling transition in pJ; the one that is not given counts as the other's."""
        tables = [table for table in (self.rise, self.fall) if table is not None]
        return sum(table.at(load) for table in tables) / len(tables)


@dataclass(frozen=True, slots=True)
class Pin:
    """One pin of a cell; capacitance in pF, 0 for an output that does not state one."""

    name: str
    direction: str  # input | output | inout | internal
    capacitance: float
    function: Function | None
    three_state: bool
    power: tuple[InternalPower, ...]

    def energy(self, load: float) -> float:
        """Internal energy of one transition in pJ; 0 where the library gives the pin none."""
        return sum(power.at(load) for power in self.power) / len(self.power) if self.power else 0.0


@dataclass(frozen=True, slots=True)
class FlipFlop:
    """`ff (state, inverted)`: at `clocked_on` state <- next_state; clear and preset are asynchronous."""

    state: str
    inverted: str
    clocked_on: Function
    next_state: Function
    clear: Function | None
    preset: Function | None


@dataclass(frozen=True, slots=True)
class Cell:
    """One standard cell; area in the library's unit, square micrometres as a rule. leakage: nW, None if unknown."""

    name: str
    area: float
    pins: Mapping[str, Pin]
    flip_flop: FlipFlop | None
    leakage: float | None = None


@dataclass(frozen=True, slots=True)
class Library:
    """A Liberty file in pF, V, pJ and nW. left_out: cell that synthesis leaves alone -> why."""

    name: str
    voltage: float
    cells: Mapping[str, Cell]
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def leaks(self) -> bool:
        """Whether the leakage of every cell is known."""
        return all(cell.leakage is not None for cell in self.cells.values())

    def leakage(self, cells: Mapping[str, int]) -> float:
        """Leakage power in nW of so many cells of each name, of a library that `leaks`.

        Raises ToolError for a cell that the library does not have.
        """
        total = 0.0
        for name, count in cells.items():
            if name == "$scopeinfo":  # names of the source, no hardware
                continue
            cell = self.cells.get(name)
            if cell is None or cell.leakage is None:
                raise ToolError(f"the library {self.name} has no leakage of a cell {name}")
            total += cell.leakage * count
        return total


def read_liberty(file: Path) -> Library:
    """The library in a file. Raises ToolError with file, line and reason; also for one that is cut off."""
    return library_of(read_groups(file))


def liberty_of(text: str, name: str = "text") -> Library:
    """The same from a text; `name` stands in errors for the file's."""
    return library_of(parse(text, name))


@dataclass(frozen=True, slots=True)
class Units:
    """Units of a library. time is in seconds, the others as in `Library`."""

    farads: float  # the unit of capacitance in pF
    volts: float  # the unit of voltage in V
    time: float
    leakage: float | None  # the unit of leakage power in nW
    nominal: float  # the library's voltage in V

    @property
    def energy(self) -> float:
        """The unit of internal power in pJ."""
        return self.farads * self.volts**2


def units_of(group: Group) -> Units:
    """The units of a `library` group. Raises ToolError for one that is missing or cannot be read."""
    volts = _unit(group, "voltage_unit", "V", '"1V" or "100mV"')
    nominal = group.number("nom_voltage")
    if nominal is None or nominal <= 0:
        raise group.error("needs nom_voltage above 0")
    time = _unit(group, "time_unit", "s", '"1ns" or "10ps"', default=1e-9)
    watts = _unit(group, "leakage_power_unit", "W", '"1nW"', default=float("nan"))
    return Units(_load_unit(group), volts, time, None if math.isnan(watts) else watts * 1e9, nominal * volts)


def why_left_out(cell: Group) -> str:
    """What keeps synthesis from a `cell` group, "" if nothing does."""
    for attribute, reason in _UNUSABLE.items():
        if (cell.text(attribute) or "false").lower() not in ("false", "none"):
            return reason
    if any(cell.of(*_STATEFUL)):
        return "latch or bank of flip-flops"
    if any(cell.of("bus", "bundle", "memory")):
        return "memory or macro"
    outputs = [pin for pin in cell.of("pin") if _direction(pin) == "output"]
    if any("three_state" in pin.simple for pin in outputs):
        return "three-state output"
    return "" if any("function" in pin.simple for pin in outputs) else "no logic"


def library_of(group: Group) -> Library:
    """The library of a `library` group. Raises ToolError with file, line, cell and reason."""
    units, reader = units_of(group), _reader(group)
    cells: dict[str, Cell] = {}
    left_out: dict[str, str] = {}
    for found in group.of("cell"):
        if found.name in cells or found.name in left_out:
            raise found.error("the library has it twice")
        reason = why_left_out(found)
        if reason:
            left_out[found.name] = reason
        else:
            cells[found.name] = _cell(found, reader)
    if not cells:
        raise group.error(f"the library has no cell{' for logic' if left_out else ''}")
    return Library(group.name, units.nominal, cells, left_out)


def internal_power(group: Group, library: Group) -> InternalPower:
    """An `internal_power` group of a `library` group, in pJ. Raises ToolError."""
    return _internal_power(group, _reader(library))


@dataclass(frozen=True, slots=True)
class _Reader:
    """What reading a cell needs of its library."""

    units: Units
    default_load: float | None  # of input pins, in the library's unit
    templates: Mapping[str, Group]


def _reader(library: Group) -> _Reader:
    templates = {t.name: t for t in library.of("power_lut_template", "lu_table_template")}
    return _Reader(units_of(library), library.number("default_input_pin_cap"), templates)


def _load_unit(group: Group) -> float:
    """The unit of capacitance in pF."""
    words = group.words("capacitive_load_unit")
    if len(words) != 2 or words[1].lower() not in _FARADS:
        raise group.error(f"needs capacitive_load_unit (number, one of {', '.join(_FARADS)}), got {words}")
    amount = group.amount("capacitive_load_unit")
    if amount <= 0:
        raise group.error("capacitive_load_unit must be above 0", group.complex["capacitive_load_unit"][1])
    return amount * _FARADS[words[1].lower()]


def _unit(group: Group, attribute: str, unit: str, such: str, default: float | None = None) -> float:
    """An attribute such as "10ps" in `unit`; the default where it is not there and has one."""
    text = group.text(attribute)
    if text is None and default is not None:
        return default
    found = re.fullmatch(rf"(\d+(?:\.\d*)?)\s*([munpf]?){unit}", (text or "").strip(), re.IGNORECASE)
    if found is None or float(found[1]) == 0:
        at = group.simple.get(attribute, ("", group.at))[1]
        raise group.error(f"needs {attribute} such as {such}, got {(text or '')[:20]!r}", at)
    return float(found[1]) * _PREFIXES[found[2].lower()]


def _cell(group: Group, reader: _Reader) -> Cell:
    area = group.number("area")
    if area is None or area < 0:
        raise group.error("needs an area of at least 0" if area is None else "area must not be negative")
    flip_flops = [_flip_flop(ff) for ff in group.of("ff")]
    if len(flip_flops) > 1:
        raise group.error(f"has {len(flip_flops)} flip-flops, needs one at most")
    pins = {pin.name: pin for g in group.of("pin") for pin in _pins(g, reader)}
    return Cell(group.name, area, pins, next(iter(flip_flops), None), leakage_of(group, reader.units))


def leakage_of(group: Group, units: Units) -> float | None:
    """Leakage power of a `cell` group in nW, None if unknown.

    Per supply the mean over states, or what is said of no state; else cell_leakage_power.
    """
    if units.leakage is None:
        return None
    supplies: dict[str, dict[bool, list[float]]] = {}
    for power in group.of("leakage_power"):
        value = power.number("value")
        if value is None:
            raise power.error("leakage_power needs a value")
        states = supplies.setdefault(power.text("related_pg_pin") or "", {True: [], False: []})
        states["when" in power.simple].append(value)
    if not supplies:
        whole = group.number("cell_leakage_power")
        return None if whole is None else whole * units.leakage
    chosen = [states[True] or states[False] for states in supplies.values()]
    return sum(sum(values) / len(values) for values in chosen) * units.leakage


def _flip_flop(group: Group) -> FlipFlop:
    if len(group.names) != 2:
        raise group.error(f"ff needs two names, state and inverted state, got {len(group.names)}")
    clock, following = _function(group, "clocked_on"), _function(group, "next_state")
    if clock is None or following is None:
        raise group.error("ff needs clocked_on and next_state")
    return FlipFlop(*group.names, clock, following, _function(group, "clear"), _function(group, "preset"))


def _function(group: Group, attribute: str) -> Function | None:
    text = group.text(attribute)
    if text is None:
        return None
    try:
        return Function.parse(text)
    except ToolError as error:
        raise group.error(str(error), group.simple[attribute][1]) from None


def _pins(group: Group, reader: _Reader) -> Iterator[Pin]:
    """One pin for each name of the group."""
    direction = _direction(group)
    capacitance = group.number("capacitance")
    if capacitance is None and direction == "input":
        capacitance = _transition_capacitance(group, reader.default_load)
    if (capacitance or 0.0) < 0:
        raise group.error("capacitance must not be negative")
    function = _function(group, "function")
    power = tuple(_internal_power(p, reader) for p in group.of("internal_power"))
    if not group.names:
        raise group.error("pin needs a name")
    for name in group.names:
        farads = (capacitance or 0.0) * reader.units.farads
        yield Pin(name, direction, farads, function, "three_state" in group.simple, power)


def _direction(pin: Group) -> str:
    direction = pin.text("direction") or ""
    if direction not in ("input", "output", "inout", "internal"):
        raise pin.error(f"pin needs direction input, output, inout or internal, got {direction!r}")
    return direction


def _transition_capacitance(group: Group, default: float | None) -> float:
    """Mean of the capacitances of a rising and a falling transition, or the library's default."""
    both = [c for c in map(group.number, ("rise_capacitance", "fall_capacitance")) if c is not None]
    if not both and default is None:
        raise group.error("input pin needs capacitance, and the library gives no default_input_pin_cap")
    return sum(both) / len(both) if both else default or 0.0


def _internal_power(group: Group, reader: _Reader) -> InternalPower:
    tables = {
        side: _table(found[0], reader)
        for side in ("rise_power", "fall_power", "power")
        if (found := list(group.of(side)))
    }
    if not tables:
        raise group.error("internal_power needs rise_power, fall_power or power")
    both = tables.get("power")
    return InternalPower(
        group.text("related_pin") or "", tables.get("rise_power", both), tables.get("fall_power", both)
    )


def _table(group: Group, reader: _Reader) -> EnergyTable:
    """The table at the median of its input transition times, over its loads."""
    axes = _axes(group, reader)
    sizes = [len(points) for _, points in axes]
    values = group.numbers("values")
    if not values or len(values) != np.prod(sizes, dtype=int):
        shape = " x ".join(map(str, sizes)) or "1"
        raise group.error(f"table needs {shape} values, got {len(values)}")
    grid: NDArray[np.float64] = np.array(values).reshape(sizes) * reader.units.energy
    loads: tuple[float, ...] = (0.0,)
    for number, (variable, points) in reversed(list(enumerate(axes))):
        if variable in _SLEWS:
            grid = np.take(grid, [(len(points) - 1) // 2], axis=number)
        else:
            loads = tuple(load * reader.units.farads for load in points)
    return EnergyTable(loads, tuple(grid.ravel().tolist()))


def _axes(group: Group, reader: _Reader) -> list[tuple[str, tuple[float, ...]]]:
    """Variable and points of each axis: the template's, with the table's own points where it gives them."""
    name = group.name
    if name == "scalar":
        return []
    template = reader.templates.get(name)
    if template is None:
        raise group.error(f"no template {name!r} in the library")
    axes: list[tuple[str, tuple[float, ...]]] = []
    for number in (1, 2, 3):
        variable = template.text(f"variable_{number}")
        if variable is None:
            break
        if variable not in (*_LOADS, *_SLEWS) or (axes and (axes[0][0] in _LOADS) == (variable in _LOADS)):
            raise template.error(f"cannot read a power table over {variable}")
        points = group.numbers(f"index_{number}") or template.numbers(f"index_{number}")
        if not points or any(b <= a for a, b in itertools.pairwise(points)):
            raise group.error(f"index_{number} needs rising numbers")
        axes.append((variable, points))
    return axes
