"""Memory macros of Liberty files: words, bits, area, energy of an access, leakage power and access time.

    energy of an access = internal power of the clock's rising and falling edge, in the state that reads or writes
                        + per input that turns, its own internal power in that state

Which pins make a macro read is said by no attribute of Liberty: `CONVENTIONS` lists those of memories whose pins are
known. The access time is that from the clock's edge to the data, rising or falling, whichever is later, at the lower
median of the input transition times of its table and at the largest of its loads.

A file may state what cannot be. Energies that are the same whether a macro reads or is disabled are those of no
access, and an access time beyond the least period of its clock is none; both are left unknown, with the reason.
OpenRAM's files for sky130 do both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from abcost.errors import ToolError
from abcost.synth.function import Function
from abcost.synth.groups import Group, read_groups
from abcost.synth.liberty import internal_power, leakage_of, units_of

_EDGES = ("rising_edge", "falling_edge")
_SLEWS = ("input_transition_time", "input_net_transition")
_MOST_ADDRESS = 30  # bits of an address; a thousand million words


@dataclass(frozen=True, slots=True)
class Convention:
    """Which pins of a port say what it does, 0 or 1 in each state."""

    name: str
    clock: str
    address: str
    data: str
    out: str
    read: Mapping[str, int]
    write: Mapping[str, int]
    idle: Mapping[str, int]


CONVENTIONS = (
    Convention(
        "one port of IHP's RM_IHPSG13", "A_CLK", "A_ADDR", "A_DIN", "A_DOUT",
        read={"A_MEN": 1, "A_REN": 1, "A_WEN": 0},
        write={"A_MEN": 1, "A_REN": 0, "A_WEN": 1},
        idle={"A_MEN": 0, "A_REN": 0, "A_WEN": 0},
    ),
    Convention(
        "port 0 of OpenRAM", "clk0", "addr0", "din0", "dout0",
        read={"csb0": 0, "web0": 1},
        write={"csb0": 0, "web0": 0},
        idle={"csb0": 1, "web0": 1},
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Macro:
    """One memory, used through one port. Area in um2, energies in pJ, leakage power in nW, time in ns; None: unknown.

    read_pj, write_pj, idle_pj: of one cycle of the clock. data_pj, address_pj: of one transition of one bit of what is
    written, and of the address. doubts: why figures of the file are left out.
    """

    name: str
    words: int
    bits: int
    area_um2: float
    read_pj: float | None
    write_pj: float | None
    idle_pj: float | None
    data_pj: float | None
    address_pj: float | None
    leakage_nw: float | None
    access_ns: float | None
    voltage_v: float
    doubts: tuple[str, ...] = ()


def read_macros(file: Path) -> list[Macro]:
    """The memories of a Liberty file. Raises ToolError with file, line, cell and reason; also if it has none."""
    library = read_groups(file)
    found = [_macro(cell, library) for cell in library.of("cell") if any(cell.of("memory"))]
    if not found:
        raise library.error("the library has no memory (a cell with a memory group)")
    return found


def _macro(cell: Group, library: Group) -> Macro:
    memory = next(cell.of("memory"))
    address, bits = memory.number("address_width"), memory.number("word_width")
    if (
        address is None
        or bits is None
        or not 1 <= address <= _MOST_ADDRESS
        or bits < 1
        or address % 1
        or bits % 1
    ):
        raise memory.error(f"needs whole address_width (1 to {_MOST_ADDRESS}) and word_width of at least 1")
    area = cell.number("area")
    if area is None or area <= 0:
        raise cell.error("needs an area above 0")
    port = _port(cell)
    clock = next(group for group in cell.of("pin") if port.clock in group.names)
    read, write, idle = (_edges(clock, library, state) for state in (port.read, port.write, port.idle))
    doubts = []
    if read is not None and read == idle:
        doubts.append(
            f"energy: {read:.6g} pJ per cycle of the clock whether it reads or is disabled, which is that of no access"
        )
        read = write = idle = None
    access, period = _access(cell, library, port.out), _period(clock, library)
    if access is not None and period is not None and period < access:
        doubts.append(
            f"access time: {access:.4g} ns, though the clock's least period is said to be {period:.4g} ns"
        )
        access = None
    inputs = (_turned(cell, library, port.data, port.write), _turned(cell, library, port.address, port.read))
    return Macro(
        cell.name, 2 ** int(address), int(bits), area, read, write, idle, *inputs,
        leakage_of(cell, units_of(library)), access, units_of(library).nominal, tuple(doubts),
    )  # fmt: skip


def _port(cell: Group) -> Convention:
    there = {name for pin in cell.of("pin") for name in pin.names}
    for convention in CONVENTIONS:
        if {convention.clock, *convention.read} <= there:
            return convention
    known = "; ".join(f"{c.name} ({', '.join((c.clock, *c.read))})" for c in CONVENTIONS)
    raise cell.error(f"its pins are those of no memory that is known here: {known}")


def _edges(pin: Group, library: Group, state: Mapping[str, int]) -> float | None:
    """Energy of a rising and a falling edge in a state, in pJ, summed over supplies; None if the file says nothing."""
    supplies: dict[str, list[float]] = {}
    for group in pin.of("internal_power"):
        if _holds(group, state):
            power = internal_power(group, library)
            both = [table.at(0.0) for table in (power.rise, power.fall) if table is not None]
            supplies.setdefault(group.text("related_pg_pin") or "", []).append(sum(both))
    return sum(sum(of) / len(of) for of in supplies.values()) if supplies else None


def _holds(group: Group, state: Mapping[str, int]) -> bool:
    """Whether a group is for this state: without a condition it is for all. Raises ToolError for other pins."""
    text = group.text("when")
    if text is None:
        return True
    try:
        function = Function.parse(text)
    except ToolError as error:
        raise group.error(str(error), group.simple["when"][1]) from None
    strange = [name for name in function.names if name not in state]
    if strange:
        raise group.error(
            f"its condition {text!r} depends on {strange[0]}, which says nothing of reading or writing"
        )
    bits = {name: np.array([value], dtype=np.uint64) for name, value in state.items()}
    return bool(function.at(bits)[0] & np.uint64(1))


def _turned(cell: Group, library: Group, bus: str, state: Mapping[str, int]) -> float | None:
    """Mean energy of one transition of one of the inputs in a state, in pJ; None if the file says nothing."""
    energies = [
        internal_power(power, library).at(0.0)
        for group in _of_bus(cell, bus)
        for power in group.of("internal_power")
        if _holds(power, state)
    ]
    return sum(energies) / len(energies) if energies else None


def _of_bus(cell: Group, bus: str) -> Iterator[Group]:
    """The group of a bus, and those of its pins."""
    for group in cell.of("bus"):
        if bus in group.names:
            yield group
            yield from group.of("pin")


def _access(cell: Group, library: Group, out: str) -> float | None:
    """Access time from the clock's edge to the data, in ns; None if the file says nothing."""
    found = [
        _late(table, library)
        for group in _of_bus(cell, out)
        for timing in group.of("timing")
        if timing.text("timing_type") in _EDGES
        for table in timing.of("cell_rise", "cell_fall")
    ]
    return max(found, default=None)


def _late(table: Group, library: Group) -> float:
    """The entry at the lower median input transition time and the largest load, in ns. Raises ToolError."""
    template = next(
        (t for t in library.of("lu_table_template") if table.names and table.name in t.names), None
    )
    if template is None:
        raise table.error(f"no template {' '.join(table.names)!r} in the library")
    axes = []
    for number in (1, 2):
        variable = template.text(f"variable_{number}")
        if variable is not None:
            points = table.numbers(f"index_{number}") or template.numbers(f"index_{number}")
            axes.append((len(points) - 1) // 2 if variable in _SLEWS else len(points) - 1)
    sizes = [
        len(table.numbers(f"index_{n}") or template.numbers(f"index_{n}")) for n in range(1, len(axes) + 1)
    ]
    values = table.numbers("values")
    if not values or len(values) != int(np.prod(sizes)):
        raise table.error(f"table needs {' x '.join(map(str, sizes))} values, got {len(values)}")
    return float(np.array(values).reshape(sizes)[tuple(axes)]) * units_of(library).time * 1e9


def _period(clock: Group, library: Group) -> float | None:
    """The least period of the clock in ns; None if the file says nothing."""
    of_tables = [
        max(values)
        for timing in clock.of("timing")
        if timing.text("timing_type") == "minimum_period"
        for table in timing.of("rise_constraint", "fall_constraint")
        if (values := table.numbers("values"))
    ]
    stated = clock.number("min_period")
    found = [*of_tables, *([] if stated is None else [stated])]
    return max(found) * units_of(library).time * 1e9 if found else None
