"""The op graph: a frozen networkx DAG of OpNodes whose edges carry the argument slot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType

import networkx as nx

from abcost.core.kinds import DOTS, DotArithmetic, OpKind
from abcost.core.node import OpNode
from abcost.core.precision import BINARY, FLAG, REAL, Encoding, Precision
from abcost.errors import GraphError

_KEEP_PRECISION = frozenset({OpKind.OUTPUT, OpKind.WIRING, OpKind.MAX_POOL, OpKind.EXTREMUM})


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
        graph: nx.MultiDiGraph[str] = nx.MultiDiGraph()
        for node in nodes:
            if node.name in graph:
                raise GraphError(f"two nodes are called {node.name!r}")
            sources = inputs.get(node.name, ())
            for source in sources:
                if source not in graph:
                    raise GraphError(f"{node} reads {source!r}, which does not come before it")
            graph.add_node(node.name, op=node)
            graph.add_edges_from((source, node.name, {"slot": slot}) for slot, source in enumerate(sources))
        self._graph: nx.MultiDiGraph[str] = nx.freeze(graph)
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

    @property
    def nx(self) -> nx.MultiDiGraph[str]:
        """The frozen networkx graph: node attribute `op`, edge attribute `slot`."""
        return self._graph

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
    def _precisions(self) -> dict[str, Precision]:
        found: dict[str, Precision] = {}
        for node in self:
            found[node.name] = self._infer(node, [found[name] for name in self._inputs[node.name]])
        return found

    def precision(self, node: OpNode) -> Precision:
        """Encoding and width of the node's result, propagated from the inputs (derived, never stored)."""
        return self._precisions[node.name]

    def dot_arithmetic(self, node: OpNode) -> DotArithmetic:
        """What a dot product's multiplications are, from the precision of *both* operands."""
        operands = [self._precisions[name] for name in self._inputs[node.name]]
        return _arithmetic(node, operands)

    @staticmethod
    def _infer(node: OpNode, inputs: list[Precision]) -> Precision:
        if node.kind in (OpKind.SIGN, OpKind.THRESHOLD):
            return BINARY
        if node.kind is OpKind.COMPARE:
            return FLAG
        if node.kind in DOTS and _arithmetic(node, inputs) is DotArithmetic.XNOR and not node.const("bias"):
            return Precision.dot(taps(node))
        if node.kind in _KEEP_PRECISION and inputs and not node.consts and not _pads_with_real(node):
            return inputs[0] if all(p == inputs[0] for p in inputs) else REAL
        return REAL


def _pads_with_real(node: OpNode) -> bool:
    """Padding by +-1 keeps one bit, and so does padding by 0, as it does inside a convolution."""
    value = node.attrs["args"][2:] if node.attrs.get("aten") == "constant_pad_nd.default" else []
    return bool(value) and value[0] not in (0, 1, -1)


def _arithmetic(node: OpNode, inputs: list[Precision]) -> DotArithmetic:
    weight = node.const("weight")
    operands = [*inputs, weight.precision] if weight else inputs
    binary = sum(p.encoding is Encoding.SIGN for p in operands)
    return (DotArithmetic.REAL, DotArithmetic.SIGNED_ADD, DotArithmetic.XNOR)[binary]


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
