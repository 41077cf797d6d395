"""A netlist mapped to FPGA cells: for the simulator, and with the way that each signal takes.

    routed    nets that a cell drives and that leave it over the routing fabric
    hops      readers that a signal reaches over the routing fabric, of a net of a cell that is read at least 1;
              what drives an input of the module pays its first hop, and the reader of an output none
    settled   nets that a cell drives: those that a simulator of the same netlist shows

Nets between the bits of a carry cell are in none of the three.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abcost.errors import ToolError
from abcost.synth.dsp_cells import BLOCKS
from abcost.synth.function import Function
from abcost.synth.liberty import Cell, FlipFlop, Pin
from abcost.synth.lut_cells import STATE, Bit, Gate, RawCell, Register, is_routed, parameter_value, parts_of
from abcost.synth.lut_functions import formula
from abcost.synth.netlist import Instance, Netlist

Shares = NDArray[np.float64]
"""One number per net."""


@dataclass(frozen=True, slots=True)
class Fabric:
    """A netlist, and per net what a transition on it counts as; registers and blocks: how many there are.

    bits: net -> its bit in Yosys' JSON, for the nets that are there.
    """

    netlist: Netlist
    routed: Shares
    hops: Shares
    settled: Shares
    registers: int
    blocks: int
    bits: Mapping[int, int]


def fabric_of(design: Mapping[str, Any], top: str) -> Fabric:
    """The flat module `top` of what Yosys' write_json wrote.

    Raises ToolError for a cell that cannot be simulated, and for a net without exactly one driver.
    """
    try:
        module = design["modules"][top]
        ports = {name: (str(p["direction"]), list(p["bits"])) for name, p in module["ports"].items()}
        cells = [_raw(name, c) for name, c in module["cells"].items() if c["type"] != "$scopeinfo"]
    except (KeyError, TypeError, AttributeError):
        raise ToolError(f"the netlist of {top} is not what Yosys' write_json writes") from None
    return _Builder(top, ports, cells).fabric()


def _raw(name: str, cell: Mapping[str, Any]) -> RawCell:
    return RawCell(
        name,
        str(cell["type"]),
        {key: parameter_value(value) for key, value in cell.get("parameters", {}).items()},
        {pin: tuple(bits) for pin, bits in cell["connections"].items()},
    )


class _Builder:
    """Numbers nets (0 and 1 are the constants), and notes who drives and who reads them."""

    def __init__(
        self, top: str, ports: Mapping[str, tuple[str, Sequence[Bit]]], cells: Sequence[RawCell]
    ) -> None:
        self.top = top
        self.numbers: dict[Bit, int] = {"0": 0, "1": 1}
        self.ports = {
            way: {name: tuple(map(self.net, bits)) for name, (found, bits) in ports.items() if found == way}
            for way in ("input", "output")
        }
        self.gates: list[Instance] = []
        self.flip_flops: list[tuple[Instance, FlipFlop]] = []
        self.drivers: dict[int, str] = {}  # net -> kind of the cell
        self.readers: list[tuple[int, str]] = []  # net, way
        self.blocks = sum(cell.kind in BLOCKS for cell in cells)
        for cell in cells:
            try:
                for part in parts_of(cell):
                    self.add(cell, part)
            except ToolError as error:
                raise ToolError(f"{top}: cell {cell.name} ({cell.kind}): {error}") from None

    def net(self, bit: Bit) -> int:
        """The number of a bit; one that nothing drives is 0 in hardware."""
        return self.numbers.setdefault("0" if bit in ("x", "z") else bit, len(self.numbers))

    def add(self, cell: RawCell, part: Gate | Register) -> None:
        """One part of a cell."""
        if isinstance(part, Gate):
            outputs = {self.net(bit): function for bit, function in part.outputs.items()}
            nets = {name: self.net(bit) for name, bit in part.inputs.items()}
            instance = _instance(cell, nets, outputs)
            if outputs:
                self.gates.append(instance)
        else:
            outputs = {} if part.output is None else {self.net(part.output): formula(STATE)}
            names = [name for name in part.following.names if name != STATE]
            nets = {name: self.net(part.inputs[name]) for name in names}
            if self.net(part.clock) not in self.ports["input"].get("clk", ()):
                raise ToolError("a flip-flop that the port clk does not clock")
            instance = _instance(cell, nets, outputs)
            clock = formula("C")
            rule = FlipFlop(STATE, f"{STATE}N", clock, part.following, None, None)
            self.flip_flops.append((instance, rule))
        for net in outputs:
            if net in self.drivers or net < 2:
                raise ToolError(f"net {net} has several drivers, needs one")
            self.drivers[net] = cell.kind
        self.readers += [(net, part.ways.get(name, "")) for name, net in nets.items()]

    def fabric(self) -> Fabric:
        """The whole, checked."""
        count = len(self.numbers)
        fanout = np.zeros(count)
        for net, way in self.readers:
            fanout[net] += is_routed(way, self.drivers.get(net, ""))
        leaving = {net for bits in self.ports["output"].values() for net in bits}
        entering = {net for bits in self.ports["input"].values() for net in bits}
        for net in sorted(entering & set(self.drivers)):
            raise ToolError(f"{self.top}: net {net} of the netlist has several drivers, needs one")
        read = {net for net, _ in self.readers} | leaving
        for net in sorted(read - set(self.drivers) - entering - {0, 1}):
            raise ToolError(f"{self.top}: net {net} of the netlist has no driver, needs one")
        fanout[list(leaving)] += 1
        inside = {number for bit, number in self.numbers.items() if isinstance(bit, tuple)}
        driven = np.zeros(count, dtype=bool)
        driven[list(set(self.drivers) - inside)] = True
        seen = np.zeros(count, dtype=bool)
        seen[list(read)] = True
        hops = np.where(driven & seen, np.maximum(fanout, 1), 0.0)
        for net in entering - leaving:
            hops[net] = max(0.0, fanout[net] - 1)
        hops[[0, 1]] = 0
        netlist = Netlist(
            self.top,
            self.ports["input"],
            self.ports["output"],
            tuple(self.gates),
            tuple(self.flip_flops),
            (0.0,) * count,
        )
        routed = np.where(driven & (fanout > 0), 1.0, 0.0)
        bits = {number: bit for bit, number in self.numbers.items() if isinstance(bit, int)}
        return Fabric(netlist, routed, hops, driven.astype(float), len(self.flip_flops), self.blocks, bits)


def _instance(cell: RawCell, nets: Mapping[str, int], outputs: Mapping[int, Function]) -> Instance:
    pins = {name: Pin(name, "input", 0.0, None, three_state=False, power=()) for name in nets}
    return Instance(cell.name, Cell(cell.kind, 0.0, pins, None), nets, outputs)
