"""What each node of a graph meets up- and downstream, behind operations on single elements; one pass each."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import cached_property

from abcost.core.graph import OpGraph
from abcost.core.kinds import DOTS, OpKind
from abcost.core.node import OpNode

POINTWISE = frozenset(
    {
        OpKind.ADD_CONST,
        OpKind.SCALE,
        OpKind.SHIFT,
        OpKind.WIRING,
        OpKind.CLAMP,
        OpKind.PRELU,
        OpKind.SHIFT_PRELU,
        OpKind.NEGATE,
        OpKind.MASK,
        OpKind.FUNCTION,
    }
)
"""Kinds that act on each element by itself (or move it), with one input that matters."""
_SIGNS = frozenset({OpKind.SIGN, OpKind.THRESHOLD})
_AFFINE = frozenset({OpKind.ADD_CONST, OpKind.SCALE, OpKind.SHIFT, OpKind.WIRING})
_POOLS = frozenset({OpKind.MAX_POOL, OpKind.AVG_POOL, OpKind.SUM_POOL})


def _is_global_pool(node: OpNode) -> bool:
    return node.kind is OpKind.AVG_POOL and bool(node.attrs["whole"])


class Neighbourhood:
    """Answers for the nodes of one graph, each found once: networks may have 100,000 nodes."""

    def __init__(self, graph: OpGraph) -> None:
        self.graph = graph

    def between(self, first: OpNode, last: OpNode) -> list[OpNode]:
        """The nodes executed after `first`, up to and with `last`."""
        return self._order[self._position[first.name] + 1 : self._position[last.name] + 1]

    def upstream_dot(self, node: OpNode) -> OpNode | None:
        """The dot product whose result reaches `node` through pointwise operations alone."""
        return self._dots[node.name]

    def is_stem(self, dot: OpNode) -> bool:
        """A dot product of the input itself: nothing but pointwise operations and pools lies between."""
        return self._of_input[dot.name]

    def reaches_sign(self, node: OpNode) -> bool:
        """Whether all readers are signs, perhaps behind masks and added constants."""
        return self._before_sign[node.name]

    def is_behind(self, node: OpNode) -> OpNode | None:
        """The dot product right in front of `node`; only a bias, views and the scale of its weights lie between."""
        return self._behind[node.name]

    def reaches_softmax(self, node: OpNode) -> bool:
        """Whether the value comes to a softmax, perhaps with a mask added."""
        return self._before_softmax[node.name]

    def reaches_function(self, node: OpNode) -> bool:
        """Whether all readers are elementwise functions, or products with one (GELU as it is written out)."""
        return self._before_function[node.name]

    def is_gated(self, product: OpNode) -> bool:
        """Whether a product of computed values has an elementwise function of single values as a factor."""
        return any(self._of_function[source] for source in self.graph.inputs(product.name))

    def excites(self, node: OpNode) -> bool:
        """Whether the node stands between a global pool and a product with a larger map, or is that product."""
        return node.name in self._gates

    def reaches_sum(self, node: OpNode) -> bool:
        """Whether the value is added to another computed one, perhaps after concatenation or batch norm."""
        return self._before_sum[node.name]

    def makes_output(self, node: OpNode) -> bool:
        """Whether only pointwise operations and softmax lie between the node and the outputs."""
        return self._before_output[node.name]

    @cached_property
    def _order(self) -> list[OpNode]:
        return list(self.graph)

    @cached_property
    def _position(self) -> dict[str, int]:
        return {node.name: place for place, node in enumerate(self._order)}

    @cached_property
    def _dots(self) -> dict[str, OpNode | None]:
        found: dict[str, OpNode | None] = {}
        for node in self.graph:
            source = self._only_source(node)
            if source is None:
                found[node.name] = None
            elif source.kind in DOTS:
                found[node.name] = source
            else:
                found[node.name] = found[source.name] if source.kind in POINTWISE else None
        return found

    @cached_property
    def _of_input(self) -> dict[str, bool]:
        through = POINTWISE | _POOLS
        found: dict[str, bool] = {}
        for node in self.graph:
            source = self._only_source(node)
            found[node.name] = source is not None and (
                source.kind is OpKind.INPUT or (source.kind in through and found[source.name])
            )
        return found

    @cached_property
    def _before_sign(self) -> dict[str, bool]:
        return self._downstream(all, _SIGNS, {OpKind.MASK, OpKind.ADD_CONST})

    @cached_property
    def _before_sum(self) -> dict[str, bool]:
        through = {OpKind.WIRING, OpKind.ADD_CONST, OpKind.SCALE, OpKind.SHIFT}
        return self._downstream(any, {OpKind.ADD}, through)

    @cached_property
    def _before_output(self) -> dict[str, bool]:
        return self._downstream(all, {OpKind.OUTPUT}, POINTWISE | {OpKind.SOFTMAX}, _is_global_pool)

    @cached_property
    def _before_softmax(self) -> dict[str, bool]:
        return self._downstream(all, {OpKind.SOFTMAX}, _AFFINE | {OpKind.ADD, OpKind.SELECT})

    @cached_property
    def _before_function(self) -> dict[str, bool]:
        products = {n.name for n in self.graph.of_kind(OpKind.MULTIPLY) if self.is_gated(n)}
        through = _AFFINE | {OpKind.NEGATE}
        return self._downstream(all, {OpKind.FUNCTION}, through, goals=lambda n: n.name in products)

    @cached_property
    def _of_function(self) -> dict[str, bool]:
        found: dict[str, bool] = {}
        for node in self.graph:
            source = self._only_source(node)
            through = source is not None and node.kind in _AFFINE and found[source.name]
            found[node.name] = node.kind is OpKind.FUNCTION or through
        return found

    @cached_property
    def _behind(self) -> dict[str, OpNode | None]:
        found: dict[str, OpNode | None] = {}
        for node in self.graph:
            source = self._only_source(node)
            if source is None:
                found[node.name] = None
            elif source.kind in DOTS:
                found[node.name] = source
            else:
                plain = source.kind in (OpKind.ADD_CONST, OpKind.WIRING) and "role" not in source.attrs
                weights = source.attrs.get("role") == "weight_scale"
                found[node.name] = found[source.name] if plain or weights else None
        return found

    @cached_property
    def _gates(self) -> frozenset[str]:
        """Products of a map with what a global pool of it became, and all between the two."""
        found: set[str] = set()
        for product in self.graph.of_kind(OpKind.MULTIPLY):
            sources = self.graph.sources(product)
            small = min(sources, key=lambda source: source.elements)
            if small.elements < product.elements and (between := self._from_pool(small)):
                found |= {product.name, *between}
        return frozenset(found)

    def _from_pool(self, node: OpNode) -> set[str]:
        """The nodes with one source each from `node` up to a global pool; none if there is none, or no dot product."""
        names: set[str] = set()
        dots = 0
        while not _is_global_pool(node):
            names.add(node.name)
            dots += node.kind in DOTS
            source = self._only_source(node)
            if source is None:
                return set()
            node = source
        return names if dots else set()

    def _downstream(
        self,
        over: Callable[[list[bool]], bool],
        goal: Collection[OpKind],
        through: Collection[OpKind],
        more: Callable[[OpNode], bool] = lambda _node: False,
        goals: Callable[[OpNode], bool] = lambda _node: False,
    ) -> dict[str, bool]:
        """Whether `over` (all or any of) the readers are a goal, or let the value through to such readers.

        more, goals: further nodes that let it through, and further goals.
        """
        found: dict[str, bool] = {}
        for node in reversed(self._order):
            met = [
                user.kind in goal
                or goals(user)
                or ((user.kind in through or more(user)) and found[user.name])
                for user in self.graph.users(node)
            ]
            found[node.name] = bool(met) and over(met)
        return found

    def _only_source(self, node: OpNode) -> OpNode | None:
        names = self.graph.inputs(node.name)
        return self.graph.node(names[0]) if len(names) == 1 else None
