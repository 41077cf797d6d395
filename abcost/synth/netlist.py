"""A mapped netlist: Yosys' JSON with the cells of a Liberty file -> cells, nets, and the load of every net.

    load of a net = sum of the capacitances of the pins that read it            (pF)

Wires have no capacitance before placement, and what reads an output of the module belongs to its reader.
Nets are numbered from 0; net 0 is constant 0, net 1 constant 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from abcost.errors import ToolError
from abcost.synth.liberty import Cell, Library

CONSTANTS = {"0": 0, "1": 1}


@dataclass(frozen=True, slots=True)
class Instance:
    """One cell of the netlist: pin -> net."""

    name: str
    cell: Cell
    nets: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Netlist:
    """Flat netlist. inputs and outputs: port -> nets, lowest bit first; loads: pF per net."""

    name: str
    inputs: Mapping[str, tuple[int, ...]]
    outputs: Mapping[str, tuple[int, ...]]
    gates: tuple[Instance, ...]
    flip_flops: tuple[Instance, ...]
    loads: tuple[float, ...]


def netlist_of(design: Mapping[str, Any], top: str, library: Library) -> Netlist:
    """The module `top` of what Yosys' write_json wrote.

    Raises ToolError for a cell that the library does not have or that cannot be simulated, and for a net
    without exactly one driver.
    """
    try:
        module = design["modules"][top]
        ports = {name: (str(p["direction"]), list(p["bits"])) for name, p in module["ports"].items()}
        cells = [
            (name, str(c["type"]), {pin: list(bits) for pin, bits in c["connections"].items()})
            for name, c in module["cells"].items()
        ]
    except (KeyError, TypeError, AttributeError):
        raise ToolError(f"the netlist of {top} is not what Yosys' write_json writes") from None
    numbers: dict[object, int] = dict(CONSTANTS)

    def net(bit: object) -> int:
        if isinstance(bit, str) and bit not in CONSTANTS:
            raise ToolError(
                f"the netlist of {top} has an undriven bit {bit!r}; the unit must drive every bit"
            )
        return numbers.setdefault(bit, len(numbers))

    inputs = {name: tuple(map(net, bits)) for name, (way, bits) in ports.items() if way == "input"}
    outputs = {name: tuple(map(net, bits)) for name, (way, bits) in ports.items() if way == "output"}
    found = []
    for name, kind, pins in cells:
        if kind == "$scopeinfo":
            continue  # names of the source, no hardware
        if kind not in library.cells:
            raise ToolError(
                f"{top}: the library {library.name} has no cell {kind} (cell {name} of the netlist)"
            )
        found.append(
            Instance(name, library.cells[kind], {pin: net(bits[0]) for pin, bits in pins.items() if bits})
        )
    gates = tuple(i for i in found if i.cell.flip_flop is None)
    flip_flops = tuple(i for i in found if i.cell.flip_flop is not None)
    for gate in gates:
        _check_gate(gate, top)
    for flip_flop in flip_flops:
        _check_flip_flop(flip_flop, inputs.get("clk", ()), top)
    _check_drivers(top, inputs.values(), outputs.values(), found, len(numbers))
    return Netlist(top, inputs, outputs, gates, flip_flops, _loads(found, len(numbers)))


def driven(instance: Instance) -> Iterator[tuple[str, int]]:
    """Output pins that are connected, with their nets."""
    return ((pin, net) for pin, net in instance.nets.items() if instance.cell.pins[pin].direction == "output")


def read(instance: Instance) -> Iterator[tuple[str, int]]:
    """Input pins with their nets."""
    return ((pin, net) for pin, net in instance.nets.items() if instance.cell.pins[pin].direction == "input")


def _check_gate(gate: Instance, top: str) -> None:
    cell = gate.cell
    if cell.has_latch:
        raise ToolError(f"{top}: {cell.name} (cell {gate.name}) is a latch or a bank; no simulation of it")
    _check_pins(gate, top)
    for pin, _ in driven(gate):
        function = cell.pins[pin].function
        if function is None or cell.pins[pin].three_state:
            raise ToolError(
                f"{top}: {cell.name}.{pin} has no plain function in the library; no simulation of it"
            )
        _check_connected(gate, function.names, top)


def _check_flip_flop(flip_flop: Instance, clock: Sequence[int], top: str) -> None:
    """Only flip-flops that the port clk clocks directly, at its rising edge: units have no others."""
    cell, ff = flip_flop.cell, flip_flop.cell.flip_flop
    assert ff is not None
    _check_pins(flip_flop, top)
    if ff.clear is not None or ff.preset is not None:
        raise ToolError(
            f"{top}: {cell.name} (cell {flip_flop.name}) has a clear or preset; no simulation of it"
        )
    _check_connected(flip_flop, (*ff.next_state.names, *ff.clocked_on.names), top, (ff.state, ff.inverted))
    if (
        ff.clocked_on.text.strip("() ") not in cell.pins
        or flip_flop.nets[ff.clocked_on.names[0]] not in clock
    ):
        raise ToolError(
            f"{top}: {cell.name} (cell {flip_flop.name}) is not clocked by the rising edge of clk itself"
        )
    for pin, _ in driven(flip_flop):
        function = cell.pins[pin].function
        if function is None or not set(function.names) <= {ff.state, ff.inverted}:
            raise ToolError(
                f"{top}: {cell.name}.{pin} is no function of the state alone; no simulation of it"
            )


def _check_pins(instance: Instance, top: str) -> None:
    for pin in instance.nets:
        known = instance.cell.pins.get(pin)
        if known is None or known.direction not in ("input", "output"):
            raise ToolError(f"{top}: the library has no input or output {instance.cell.name}.{pin}")


def _check_connected(
    instance: Instance, names: Iterable[str], top: str, states: tuple[str, ...] = ()
) -> None:
    for name in names:
        if name not in instance.nets and name not in states:
            raise ToolError(f"{top}: {instance.cell.name}.{name} of cell {instance.name} is not connected")


def _check_drivers(
    top: str,
    inputs: Iterable[Sequence[int]],
    outputs: Iterable[Sequence[int]],
    cells: Sequence[Instance],
    count: int,
) -> None:
    drivers = [0] * count
    drivers[0] = drivers[1] = 1
    for bits in inputs:
        for bit in bits:
            drivers[bit] += 1
    for cell in cells:
        for _, net in driven(cell):
            drivers[net] += 1
    wanted = {net for cell in cells for _, net in read(cell)} | {bit for bits in outputs for bit in bits}
    for net in sorted(wanted | {i for i, n in enumerate(drivers) if n > 1}):
        if drivers[net] != 1:
            raise ToolError(f"{top}: net {net} of the netlist has {drivers[net]} drivers, needs one")


def _loads(cells: Sequence[Instance], count: int) -> tuple[float, ...]:
    loads = [0.0] * count
    for cell in cells:
        for pin, net in read(cell):
            loads[net] += cell.cell.pins[pin].capacitance
    return tuple(loads)
