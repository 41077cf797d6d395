"""sign(mask(x)) -> sign(x), and sign(beta * x) -> sign(x)."""

from __future__ import annotations

import math

from abcost.core.edit import Edit
from abcost.core.graph import OpGraph
from abcost.core.interpret import FixedPoint
from abcost.core.kinds import OpKind
from abcost.core.log import Phase
from abcost.core.node import OpNode
from abcost.rewrite.rule import Declined, Match, RewriteOptions, rules


def _strict(signs: tuple[OpNode, ...]) -> bool:
    """Whether a sign decides on x > 0, so that a small product that is cut to 0 changes side."""
    return any(sign.attrs["at_zero"] == -1 for sign in signs)


def _match(node: OpNode, signs: tuple[OpNode, ...], detail: str, *, exact: bool) -> Match:
    return Match(
        (node, *signs),
        detail if exact else f"{detail}; it was cut to 0 in fixed point, x is not",
        exact=exact,
    )


class MaskBeforeSign:
    """sign(m(x))  ->  sign(x), m odd and strictly rising."""

    phase = Phase.REMOVE_MASK
    kinds = frozenset({OpKind.MASK})

    def check(self, graph: OpGraph, node: OpNode, options: RewriteOptions) -> Match | Declined | None:
        """A mask is only ever made in front of signs."""
        users = graph.users(node)
        step = 2.0**-options.fraction_bits
        detail = "sign(m(x)) = sign(x): m is odd and strictly rising"
        return _match(
            node, users, detail, exact=math.tanh(node.attrs["slope"] * step) >= step or not _strict(users)
        )

    def apply(self, edit: Edit, graph: OpGraph, node: OpNode, _match: Match) -> None:
        """The sign reads what the mask read."""
        edit.reroute(node.name, graph.inputs(node.name)[0])


class PositiveScaleBeforeSign:
    """sign(beta * x)  ->  sign(x) for beta > 0, one number or one per channel."""

    phase = Phase.REMOVE_MASK
    kinds = frozenset({OpKind.SCALE})

    def check(self, graph: OpGraph, node: OpNode, options: RewriteOptions) -> Match | Declined | None:
        """Every reader must be a sign, every factor positive."""
        users = graph.users(node)
        if not users or any(user.kind is not OpKind.SIGN for user in users):
            return None
        if graph.node(graph.inputs(node.name)[0]).shape != node.shape:
            return Declined("the scale also expands its input; the sign would lose its shape")
        if not bool((node.consts["factor"].real() > 0).all()):
            return Declined("a factor is not positive: the sign would change")
        stored = FixedPoint(options.fraction_bits).constant(node.consts["factor"])
        exact = bool((stored >= 1 if _strict(users) else stored > 0).all())
        return _match(node, users, "sign(beta * x) = sign(x) for beta > 0", exact=exact)

    def apply(self, edit: Edit, graph: OpGraph, node: OpNode, _match: Match) -> None:
        """The sign reads what the scale read."""
        edit.reroute(node.name, graph.inputs(node.name)[0])


rules.add("mask-before-sign")(MaskBeforeSign())
rules.add("positive-scale-before-sign")(PositiveScaleBeforeSign())
