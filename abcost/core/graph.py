"""The op graph: a frozen DAG of OpNodes, each with the names that it reads, slot by slot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING

from abcost.core.dots import DotProduct, dot_product
from abcost.core.kinds import DotArithmetic, OpKind
from abcost.core.node import OpNode
from abcost.core.precision import Precision, precision_of
from abcost.core.transfer import transfer
from abcost.core.values import Values
from abcost.errors import GraphError

if TYPE_CHECKING:
    import networkx as nx


class OpGraph:
    """Immutable; rewrites make a new one through `abcost.core.edit.Edit`.

    >>> from abcost.core.edit import Edit
    >>> edit = Edit()
    >>> x = edit.add(OpNode("x", OpKind.INPUT, (1, 2)))
    >>> y = edit.add(OpNode("y", OpKind.ADD, (1, 2)), [x, x])   # one value may feed two slots
    >>> _ = edit.add(OpNode("out", OpKind.OUTPUT, (1, 2)), [y])
    >>> edit.freeze().inputs("y")
    ('x', 'x')
    """

    def __init__(self, nodes: Sequence[OpNode], inputs: Mapping[str, Sequence[str]]) -> None:
        """`nodes` in execution order; `inputs` maps a node's name to the names it reads, slot by slot."""
        names: set[str] = set()
        for node in nodes:
            if node.name in names:
                raise GraphError(f"two nodes are called {node.name!r}")
            for source in inputs.get(node.name, ()):
                if source not in names:
                    raise GraphError(f"{node} reads {source!r}, which does not come before it")
            names.add(node.name)
        self._nodes = MappingProxyType({node.name: node for node in nodes})
        self._inputs = {node.name: tuple(inputs.get(node.name, ())) for node in nodes}
        self._check()

    def _check(self) -> None:
        for node in self:
            count = len(self.inputs(node.name))
            low, high = ARITY.get(node.kind, (1, 1))
            if not low <= count <= high:
                wanted = str(low) if low == high else f"{low} or more"
                raise GraphError(f"{node} has {count} inputs, a {node.kind.value} has {wanted}")
        if not any(node.kind is OpKind.OUTPUT for node in self):
            raise GraphError("the graph has no output")

    @cached_property
    def nx(self) -> nx.MultiDiGraph[str]:
        """The graph as a frozen networkx graph: node attribute `op`, edge attribute `slot`."""
        import networkx as nx  # noqa: PLC0415 - slow to import, and only pictures and GraphML need it

        graph: nx.MultiDiGraph[str] = nx.MultiDiGraph()
        for node in self:
            graph.add_node(node.name, op=node)
            sources = enumerate(self._inputs[node.name])
            graph.add_edges_from((source, node.name, {"slot": slot}) for slot, source in sources)
        frozen: nx.MultiDiGraph[str] = nx.freeze(graph)
        return frozen

    def __iter__(self) -> Iterator[OpNode]:
        """Nodes in execution order."""
        return iter(self._nodes.values())

    def __len__(self) -> int:
        return len(self._nodes)

    def __contains__(self, name: object) -> bool:
        return name in self._nodes

    def node(self, name: str) -> OpNode:
        """The node called `name`."""
        return self._nodes[name]

    def inputs(self, name: str) -> tuple[str, ...]:
        """Names of the nodes that `name` reads, slot by slot."""
        return self._inputs[name]

    def sources(self, node: OpNode) -> tuple[OpNode, ...]:
        """The nodes that `node` reads, slot by slot."""
        return tuple(self._nodes[name] for name in self._inputs[node.name])

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {name: place for place, name in enumerate(self._nodes)}

    def position(self, node: OpNode) -> int:
        """Place of `node` in execution order."""
        return self._positions[node.name]

    @cached_property
    def _users(self) -> dict[str, tuple[OpNode, ...]]:
        users: dict[str, list[OpNode]] = {name: [] for name in self._nodes}
        for node in self:
            for source in dict.fromkeys(self._inputs[node.name]):
                users[source].append(node)
        return {name: tuple(found) for name, found in users.items()}

    def users(self, node: OpNode) -> tuple[OpNode, ...]:
        """The nodes that read `node`, each once, in execution order."""
        return self._users[node.name]

    def of_kind(self, *kinds: OpKind) -> list[OpNode]:
        """Nodes of these kinds in execution order."""
        return [node for node in self if node.kind in kinds]

    @cached_property
    def _values(self) -> dict[str, Values]:
        found: dict[str, Values] = {}
        for node in self:
            sources = self._inputs[node.name]
            shapes = [self._nodes[name].shape for name in sources]
            found[node.name] = transfer(node, [found[name] for name in sources], shapes)
        return found

    def values(self, node: OpNode) -> Values:
        """What the node's result can hold, propagated from the inputs (derived, never stored)."""
        return self._values[node.name]

    def precision(self, node: OpNode) -> Precision:
        """Encoding and width of the node's result, from the values that it can hold."""
        return precision_of(self._values[node.name])

    def dot_product(self, node: OpNode) -> DotProduct:
        """What a dot product is in hardware, and the bits of its operands, from the values of *both*."""
        sources = self._inputs[node.name]
        shapes = [self._nodes[name].shape for name in sources]
        return dot_product(node, [self._values[name] for name in sources], shapes)

    def dot_arithmetic(self, node: OpNode) -> DotArithmetic:
        """What a dot product's multiplications are."""
        return self.dot_product(node).arithmetic


def taps(node: OpNode) -> int:
    """K, the products that are summed for one output element of a dot product."""
    return int(node.attrs["taps"])


ARITY: dict[OpKind, tuple[int, int]] = {
    OpKind.INPUT: (0, 0),
    OpKind.MATMUL: (2, 2),
    OpKind.ADD: (2, 2),
    OpKind.SUBTRACT: (2, 2),
    OpKind.MULTIPLY: (2, 2),
    OpKind.COMPARE: (1, 2),
    OpKind.SELECT: (1, 3),
    OpKind.EXTREMUM: (1, 2),
    OpKind.WIRING: (1, 1_000_000),
    OpKind.FUNCTION: (1, 1_000_000),
}
"""Inputs from other nodes per kind (least, most); one for every kind that is not listed."""
