"""Energy of one operation of a mapped unit, by counting the transitions that random inputs cause.

    energy = sum over nets of transitions * (1/2 C V^2 + internal) / operations          (pJ)

    C          capacitances of the pins that read the net (pF); V: nominal voltage of the library
    internal   internal power of the output that drives the net at this load, and of the input pins that read it

    low    zero delay: no glitches
    high   unit delay: all glitches that unequal numbers of gates on two paths can make
    value  geometric mean of both

One operation is one change from a row of independent uniform bits to the next. A clocked unit spends one clock
cycle on it, whose two clock edges at the flip-flops' clock pins are in both ends; the tree that brings the clock
there is not, nor are wires and leakage. An accumulator starts anew every CYCLES rows.

Absolute figures depend on such choices by a factor of 2 to 5 (delays, slews, wires, how random the inputs are).
Ratios of units of like depth depend on them far less (adder to multiplexer); a ratio of a deep array to a shallow
unit does not escape the glitches: in osu018 a 32-bit multiplier spends 36 adders without and 91 with all of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, cat

from abcost.errors import ToolError
from abcost.rtl.unit import Port, Unit
from abcost.rtl.vectors import random_rows
from abcost.synth.function import Words
from abcost.synth.liberty import Library
from abcost.synth.netlist import Netlist, pins_of
from abcost.synth.simulate import Counts, Simulator, pack, transitions, unpack

LANES = 1024  # pairs of rows of a combinational unit; a multiple of 64
STREAMS, CYCLES = 128, 16  # independent sequences of a clocked unit, and operations in each


@dataclass(frozen=True, slots=True)
class Energy:
    """Picojoule per operation: without glitches, and with all of unit delay."""

    low: float
    high: float

    @property
    def value(self) -> float:
        """Geometric mean of both ends."""
        return math.sqrt(self.low * self.high)


@dataclass(frozen=True, slots=True)
class Activity:
    """Transitions per net in `operations` operations, without and with glitches."""

    low: Counts
    high: Counts
    operations: int


def energy_of(unit: Unit, netlist: Netlist, library: Library, *, seed: int = 0) -> Energy:
    """Energy of one operation of `unit`, whose netlist this is. Deterministic in `seed`.

    Raises ToolError where the netlist does not compute what the unit's model says.
    """
    activity = activity_of(unit, netlist, seed=seed)
    each = transition_energy(netlist, library.voltage)
    low, high = (float(counts @ each) / activity.operations for counts in (activity.low, activity.high))
    return Energy(min(low, high), max(low, high))


def activity_of(unit: Unit, netlist: Netlist, *, seed: int = 0) -> Activity:
    """Transitions under random rows. Raises ToolError where the netlist differs from the unit's model."""
    clock = {"clk": 1} if unit.clocked else {}
    _check_ports(unit.name, clock | {port.name: port.bits for port in unit.inputs}, netlist.inputs)
    _check_ports(unit.name, {port.name: port.bits for port in unit.outputs}, netlist.outputs)
    return _clocked(unit, netlist, seed) if unit.clocked else _combinational(unit, netlist, seed)


def transition_energy(netlist: Netlist, voltage: float) -> NDArray[np.float64]:
    """Picojoule per transition of each net: 1/2 C V^2 and the internal power of the pins on it."""
    each = 0.5 * np.array(netlist.loads) * voltage**2
    known: dict[tuple[int, float], float] = {}  # of a pin at a load: few of both are different
    for instance in (*netlist.gates, *(flip_flop for flip_flop, _ in netlist.flip_flops)):
        for pin, net in (*pins_of(instance, "output"), *pins_of(instance, "input")):
            key = id(pin), netlist.loads[net]
            if key not in known:
                known[key] = pin.energy(netlist.loads[net])
            each[net] += known[key]
    return each


def _combinational(unit: Unit, netlist: Netlist, seed: int) -> Activity:
    """Every lane is one change of rows: row i -> row i + 1."""
    rows = random_rows(unit, LANES + 1, seed=seed)
    inputs, outputs = _bits(unit.inputs, rows), _bits(unit.outputs, unit.model(rows))
    simulator = Simulator(netlist)
    before, after = (simulator.blank(LANES // 64) for _ in range(2))
    _drive(before, netlist, {name: bits[:, :-1] for name, bits in inputs.items()})
    _drive(after, netlist, {name: bits[:, 1:] for name, bits in inputs.items()})
    simulator.settle(before)
    settled, high = simulator.ripple(before, after)
    simulator.settle(after)
    _check(before, netlist, {name: bits[:, :-1] for name, bits in outputs.items()})
    _check(after, netlist, {name: bits[:, 1:] for name, bits in outputs.items()})
    _check(settled, netlist, {name: bits[:, 1:] for name, bits in outputs.items()})
    return Activity(transitions(before, after), high, LANES)


def _clocked(unit: Unit, netlist: Netlist, seed: int) -> Activity:
    """Every lane is a sequence of rows; rows change at the clock edge, together with the state."""
    length = CYCLES + 1
    rows = random_rows(unit, STREAMS * length, seed=seed)
    if "first" in rows:
        rows["first"].zero_()
        rows["first"][::length] = 1
    shape = (-1, STREAMS, length)
    inputs, outputs = (
        {name: bits.reshape(shape) for name, bits in found.items()}
        for found in (_bits(unit.inputs, rows), _bits(unit.outputs, _modelled(unit, rows, length)))
    )
    simulator = Simulator(netlist)
    values = simulator.blank(STREAMS // 64)
    simulator.reset(values)
    _drive(values, netlist, {name: bits[:, :, 0] for name, bits in inputs.items()})
    simulator.settle(values)
    low, high = np.zeros(simulator.nets, dtype=np.int64), np.zeros(simulator.nets, dtype=np.int64)
    for cycle in range(1, length):
        following = values.copy()
        simulator.step(values, following)
        _drive(following, netlist, {name: bits[:, :, cycle] for name, bits in inputs.items()})
        settled, counts = simulator.ripple(values, following)
        simulator.settle(following)
        _check(following, netlist, {name: bits[:, :, cycle - 1] for name, bits in outputs.items()})
        _check(settled, netlist, {name: bits[:, :, cycle - 1] for name, bits in outputs.items()})
        low += transitions(values, following)
        high += counts
        values = following
    operations = STREAMS * CYCLES
    for counts in (low, high):
        counts[list(netlist.inputs["clk"])] = 2 * operations  # up and down in every cycle
    return Activity(low, high, operations)


def _modelled(unit: Unit, rows: dict[str, Tensor], length: int) -> dict[str, Tensor]:
    """What the unit's model says, of sequences of `length` rows; of a unit with a warm-up each begins anew."""
    if not unit.warm_up:
        return unit.model(rows)
    count = len(next(iter(rows.values())))
    parts = [
        unit.model({name: values[start : start + length] for name, values in rows.items()})
        for start in range(0, count, length)
    ]
    return {name: cat([part[name] for part in parts]) for name in parts[0]}


def _check_ports(name: str, wanted: Mapping[str, int], found: Mapping[str, tuple[int, ...]]) -> None:
    for port, bits in wanted.items():
        if len(found.get(port, ())) != bits:
            raise ToolError(
                f"{name}: the netlist has no port {port} of {bits} bits; it is that of another unit"
            )


def _bits(ports: tuple[Port, ...], values: Mapping[str, Tensor]) -> dict[str, NDArray[np.bool_]]:
    """Port -> (bits of the port, rows)."""
    found = {}
    for port in ports:
        rows = values[port.name].numpy().reshape(-1, port.count, 1)
        bits = (rows >> np.arange(port.width)) & 1
        found[port.name] = np.ascontiguousarray(bits.reshape(len(rows), -1).T.astype(bool))
    return found


def _drive(values: Words, netlist: Netlist, inputs: Mapping[str, NDArray[np.bool_]]) -> None:
    for name, bits in inputs.items():
        values[list(netlist.inputs[name])] = pack(bits)


def _check(values: Words, netlist: Netlist, wanted: Mapping[str, NDArray[np.bool_]]) -> None:
    """Raise ToolError unless every output has the value that the unit's model says."""
    for name, bits in wanted.items():
        if not np.array_equal(unpack(values[list(netlist.outputs[name])]), bits):
            raise ToolError(
                f"{netlist.name}: the netlist does not compute what the unit's model says at output {name}; "
                "its energy would be that of something else (does the library describe these cells?)"
            )
