"""x * 1 -> x."""

from __future__ import annotations

from abcost.core.edit import Edit
from abcost.core.graph import OpGraph
from abcost.core.kinds import OpKind
from abcost.core.log import Phase
from abcost.core.node import OpNode
from abcost.rewrite.rule import Declined, Match, RewriteOptions, rules


class UnitScale:
    """x * 1  ->  x."""

    phase = Phase.LOWER
    kinds = frozenset({OpKind.SCALE})

    def check(self, graph: OpGraph, node: OpNode, _options: RewriteOptions) -> Match | Declined | None:
        """Every factor is exactly 1."""
        if not bool((node.consts["factor"].real() == 1).all()):
            return None
        if graph.sources(node)[0].shape != node.shape:
            return Declined("the factor also expands its input")
        return Match((node, *graph.users(node)), "a factor of 1 is nothing")

    def apply(self, edit: Edit, graph: OpGraph, node: OpNode, _match: Match) -> None:
        """Readers read what the scale read."""
        edit.reroute(node.name, graph.inputs(node.name)[0])


rules.add("unit-scale")(UnitScale())
