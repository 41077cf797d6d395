"""x + 0 -> x and (x + c) - c -> x: zero points that a quantiser adds and its reader takes away."""

from __future__ import annotations

import torch

from abcost.core.dots import MOST_CODE_BITS
from abcost.core.edit import Edit
from abcost.core.graph import OpGraph
from abcost.core.kinds import OpKind
from abcost.core.log import Phase
from abcost.core.node import OpNode
from abcost.core.roundings import is_rounded
from abcost.rewrite.rule import Declined, Match, RewriteOptions, rules


class ZeroSum:
    """x + 0  ->  x,  (x + c) + -c  ->  x, c whole, as zero points are.

    Exact in fixed point, which holds whole numbers as they are. A 0 goes only where it is a zero point, added to a code
    of few bits or in front of its rounding: biases of an untrained network are 0, and hardware for it has adders.
    """

    phase = Phase.LOWER
    kinds = frozenset({OpKind.ADD_CONST})

    def check(self, graph: OpGraph, node: OpNode, _options: RewriteOptions) -> Match | Declined | None:
        """What is added, here and by the addition in front, is exactly 0 everywhere."""
        value = node.consts["value"].real()
        (source,) = graph.sources(node)
        if not bool((value != 0).any()):
            coded = _is_code(graph, source) or is_rounded(graph, node)
            return self._match(graph, node, node, "adding 0 is nothing") if coded else None
        if source.kind is not OpKind.ADD_CONST:
            return None
        before = source.consts["value"].real()
        if before.numel() != value.numel() or not torch.equal(before.flatten(), -value.flatten()):
            return None
        if before.numel() > 1 and before.shape != value.shape:
            return None
        if not bool((value == value.round()).all()):
            return Declined("what is added and taken away is no whole number")
        return self._match(graph, node, source, "the constant is added and taken away again")

    def _match(self, graph: OpGraph, node: OpNode, first: OpNode, why: str) -> Match | Declined:
        if graph.sources(first)[0].shape != node.shape:
            return Declined("the constant also expands its input")
        return Match((node, *graph.users(node)), why, data={"x": graph.inputs(first.name)[0]})

    def apply(self, edit: Edit, _graph: OpGraph, node: OpNode, match: Match) -> None:
        """Readers read what the first addition read."""
        edit.reroute(node.name, match.data["x"])


def _is_code(graph: OpGraph, node: OpNode) -> bool:
    grid = graph.values(node).code
    return grid is not None and grid.bits <= MOST_CODE_BITS


rules.add("zero-sum")(ZeroSum())
