"""Memory: bits a network stores, and bits it moves in one inference.

Model. Every parameter is read once per inference, by every node that uses it, from the memory that the table
names for weights; it is stored once, however many use it (`abcost.cost.stored`). A tensor
goes through the memory named for activations if it feeds a window or a dot product (convolution, linear
layer, pool) or has several readers; it is written once and read once by each reader. Everything else
streams from unit to unit. Network inputs are read, not written.
"""

from __future__ import annotations

from dataclasses import dataclass

from abcost.classify.counts import exponents_of
from abcost.core.adders.of_node import in_adders
from abcost.core.constants import constant_values
from abcost.core.graph import OpGraph
from abcost.core.kinds import DOTS, OpKind
from abcost.core.node import Constant, OpNode
from abcost.cost.bound import Bound, at_bound
from abcost.cost.entry import MemoryLevel, MemoryLevels
from abcost.cost.stored import stored_elsewhere

_WINDOWS = DOTS | {OpKind.MAX_POOL, OpKind.AVG_POOL, OpKind.SUM_POOL}


@dataclass(frozen=True, slots=True)
class Traffic:
    """Bits of one node.

    weight_bits: parameters that are stored for it, which leaves out those that an earlier node stores;
    read_bits: parameters it reads; activation_bits: written and read because of its result.
    """

    weight_bits: int
    read_bits: int
    activation_bits: int

    def energy_pj(self, memory: MemoryLevels, side: Bound = "value") -> float | None:
        """Energy of one inference in picojoule; None where bits go through a memory that the table does not know.

        energy = read parameter bits x pJ per weight bit + activation_bits x pJ per activation bit
        """
        parts = self._parts(memory, side)
        return None if any(part is None for part in parts) else sum(part or 0.0 for part in parts)

    def known_energy_pj(self, memory: MemoryLevels) -> float | None:
        """The part of it that has a figure; None where no part has."""
        known = [part for part in self._parts(memory, "value") if part is not None]
        return sum(known) if known else None

    def unknown_bits(self, memory: MemoryLevels) -> int:
        """Bits through memories without a figure."""
        return (0 if memory.weights else self.read_bits) + (0 if memory.activations else self.activation_bits)

    def _parts(self, memory: MemoryLevels, side: Bound) -> tuple[float | None, float | None]:
        return (
            _energy(self.read_bits, memory.weights, side),
            _energy(self.activation_bits, memory.activations, side),
        )


def _energy(bits: int, level: MemoryLevel | None, side: Bound) -> float | None:
    """Picojoule of so many bits through a memory; nothing through any memory costs nothing."""
    if level is None:
        return None if bits else 0.0
    return bits * _per_bit(level, side)


def _per_bit(level: MemoryLevel, side: Bound) -> float:
    """Picojoule per bit moved."""
    return at_bound(side, level.energy_pj, level.low_pj, level.high_pj) / level.access_bits


def traffic_of(graph: OpGraph, node: OpNode, real_width: int) -> Traffic:
    """What `node` adds to stored parameters and moved bits; `node` may stand where its name stands in `graph`."""
    bits = parameter_bits(node, real_width)
    elsewhere = stored_elsewhere(graph).get(node.name, {})
    stored = sum(count for role, count in bits.items() if role not in elsewhere)
    return Traffic(stored, sum(bits.values()), _activation_bits(graph, node, real_width))


def weight_bits(node: OpNode, real_width: int) -> int:
    """Bits of the parameters a node reads: see `parameter_bits`."""
    return sum(parameter_bits(node, real_width).values())


def parameter_bits(node: OpNode, real_width: int) -> dict[str, int]:
    """Bits of each constant of a node: `real_width` per real value; binary and whole ones in their own bits.

    Exponents take the bits that tell apart those that the node chooses from (0 for one). Single numbers
    (alpha, beta, thresholds of a whole layer) are part of the circuit and stored nowhere, and so are weights that are a
    graph of adders, and the order in which wiring takes its elements.
    """
    consts = node.consts.items()
    return {role: constant.count * _bits_each(node, role, constant, real_width) for role, constant in consts}


def _bits_each(node: OpNode, role: str, constant: Constant, real_width: int) -> int:
    """Bits of one element of a constant."""
    if role == "exponent":
        return (len(exponents_of(node)) - 1).bit_length()
    if role in ("weight", "bias") and in_adders(node):
        return 0
    if constant.binary:
        return 1
    whole = not constant.values.is_floating_point() and constant.scale is None
    if constant.count <= 1 or (whole and node.kind is OpKind.WIRING):
        return 0
    grid = constant_values(constant).grid if whole else None
    return real_width if grid is None else min(grid.bits, real_width)


def _activation_bits(graph: OpGraph, node: OpNode, real_width: int) -> int:
    readers = [reader for reader in _readers(graph, node) if reader.kind is not OpKind.OUTPUT]
    if node.kind is OpKind.WIRING or not (
        len(readers) > 1 or any(reader.kind in _WINDOWS for reader in readers)
    ):
        return 0
    accesses = len(readers) + (node.kind is not OpKind.INPUT)
    return node.elements * graph.precision(node).width(real_width) * accesses


def _readers(graph: OpGraph, node: OpNode) -> list[OpNode]:
    """Nodes that read the tensor, looking through wiring, which only addresses it differently."""
    found: list[OpNode] = []
    for user in graph.users(node):
        found += _readers(graph, user) if user.kind is OpKind.WIRING else [user]
    return found
