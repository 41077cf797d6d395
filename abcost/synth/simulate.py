"""Simulation of a mapped netlist in many lanes at once: 64 lanes per word, one row of words per net.

    zero delay   every gate follows its inputs at once: a net changes at most once per transition
    unit delay   every gate follows its inputs one step later: unequal paths make a net change several times

Gates of one type are evaluated together. The real count of transitions lies between: real delays differ, and a
gate swallows pulses shorter than its own delay.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from abcost.errors import ToolError
from abcost.synth.function import Function, Words
from abcost.synth.liberty import FlipFlop
from abcost.synth.netlist import Instance, Netlist, pins_of

Counts = NDArray[np.int64]
"""Transitions per net, summed over lanes."""

_ONES = np.uint64(2**64 - 1)


@dataclass(frozen=True, slots=True)
class _Batch:
    """Gates that compute the same function: one column per gate."""

    function: Function
    sources: NDArray[np.intp]  # (names of the function, gates)
    targets: NDArray[np.intp]  # (gates,)

    def apply(self, before: Words, after: Words) -> None:
        """Write the function of `before` into `after`."""
        after[self.targets] = self.function.at(
            dict(zip(self.function.names, before[self.sources], strict=True))
        )

    def reading(self, changed: NDArray[np.bool_]) -> _Batch:
        """The gates with an input that changed."""
        active = changed[self.sources].any(axis=0)
        return self if active.all() else _Batch(self.function, self.sources[:, active], self.targets[active])


class Simulator:
    """The gates of one netlist, ordered for both delays. Values: uint64 (nets, words)."""

    def __init__(self, netlist: Netlist) -> None:
        """Raises ToolError for a loop of gates."""
        self.netlist = netlist
        self.nets = len(netlist.loads)
        levels = levels_of(netlist)
        self.depth = max(levels, default=0)
        self._ordered = [
            _batches([g for g, level in zip(netlist.gates, levels, strict=True) if level == wanted])
            for wanted in range(1, self.depth + 1)
        ]
        self._all = _batches(netlist.gates)
        self._sources = np.array(
            sorted(set(range(self.nets)) - {net for g in netlist.gates for net in g.outputs}),
            dtype=np.intp,
        )

    def blank(self, words: int) -> Words:
        """Values with both constants set and everything else 0."""
        values = np.zeros((self.nets, words), dtype=np.uint64)
        values[1] = _ONES
        return values

    def settle(self, values: Words) -> None:
        """Zero delay, in place: every gate's output from its inputs, level by level."""
        for level in self._ordered:
            for batch in level:
                batch.apply(values, values)

    def ripple(self, before: Words, sources: Words) -> tuple[Words, Counts]:
        """Unit delay: settled values, and the transitions of every net on the way there.

        before: settled; sources: values whose inputs and states are the new ones (the rest is not read).
        """
        values = before.copy()
        values[self._sources] = sources[self._sources]
        counts = transitions(before, values)
        moving = counts > 0
        for _ in range(self.depth + 1):
            active = [batch for batch in (b.reading(moving) for b in self._all) if len(batch.targets)]
            if not active:
                break
            past, moving = values.copy(), np.zeros(self.nets, dtype=bool)
            for batch in active:
                batch.apply(past, values)
                turned = transitions(past[batch.targets], values[batch.targets])
                counts[batch.targets] += turned
                moving[batch.targets] = turned > 0
        return values, counts

    def step(self, values: Words, following: Words) -> None:
        """A clock edge: the outputs of the flip-flops in `following`, from the settled `values`.

        A next_state may read the state, which is read from an output that shows it.
        """
        for flip_flop, rule in self.netlist.flip_flops:
            known = {pin: values[net] for pin, net in flip_flop.nets.items()}
            known |= {f.text.strip("() "): values[net] for net, f in flip_flop.outputs.items()}
            missing = sorted(set(rule.next_state.names) - set(known))
            if missing:
                raise ToolError(
                    f"{self.netlist.name}: next_state of {flip_flop.cell.name} reads {missing[0]}, which no "
                    "connected output shows; abcost cannot simulate it"
                )
            _show(flip_flop, rule, rule.next_state.at(known), following)

    def reset(self, values: Words) -> None:
        """Every flip-flop holds what it takes from inputs of 0: all registers of the unit are 0, as in its model.

        So the output of a cell that shows the complement of what it has taken begins with 1.
        """
        zero = np.zeros_like(values[0])
        for flip_flop, rule in self.netlist.flip_flops:
            _show(flip_flop, rule, rule.next_state.at(dict.fromkeys(rule.next_state.names, zero)), values)


def _show(flip_flop: Instance, rule: FlipFlop, state: Words, values: Words) -> None:
    """The outputs of a flip-flop in this state."""
    states = {rule.state: state, rule.inverted: state ^ _ONES}
    for net, function in flip_flop.outputs.items():
        values[net] = function.at(states)


def transitions(before: Words, after: Words) -> Counts:
    """Lanes in which each net differs."""
    counts: Counts = np.bitwise_count(before ^ after).sum(axis=1, dtype=np.int64)
    return counts


def pack(bits: NDArray[np.bool_]) -> Words:
    """(nets, lanes) bits -> (nets, lanes / 64) words; the lanes must fill their words."""
    return np.packbits(np.ascontiguousarray(bits), axis=1, bitorder="little").view(np.uint64)


def unpack(words: Words) -> NDArray[np.bool_]:
    """The inverse of `pack`."""
    return np.unpackbits(np.ascontiguousarray(words).view(np.uint8), axis=1, bitorder="little").astype(bool)


def _batches(gates: Sequence[Instance]) -> list[_Batch]:
    """Outputs of gates by their function, in the order of first use."""
    found: dict[str, tuple[Function, list[list[int]], list[int]]] = {}
    for gate in gates:
        for net, function in gate.outputs.items():
            _, sources, targets = found.setdefault(function.text, (function, [], []))
            sources.append([gate.nets[name] for name in function.names])
            targets.append(net)
    return [
        _Batch(
            function,
            np.array(sources, dtype=np.intp).reshape(len(targets), len(function.names)).T,
            np.array(targets, dtype=np.intp),
        )
        for function, sources, targets in found.values()
    ]


def levels_of(netlist: Netlist) -> list[int]:
    """Level of each gate: 1 + the highest level among the gates that drive its inputs."""
    driver = {net: i for i, gate in enumerate(netlist.gates) for net in gate.outputs}
    levels = [1] * len(netlist.gates)
    waiting = [0] * len(netlist.gates)
    readers: list[list[int]] = [[] for _ in netlist.gates]
    for i, gate in enumerate(netlist.gates):
        for _, net in pins_of(gate, "input"):
            if net in driver:
                readers[driver[net]].append(i)
                waiting[i] += 1
    ready = [i for i, count in enumerate(waiting) if count == 0]
    for i in ready:  # grows while it is read
        for reader in readers[i]:
            levels[reader] = max(levels[reader], levels[i] + 1)
            waiting[reader] -= 1
            if waiting[reader] == 0:
                ready.append(reader)
    if len(ready) < len(levels):
        raise ToolError(f"{netlist.name}: gates of the netlist form a loop; a unit must not have one")
    return levels
