"""sign(mask(x)) -> sign(x), and sign(beta * x) -> sign(x)."""

from __future__ import annotations

from abcost.core.edit import Edit
from abcost.core.graph import OpGraph
from abcost.core.kinds import OpKind
from abcost.core.log import Phase
from abcost.core.node import OpNode
from abcost.rewrite.rule import Declined, Match, RewriteOptions, rules


class MaskBeforeSign:
    """sign(m(x))  ->  sign(x), m odd and strictly rising."""

    phase = Phase.REMOVE_MASK
    kinds = frozenset({OpKind.MASK})

    def check(self, graph: OpGraph, node: OpNode, _options: RewriteOptions) -> Match | Declined | None:
        """A mask is only ever made in front of signs."""
        return Match((node, *graph.users(node)), "sign(m(x)) = sign(x): m is odd and strictly rising")

    def apply(self, edit: Edit, graph: OpGraph, node: OpNode, _match: Match) -> None:
        """The sign reads what the mask read."""
        edit.reroute(node.name, graph.inputs(node.name)[0])


class PositiveScaleBeforeSign:
    """sign(beta * x)  ->  sign(x) for beta > 0, one number or one per channel."""

    phase = Phase.REMOVE_MASK
    kinds = frozenset({OpKind.SCALE})

    def check(self, graph: OpGraph, node: OpNode, _options: RewriteOptions) -> Match | Declined | None:
        """Every reader must be a sign, every factor positive."""
        users = graph.users(node)
        if not users or any(user.kind is not OpKind.SIGN for user in users):
            return None
        if graph.node(graph.inputs(node.name)[0]).shape != node.shape:
            return Declined("the scale also expands its input; the sign would lose its shape")
        if not bool((node.consts["factor"].real() > 0).all()):
            return Declined("a factor is not positive: the sign would change")
        return Match((node, *users), "sign(beta * x) = sign(x) for beta > 0")

    def apply(self, edit: Edit, graph: OpGraph, node: OpNode, _match: Match) -> None:
        """The sign reads what the scale read."""
        edit.reroute(node.name, graph.inputs(node.name)[0])


rules.add("mask-before-sign")(MaskBeforeSign())
rules.add("positive-scale-before-sign")(PositiveScaleBeforeSign())
