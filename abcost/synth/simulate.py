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
from abcost.synth.netlist import Instance, Netlist, driven, read

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
        levels = _levels(netlist)
        self.depth = max(levels, default=0)
        self._ordered = [
            _batches([g for g, level in zip(netlist.gates, levels, strict=True) if level == wanted])
            for wanted in range(1, self.depth + 1)
        ]
        self._all = _batches(netlist.gates)

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

    def ripple(self, before: Words, after: Words) -> Counts:
        """Unit delay: transitions of every net on the way from the settled values `before`.

        after: values whose inputs and states are already new; it holds the settled values at the end.
        """
        counts = np.zeros(self.nets, dtype=np.int64)
        past, changed = before, after != before
        sources = changed.any(axis=1)
        gates = np.concatenate([batch.targets for batch in self._all]) if self._all else np.zeros(0, np.intp)
        after[gates], sources[gates] = before[gates], False
        counts += transitions(before, after)
        moving = sources
        for _ in range(self.depth + 1):
            active = [batch.reading(moving) for batch in self._all]
            active = [batch for batch in active if len(batch.targets)]
            if not active:
                return counts
            past, moving = after.copy(), np.zeros(self.nets, dtype=bool)
            for batch in active:
                batch.apply(past, after)
                turned = np.bitwise_count(after[batch.targets] ^ past[batch.targets]).sum(
                    axis=1, dtype=np.int64
                )
                counts[batch.targets] += turned
                moving[batch.targets] = turned > 0
        raise ToolError(f"{self.netlist.name}: the netlist does not settle")  # a loop; levels refuse it earlier

    def step(self, values: Words, following: Words) -> None:
        """A clock edge: the outputs of the flip-flops in `following`, from the settled `values`.

        The state is read from the outputs of the flip-flop itself; a next_state that depends on it needs them.
        """
        for flip_flop in self.netlist.flip_flops:
            ff = flip_flop.cell.flip_flop
            assert ff is not None
            nets = {pin: values[net] for pin, net in flip_flop.nets.items()}
            try:
                state = ff.next_state.at(nets)
            except KeyError as error:
                raise ToolError(f"{flip_flop.cell.name}: next_state reads the state {error}; not simulated") from None
            states = {ff.state: state, ff.inverted: state ^ _ONES}
            for pin, net in driven(flip_flop):
                function = flip_flop.cell.pins[pin].function
                assert function is not None
                following[net] = function.at(states)


def transitions(before: Words, after: Words) -> Counts:
    """Lanes in which each net differs."""
    return np.bitwise_count(before ^ after).sum(axis=1, dtype=np.int64)


def pack(bits: NDArray[np.bool_]) -> Words:
    """(nets, lanes) bits -> (nets, lanes / 64) words; the lanes must fill their words."""
    return np.packbits(bits, axis=1, bitorder="little").view(np.uint64)


def unpack(words: Words) -> NDArray[np.bool_]:
    """The inverse of `pack`."""
    return np.unpackbits(np.ascontiguousarray(words).view(np.uint8), axis=1, bitorder="little").astype(bool)


def _batches(gates: Sequence[Instance]) -> list[_Batch]:
    """Gates by type and output pin, in the order of first use."""
    found: dict[tuple[str, str], tuple[Function, list[list[int]], list[int]]] = {}
    for gate in gates:
        for pin, net in driven(gate):
            function = gate.cell.pins[pin].function
            assert function is not None
            _, sources, targets = found.setdefault((gate.cell.name, pin), (function, [], []))
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


def _levels(netlist: Netlist) -> list[int]:
    """Level of each gate: 1 + the highest level among the gates that drive its inputs."""
    driver = {net: i for i, gate in enumerate(netlist.gates) for _, net in driven(gate)}
    levels = [1] * len(netlist.gates)
    waiting = [0] * len(netlist.gates)
    readers: list[list[int]] = [[] for _ in netlist.gates]
    for i, gate in enumerate(netlist.gates):
        for _, net in read(gate):
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
