"""Energy of a mapped engine, or of a whole mapped network, by the transitions that its own rows cause.

64 sequences are simulated side by side (`abcost.synth.simulate`), once without delays and once with one unit of delay
per cell. They have the same length and the same flags, so the first of them says when a value is taken or given. Every
result is compared with the interpreter's; a netlist that computes anything else has no energy here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from abcost.accelerator.design.engine import EngineDesign, steps_of
from abcost.emit.rows import Rows
from abcost.errors import ToolError
from abcost.rtl.unit import Port, Unit
from abcost.synth.activity import Energy, transition_energy
from abcost.synth.function import Words
from abcost.synth.liberty import Library
from abcost.synth.netlist import Netlist
from abcost.synth.simulate import Simulator, pack, transitions, unpack

LANES = 64
Bits = NDArray[np.bool_]


class Run:
    """A netlist under simulation, cycle by cycle; it begins with zeros in all registers and `reset` high."""

    def __init__(self, netlist: Netlist, library: Library, clock: str, reset: tuple[str, bool]) -> None:
        """reset: its port, and the value that resets."""
        self.netlist, self.clock = netlist, clock
        self.simulator = Simulator(netlist)
        self.each = transition_energy(netlist, library.voltage)
        self.values = self.simulator.blank(LANES // 64)
        self.low = np.zeros(self.simulator.nets, dtype=np.int64)
        self.high = self.low.copy()
        self.counted = 0
        self.reset, active = reset
        self.drive(self.values, self.reset, np.full((1, LANES), active))
        self.active = active

    def drive(self, values: Words, port: str, bits: Bits) -> None:
        """bits: (bits of the port, lanes)."""
        values[list(self.netlist.inputs[port])] = pack(bits)

    def settle(self, inputs: Mapping[str, Bits]) -> None:
        """The first cycle, in reset."""
        for port, bits in inputs.items():
            self.drive(self.values, port, bits)
        self.simulator.settle(self.values)

    def step(self, inputs: Mapping[str, Bits], *, counts: bool) -> None:
        """A clock edge, and the inputs of the cycle behind it. counts: whether its transitions do."""
        following = self.values.copy()
        self.simulator.step(self.values, following)
        self.drive(following, self.reset, np.full((1, LANES), not self.active))
        for port, bits in inputs.items():
            self.drive(following, port, bits)
        settled, turned = self.simulator.ripple(self.values, following)
        if counts:
            self.low += transitions(self.values, settled)
            self.high += turned
            self.counted += 1
        self.values = settled

    def flag(self, port: str) -> bool:
        """An output of one bit, in the first sequence."""
        return bool(self.values[self.netlist.outputs[port][0], 0] & np.uint64(1))

    def output(self, port: str) -> Bits:
        """(bits, lanes)."""
        return unpack(self.values[list(self.netlist.outputs[port])])

    def energy(self, cycles: int) -> tuple[Energy, float]:
        """Picojoule of one sequence that takes so many cycles of the clock, and what the clock's pins take of it."""
        (clock,) = self.netlist.inputs[self.clock]
        for counts in (self.low, self.high):
            counts[clock] = 2 * LANES * cycles  # up and down in every cycle
        low, high = (float(counts @ self.each) / LANES for counts in (self.low, self.high))
        return Energy(min(low, high), max(low, high)), 2 * cycles * float(self.each[clock])


def bits_of(port: Port, rows: Sequence[NDArray[np.int64]]) -> Bits:
    """Rows (rows, elements) of each sequence -> (rows, bits of the port, sequences)."""
    values = np.stack([found.reshape(len(found), port.count, 1) for found in rows], axis=-1)
    bits = (values >> np.arange(port.width).reshape(1, 1, -1, 1)) & 1
    return bits.reshape(len(values), port.bits, -1).astype(bool)


def engine_energy(
    unit: Unit, design: EngineDesign, rows: Sequence[Rows], netlist: Netlist, library: Library
) -> tuple[Energy, float, int]:
    """Energy of all these windows in pJ, what the clock takes of it, and their cycles; one `Rows` for each sequence.

    Windows follow each other without a stall; what is still on its way behind the last one counts too, but for the
    clock. Raises ToolError where a result is not the interpreter's.
    """
    ports = {port.name: port for port in (*unit.inputs, *unit.outputs)}

    def packed(role: str) -> dict[str, Bits]:
        names = getattr(rows[0], role)
        return {name: bits_of(ports[name], [getattr(r, role)[name].numpy() for r in rows]) for name in names}

    inputs, sides, expected = packed("inputs"), packed("sides"), packed("expected")
    steps = steps_of(design.engine, design.folding)
    folds, positions = design.engine.channels // design.folding.pe, len(rows[0].inputs["a"]) // steps
    order = [p * steps + s for p in range(positions) for _ in range(folds) for s in range(steps)]
    at = dict.fromkeys((*sides, *expected), 0)

    def cycle(number: int, *, active: bool) -> dict[str, Bits]:
        row = order[min(number, len(order) - 1)]
        found = {name: bits[row] for name, bits in inputs.items()}
        found |= {name: bits[min(at[name], len(bits) - 1)] for name, bits in sides.items()}
        if "valid" in netlist.inputs:
            found["valid"] = np.full((1, LANES), active)
        return found

    run = Run(netlist, library, "clk", ("reset", True))
    run.settle(cycle(0, active=False))
    for number in range(len(order) + design.stages + design.folding.pe // design.lanes + 8):
        run.step(cycle(number, active=number < len(order)), counts=True)
        for name, bits in expected.items():
            if run.flag(f"{name}_valid"):
                if at[name] >= len(bits) or not np.array_equal(run.output(name), bits[at[name]]):
                    raise ToolError(f"{unit.name}: result {at[name]} of {name} is not the interpreter's")
                at[name] += 1
        for name in sides:
            at[name] += run.flag(f"{name}_take")
    short = [name for name, bits in {**sides, **expected}.items() if at[name] != len(bits)]
    if short:
        raise ToolError(f"{unit.name}: the netlist gave or took too few values of {', '.join(short)}")
    energy, clock = run.energy(len(order))
    return energy, clock, len(order)


def network_energy(
    netlist: Netlist,
    library: Library,
    beats: Sequence[Bits],
    answers: Sequence[Bits],
    interval: int,
    images: int,
) -> tuple[Energy, float]:
    """Energy of one inference in pJ while others come before and behind it, and what the clock takes of it.

    beats: (bits of tdata, sequences), of one image; answers: the same of its logits. `images` times the same images are
    fed without a pause; what the interval in front of the end of the last image's answer spends is counted.
    """
    run = Run(netlist, library, "clk", ("aresetn", False))
    high, fed, given = np.full((1, LANES), True), 0, 0

    def inputs() -> dict[str, Bits]:
        index = fed % len(beats)
        there = fed < images * len(beats)
        return {
            "s_axis_tdata": beats[index],
            "s_axis_tvalid": high if there else ~high,
            "s_axis_tlast": high if index == len(beats) - 1 else ~high,
            "m_axis_tready": high,
        }

    run.settle(inputs())
    started: int | None = None
    for number in range((images + 8) * interval):
        counts = started is not None and number < started + interval
        run.step(inputs(), counts=counts)
        if counts and started is not None and number == started + interval - 1:
            return run.energy(interval)
        if run.flag("s_axis_tready") and fed < images * len(beats):
            fed += 1
        if run.flag("m_axis_tvalid"):
            if not np.array_equal(run.output("m_axis_tdata"), answers[given % len(answers)]):
                raise ToolError(f"logit {given} of the mapped network is not the interpreter's")
            given += 1
            if given == len(answers) and started is None:
                started = number + 1
    raise ToolError("the mapped network gave no answer")
