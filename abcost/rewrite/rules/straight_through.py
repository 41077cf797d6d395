"""(a - b) + b -> a and b - (b - a) -> a, the straight-through estimator written with detach()."""

from __future__ import annotations

from abcost.core.edit import Edit
from abcost.core.graph import OpGraph
from abcost.core.kinds import OpKind
from abcost.core.log import Phase
from abcost.core.node import OpNode
from abcost.rewrite.rule import Declined, Match, RewriteOptions, rules


class StraightThrough:
    """(a - b) + b  ->  a,  b - (b - a)  ->  a.

    Equal in real and in fixed-point arithmetic; floats leave one ulp of noise.
    """

    phase = Phase.RECOGNISE
    kinds = frozenset({OpKind.ADD, OpKind.SUBTRACT})

    def check(self, graph: OpGraph, node: OpNode, _options: RewriteOptions) -> Match | Declined | None:
        """`b` must be the very same value in both places."""
        left, right = graph.sources(node)
        pairs = ((left, right), (right, left)) if node.kind is OpKind.ADD else ((right, left),)
        for difference, b in pairs:
            if difference.kind is OpKind.SUBTRACT:
                a, other = graph.inputs(difference.name)
                if node.kind is OpKind.SUBTRACT:
                    a, other = other, a
                if other == b.name and graph.node(a).shape == node.shape:
                    nodes = (node, difference, *graph.users(node))
                    return Match(nodes, f"straight-through estimator of {a}", data={"value": a})
        return None

    def apply(self, edit: Edit, _graph: OpGraph, node: OpNode, match: Match) -> None:
        """Readers of the sum read `a`."""
        edit.reroute(node.name, match.data["value"])


rules.add("straight-through")(StraightThrough())
