"""Memory: bits a network stores, and bits it moves in one inference.

Model. Every parameter is read once per inference from the memory that the table names for weights. A tensor
goes through the memory named for activations if it feeds a window or a dot product (convolution, linear
layer, pool) or has several readers; it is written once and read once by each reader. Everything else
streams from unit to unit. Network inputs are read, not written.
"""

from __future__ import annotations

from dataclasses import dataclass

from abcost.classify.counts import exponents_of
from abcost.core.graph import OpGraph
from abcost.core.kinds import DOTS, OpKind
from abcost.core.node import OpNode
from abcost.cost.entry import Memory, MemoryLevel
from abcost.cost.side import Side, at

_WINDOWS = DOTS | {OpKind.MAX_POOL, OpKind.AVG_POOL, OpKind.SUM_POOL}


@dataclass(frozen=True, slots=True)
class Traffic:
    """Bits of one node: parameters it holds, activation bits written and read because of its result."""

    weight_bits: int
    activation_bits: int

    def energy_pj(self, memory: Memory, side: Side = "value") -> float | None:
        """Energy of one inference in picojoule; None where the table does not know one of the memories.

        energy = weight_bits x pJ per weight bit + activation_bits x pJ per activation bit
        """
        if memory.weights is None or memory.activations is None:
            return None
        return self.weight_bits * _per_bit(memory.weights, side) + self.activation_bits * _per_bit(
            memory.activations, side
        )


def _per_bit(level: MemoryLevel, side: Side) -> float:
    """Picojoule per bit moved."""
    return at(side, level.energy_pj, level.low_pj, level.high_pj) / level.access_bits


def traffic_of(graph: OpGraph, node: OpNode, real_width: int) -> Traffic:
    """What `node` adds to stored parameters and moved activations."""
    return Traffic(weight_bits(node, real_width), _activation_bits(graph, node, real_width))


def weight_bits(node: OpNode, real_width: int) -> int:
    """Bits of the parameters a node holds: 1 per binary weight, `real_width` per real one.

    Exponents take the bits that tell apart those that the node chooses from (0 for one). Single numbers
    (alpha, beta, thresholds of a whole layer) are part of the circuit and stored nowhere.
    """
    total = 0
    for role, constant in node.consts.items():
        if role == "exponent":
            choices = len(exponents_of(node))
            total += constant.count * (choices - 1).bit_length()
        elif constant.binary:
            total += constant.count
        elif constant.count > 1:
            total += constant.count * real_width
    return total


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
