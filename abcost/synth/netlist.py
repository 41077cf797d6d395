"""A mapped netlist: Yosys' JSON with the cells of a Liberty file -> cells, nets, and the load of every net.

    load of a net = sum of the capacitances of the pins that read it            (pF)

Wires have no capacitance before placement, and what reads an output of the module belongs to its reader.
Nets are numbered from 0; net 0 is constant 0, net 1 constant 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from abcost.errors import ToolError
from abcost.synth.function import Function
from abcost.synth.liberty import Cell, FlipFlop, Library, Pin


@dataclass(frozen=True, slots=True)
class Instance:
    """One cell of the netlist. nets: pin -> net; outputs: net that it drives -> function of pins or state."""

    name: str
    cell: Cell
    nets: Mapping[str, int]
    outputs: Mapping[int, Function]


@dataclass(frozen=True, slots=True)
class Netlist:
    """Flat netlist. inputs and outputs: port -> nets, lowest bit first; loads: pF per net."""

    name: str
    inputs: Mapping[str, tuple[int, ...]]
    outputs: Mapping[str, tuple[int, ...]]
    gates: tuple[Instance, ...]
    flip_flops: tuple[tuple[Instance, FlipFlop], ...]
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
    numbers: dict[object, int] = {"0": 0, "1": 1}

    def net(bit: object) -> int:
        if isinstance(bit, str) and bit not in ("0", "1"):
            raise ToolError(
                f"the netlist of {top} has an undriven bit {bit!r}; the unit must drive every bit"
            )
        return numbers.setdefault(bit, len(numbers))

    inputs = {name: tuple(map(net, bits)) for name, (way, bits) in ports.items() if way == "input"}
    outputs = {name: tuple(map(net, bits)) for name, (way, bits) in ports.items() if way == "output"}
    gates: list[Instance] = []
    flip_flops: list[tuple[Instance, FlipFlop]] = []
    for name, kind, pins in cells:
        if kind == "$scopeinfo":
            continue  # names of the source, no hardware
        cell = library.cells.get(kind)
        if cell is None:
            why = f" that may be used ({library.left_out[kind]})" if kind in library.left_out else ""
            raise ToolError(
                f"{top}: the library {library.name} has no cell {kind}{why} (cell {name} of the netlist)"
            )
        nets = {pin: net(bits[0]) for pin, bits in pins.items() if bits}
        with _located(f"{top}: cell {name} ({kind})"):
            if cell.flip_flop is None:
                gates.append(_gate(name, cell, nets))
            else:
                flip_flops.append(
                    (_clocked(name, cell, nets, cell.flip_flop, inputs.get("clk", ())), cell.flip_flop)
                )
    found = [*gates, *(instance for instance, _ in flip_flops)]
    _check_drivers(top, inputs.values(), outputs.values(), found, len(numbers))
    return Netlist(top, inputs, outputs, tuple(gates), tuple(flip_flops), _loads(found, len(numbers)))


def pins_of(instance: Instance, direction: str) -> Iterator[tuple[Pin, int]]:
    """The connected pins of one direction, with their nets."""
    for name, net in instance.nets.items():
        pin = instance.cell.pins[name]
        if pin.direction == direction:
            yield pin, net


@contextmanager
def _located(where: str) -> Iterator[None]:
    try:
        yield
    except ToolError as error:
        raise ToolError(f"{where}: {error}") from None


def _gate(name: str, cell: Cell, nets: Mapping[str, int]) -> Instance:
    gate = Instance(name, cell, nets, _outputs(cell, nets))
    for function in gate.outputs.values():
        _check_connected(function, nets)
    return gate


def _clocked(
    name: str, cell: Cell, nets: Mapping[str, int], rule: FlipFlop, clock: Sequence[int]
) -> Instance:
    """Only flip-flops that the port clk clocks directly, at its rising edge: units have no others."""
    for what, function in (("clear", rule.clear), ("preset", rule.preset)):
        if function is not None and not _never(function, nets):
            raise ToolError(f"a flip-flop whose {what} is not tied off, which abcost cannot simulate")
    states = (rule.state, rule.inverted)
    _check_connected(rule.next_state, nets, states)
    pin = rule.clocked_on.text.strip("() ")
    if nets.get(pin) not in clock:
        raise ToolError(
            f"a flip-flop clocked by {rule.clocked_on.text!r}, not by the rising edge of clk itself"
        )
    instance = Instance(name, cell, nets, _outputs(cell, nets))
    for function in instance.outputs.values():
        if not set(function.names) <= set(states):
            raise ToolError(f"its output {function.text!r} is no function of the state alone")
    return instance


def _never(function: Function, nets: Mapping[str, int]) -> bool:
    """Whether constants at its pins keep a function at 0."""
    _check_connected(function, nets)
    constants = {0: np.uint64(0), 1: np.uint64(2**64 - 1)}
    if not all(nets[name] in constants for name in function.names):
        return False
    return not function.at({name: np.array(constants[nets[name]]) for name in function.names}).any()


def _outputs(cell: Cell, nets: Mapping[str, int]) -> dict[int, Function]:
    """Net -> function, of the connected outputs."""
    found = {}
    for name, net in nets.items():
        pin = cell.pins.get(name)
        if pin is None or pin.direction not in ("input", "output"):
            raise ToolError(f"the library gives it no input or output {name}")
        if pin.direction == "output":
            if pin.function is None or pin.three_state:
                raise ToolError(f"its output {name} has no plain function in the library")
            found[net] = pin.function
    return found


def _check_connected(function: Function, nets: Mapping[str, int], states: tuple[str, ...] = ()) -> None:
    missing = sorted(set(function.names) - set(nets) - set(states))
    if missing:
        raise ToolError(f"its pin {missing[0]} is not connected")


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
        for _, net in pins_of(cell, "output"):
            drivers[net] += 1
    wanted = {net for cell in cells for _, net in pins_of(cell, "input")} | {
        bit for bits in outputs for bit in bits
    }
    for net in sorted(wanted | {i for i, n in enumerate(drivers) if n > 1}):
        if drivers[net] != 1:
            raise ToolError(f"{top}: net {net} of the netlist has {drivers[net]} drivers, needs one")


def _loads(cells: Sequence[Instance], count: int) -> tuple[float, ...]:
    loads = [0.0] * count
    for cell in cells:
        for pin, net in pins_of(cell, "input"):
            loads[net] += pin.capacitance
    return tuple(loads)
