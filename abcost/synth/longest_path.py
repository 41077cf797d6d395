"""Delay of a mapped netlist between registers, by the tables of its Liberty file: a static timing analysis.

    delay = clock to output + cells on the slowest path + setup                        (ns)

Every input comes from the library's flip-flop and every output goes to one; both edges are followed, and at each net
the latest arrival and the flattest slew are kept. The clock is ideal: it reaches all registers at once, with no slew.
Nets have the capacitance of the pins that read them and no wires, and nothing is buffered or sized for speed, so a
figure is that of the netlist as it was mapped.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from abcost.errors import ToolError
from abcost.synth.delay_arcs import Arc, DelayArcs, Edge, Setup
from abcost.synth.liberty import Cell, Library
from abcost.synth.netlist import Instance, Netlist, pins_of
from abcost.synth.simulate import levels_of

CLOCK_SLEW = 0.0


@dataclass(slots=True)
class _Arrival:
    """At one net, by edge: the latest arrival in ns, and the flattest slew."""

    at: dict[Edge, float]
    slew: dict[Edge, float]

    def add(self, edge: Edge, at: float, slew: float) -> None:
        self.at[edge] = max(at, self.at.get(edge, at))
        self.slew[edge] = max(slew, self.slew.get(edge, slew))


def register_to_register(netlist: Netlist, library: Library, arcs: DelayArcs, flip_flop: str) -> float:
    """The slowest path in ns; flip_flop: the cell before the inputs and behind the outputs.

    Raises ToolError where a cell has no timing, the netlist has a loop, or there is no path.
    """
    register = library.cells[flip_flop]
    data, output = _pins(register, arcs)
    loads = list(netlist.loads)
    for bits in netlist.outputs.values():
        for net in bits:
            loads[net] += register.pins[data].capacitance
    arrivals: dict[int, _Arrival] = {}
    for port, bits in netlist.inputs.items():
        if port != "clk":
            for net in bits:
                _launch(arrivals, net, arcs.of(flip_flop).launched, output, loads)
    for instance, _ in netlist.flip_flops:
        for pin, net in pins_of(instance, "output"):
            _launch(arrivals, net, arcs.of(instance.cell.name).launched, pin.name, loads)
    for gate in _in_order(netlist):
        _through(arrivals, gate, arcs.of(gate.cell.name).arcs, loads)
    setups = [
        (net, setup)
        for bits in netlist.outputs.values()
        for net in bits
        for setup in _setups(arcs, flip_flop, data)
    ]
    for instance, _ in netlist.flip_flops:
        data, _ = _pins(instance.cell, arcs)
        setups += [(instance.nets[data], setup) for setup in _setups(arcs, instance.cell.name, data)]
    ends = [
        arrivals[net].at[setup.edge] + setup.time.at(arrivals[net].slew[setup.edge], CLOCK_SLEW)
        for net, setup in setups
        if net in arrivals and setup.edge in arrivals[net].at
    ]
    if not ends:
        raise ToolError(f"{netlist.name}: no path from register to register")
    return max(ends)


def _pins(cell: Cell, arcs: DelayArcs) -> tuple[str, str]:
    """The input of a flip-flop, and its output: that which shows the state, where there is one."""
    rule = cell.flip_flop
    inputs = {setup.pin for setup in arcs.of(cell.name).setups}
    data = [name for name in (rule.next_state.names if rule else ()) if name in inputs]
    outputs = [pin for pin in cell.pins.values() if pin.direction == "output" and pin.function is not None]
    outputs.sort(key=lambda pin: pin.function is None or rule is None or pin.function.names != (rule.state,))
    launched = {arc.output for arc in arcs.of(cell.name).launched}
    if len(data) != 1 or not outputs or outputs[0].name not in launched:
        raise ToolError(f"{cell.name}: the library gives no setup time or no delay of this flip-flop")
    return data[0], outputs[0].name


def _setups(arcs: DelayArcs, cell: str, data: str) -> list[Setup]:
    return [setup for setup in arcs.of(cell).setups if setup.pin == data]


def _launch(
    arrivals: dict[int, _Arrival], net: int, launched: Sequence[Arc], output: str, loads: Sequence[float]
) -> None:
    """A register's output after the rising edge of its clock."""
    found = arrivals.setdefault(net, _Arrival({}, {}))
    for arc in launched:
        if arc.output == output:
            delay, slew = arc.delay.at(CLOCK_SLEW, loads[net]), arc.slew.at(CLOCK_SLEW, loads[net])
            found.add(arc.output_edge, max(0.0, delay), max(0.0, slew))


def _through(
    arrivals: dict[int, _Arrival], gate: Instance, arcs: Sequence[Arc], loads: Sequence[float]
) -> None:
    """A gate's outputs from its inputs."""
    if gate.outputs and not arcs:
        raise ToolError(f"{gate.cell.name}: the library gives no delays of this cell")
    for arc in arcs:
        here, there = gate.nets.get(arc.pin), gate.nets.get(arc.output)
        if here is None or there is None or here not in arrivals or arc.edge not in arrivals[here].at:
            continue
        before = arrivals[here]
        slew = before.slew[arc.edge]
        delay = max(0.0, arc.delay.at(slew, loads[there]))
        following = arrivals.setdefault(there, _Arrival({}, {}))
        following.add(arc.output_edge, before.at[arc.edge] + delay, max(0.0, arc.slew.at(slew, loads[there])))


def _in_order(netlist: Netlist) -> Iterator[Instance]:
    """The gates, each behind those that drive it."""
    levels = levels_of(netlist)
    for index in sorted(range(len(levels)), key=lambda i: levels[i]):
        yield netlist.gates[index]
