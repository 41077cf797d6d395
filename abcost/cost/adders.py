"""What sharing saves: the adders of constants in signed digits, each output on its own, next to those of a graph.

Both are built whole, take a position of the output per clock cycle and are priced by one law, every adder as wide as
the sums that it makes. Adders of a bias belong to both and are left out of both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from abcost.classify.counts import Count, input_range
from abcost.core.adders.graph import AdderGraph
from abcost.core.adders.of_node import constant_matrix, graph_of, in_adders
from abcost.core.adders.unshared import unshared
from abcost.core.adders.widths import adders_by_bits
from abcost.core.cost import Cost
from abcost.core.graph import OpGraph
from abcost.core.node import OpNode
from abcost.core.primitives import Primitive
from abcost.cost.bound import Bound
from abcost.cost.organisation import Unit
from abcost.cost.price import price_counts
from abcost.cost.table import CostTable


@dataclass(frozen=True, slots=True)
class Adders:
    """Adders of one graph. bits: of all of them, summed; costs: energy of one inference, resources of all."""

    adders: int
    bits: int
    costs: Mapping[Bound, Cost]

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; a cost that the target has no figure of is None."""
        low, value, high = (self.costs[side].to_dict() for side in ("low", "value", "high"))
        interval = {
            f"{name}_{side}": of[name] for side, of in (("low", low), ("high", high)) for name in value
        }
        return {"adders": self.adders, "adder_bits": self.bits, **value, **interval}


@dataclass(frozen=True, slots=True)
class SharedAdders:
    """One dot product: its adders in signed digits that share nothing, and in a graph."""

    layer: str
    node: str
    inputs: int
    outputs: int
    positions: int
    csd: Adders
    graph: Adders

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        names = ("layer", "node", "inputs", "outputs", "positions")
        return {
            **{name: getattr(self, name) for name in names},
            "csd": self.csd.to_dict(),
            "graph": self.graph.to_dict(),
        }


def shared_adders(graph: OpGraph, table: CostTable, width: int) -> tuple[SharedAdders, ...]:
    """Every dot product that is a graph of adders. Raises CostError for adders wider than the table's laws."""
    return tuple(_of_node(graph, node, table, width) for node in graph if in_adders(node))


def _of_node(graph: OpGraph, node: OpNode, table: CostTable, width: int) -> SharedAdders:
    (source,) = graph.sources(node)
    low, high = input_range(graph, source, width)
    found = constant_matrix(node.consts["weight"])
    assert found is not None, "a graph of adders was made of it"  # noqa: S101 - ours to keep
    outputs, inputs = found[0].shape
    positions = node.elements // outputs

    def priced(adders: AdderGraph) -> Adders:
        by_bits = adders_by_bits(adders, low, high)
        counts = tuple(Count(Primitive.ADD, n * positions, bits, each=n) for bits, n in by_bits.items())
        units = tuple(Unit("add", n, bits) for bits, n in by_bits.items())
        total = sum(bits * n for bits, n in by_bits.items())
        return Adders(len(adders.adds), total, price_counts(counts, units, table))

    return SharedAdders(
        node.layer, node.name, inputs, outputs, positions, priced(unshared(*found)), priced(graph_of(node))
    )
