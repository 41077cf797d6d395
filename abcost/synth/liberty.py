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
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from abcost.errors import ToolError
from abcost.synth.function import Function
from abcost.synth.groups import Group, parse, read_groups

_LOADS = ("total_output_net_capacitance",)
_SLEWS = ("input_transition_time", "input_net_transition")
_FARADS = {"ff": 1e-3, "pf": 1.0, "nf": 1e3}  # in picofarad
_VOLTS = {"V": 1.0, "mV": 1e-3}


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
    """One standard cell; area in the library's unit, square micrometres as a rule."""

    name: str
    area: float
    pins: Mapping[str, Pin]
    flip_flop: FlipFlop | None
    has_latch: bool


@dataclass(frozen=True, slots=True)
class Library:
    """A Liberty file in pF, V and pJ."""

    name: str
    voltage: float
    cells: Mapping[str, Cell]


def read_liberty(file: Path) -> Library:
    """The library in a file. Raises ToolError with file, line and reason; also for one that is cut off."""
    return _library(read_groups(file))


def liberty_of(text: str, name: str = "text") -> Library:
    """The same from a text; `name` stands in errors for the file's."""
    return _library(parse(text, name))


@dataclass(frozen=True, slots=True)
class _Units:
    farads: float  # the unit of capacitance in pF
    energy: float  # the unit of internal power in pJ
    default_load: float | None  # of input pins, in the library's unit
    templates: Mapping[str, Group]


def _library(group: Group) -> Library:
    amount, unit = _load_unit(group)
    farads = amount * _FARADS[unit]
    volts = _voltage_unit(group)
    nominal = group.number("nom_voltage")
    if nominal is None or nominal <= 0:
        raise group.error("needs nom_voltage above 0")
    units = _Units(
        farads,
        farads * volts**2,
        group.number("default_input_pin_cap"),
        {t.name: t for t in group.of("power_lut_template", "lu_table_template")},
    )
    cells = {c.name: _cell(c, units) for c in group.of("cell")}
    if not cells:
        raise group.error("the library has no cell")
    return Library(group.name, nominal * volts, cells)


def _load_unit(group: Group) -> tuple[float, str]:
    words = group.words("capacitive_load_unit")
    if len(words) != 2 or words[1].lower() not in _FARADS:
        raise group.error(f"needs capacitive_load_unit (number, one of {', '.join(_FARADS)}), got {words}")
    at = group.complex["capacitive_load_unit"][1]
    amount = group.source.number(words[0], "capacitive_load_unit", at)
    if amount <= 0:
        raise group.error("capacitive_load_unit must be above 0", at)
    return amount, words[1].lower()


def _voltage_unit(group: Group) -> float:
    text = group.text("voltage_unit") or ""
    found = re.fullmatch(r"(\d+)\s*(m?V)", text)
    if found is None or int(found[1]) == 0:
        raise group.error(f'needs voltage_unit such as "1V" or "100mV", got {text[:20]!r}')
    return int(found[1]) * _VOLTS[found[2]]


def _cell(group: Group, units: _Units) -> Cell:
    flip_flops = [_flip_flop(ff) for ff in group.of("ff")]
    pins = {pin.name: pin for g in group.of("pin") for pin in _pins(g, units)}
    return Cell(
        group.name,
        group.number("area") or 0.0,
        pins,
        flip_flops[0] if flip_flops else None,
        any(True for _ in group.of("latch", "latch_bank", "ff_bank", "statetable")),
    )


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


def _pins(group: Group, units: _Units) -> Iterator[Pin]:
    """One pin for each name of the group."""
    direction = group.text("direction") or ""
    if direction not in ("input", "output", "inout", "internal"):
        raise group.error(f"pin needs direction input, output, inout or internal, got {direction!r}")
    capacitance = group.number("capacitance")
    if capacitance is None and direction == "input":
        capacitance = _transition_capacitance(group, units.default_load)
    if (capacitance or 0.0) < 0:
        raise group.error("capacitance must not be negative")
    function = _function(group, "function")
    power = tuple(_internal_power(p, units) for p in group.of("internal_power"))
    if not group.names:
        raise group.error("pin needs a name")
    for name in group.names:
        farads = (capacitance or 0.0) * units.farads
        yield Pin(name, direction, farads, function, "three_state" in group.simple, power)


def _transition_capacitance(group: Group, default: float | None) -> float:
    """Mean of the capacitances of a rising and a falling transition, or the library's default."""
    both = [c for c in map(group.number, ("rise_capacitance", "fall_capacitance")) if c is not None]
    if not both and default is None:
        raise group.error("input pin needs capacitance, and the library gives no default_input_pin_cap")
    return sum(both) / len(both) if both else default or 0.0


def _internal_power(group: Group, units: _Units) -> InternalPower:
    tables = {
        side: _table(found[0], units)
        for side in ("rise_power", "fall_power", "power")
        if (found := list(group.of(side)))
    }
    if not tables:
        raise group.error("internal_power needs rise_power, fall_power or power")
    both = tables.get("power")
    return InternalPower(
        group.text("related_pin") or "", tables.get("rise_power", both), tables.get("fall_power", both)
    )


def _table(group: Group, units: _Units) -> EnergyTable:
    """The table at the median of its input transition times, over its loads."""
    axes = _axes(group, units)
    sizes = [len(points) for _, points in axes]
    values = group.numbers("values")
    if not values or len(values) != np.prod(sizes, dtype=int):
        shape = " x ".join(map(str, sizes)) or "1"
        raise group.error(f"table needs {shape} values, got {len(values)}")
    grid: NDArray[np.float64] = np.array(values).reshape(sizes) * units.energy
    loads: tuple[float, ...] = (0.0,)
    for number, (variable, points) in reversed(list(enumerate(axes))):
        if variable in _SLEWS:
            grid = np.take(grid, [(len(points) - 1) // 2], axis=number)
        else:
            loads = tuple(load * units.farads for load in points)
    return EnergyTable(loads, tuple(grid.ravel().tolist()))


def _axes(group: Group, units: _Units) -> list[tuple[str, tuple[float, ...]]]:
    """Variable and points of each axis: the template's, with the table's own points where it gives them."""
    name = group.name
    if name == "scalar":
        return []
    template = units.templates.get(name)
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
