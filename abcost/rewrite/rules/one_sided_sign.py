"""sign(x), x >= 0 -> x > 0: torch's sign of a rectified value is 0 or 1."""

from __future__ import annotations

from abcost.core.edit import Edit
from abcost.core.graph import OpGraph
from abcost.core.kinds import OpKind
from abcost.core.log import Phase
from abcost.core.node import OpNode
from abcost.rewrite.rule import Declined, Match, RewriteOptions, rules


class OneSidedSign:
    """sign(x), x >= 0  ->  1 where x > 0, else 0;  sign(x), x <= 0  ->  0 where x >= 0, else -1.

    0 is then no rare value, and a sign that took it for +1 would be another function.
    """

    phase = Phase.RECOGNISE
    kinds = frozenset({OpKind.SIGN})

    def check(self, graph: OpGraph, node: OpNode, _options: RewriteOptions) -> Match | Declined | None:
        """Only torch's own sign gives 0."""
        values = graph.values(graph.sources(node)[0])
        if node.attrs["at_zero"] != 0 or "low" in node.attrs or values.least == values.most:
            return None
        if values.least >= 0:
            attrs = {"at_zero": -1, "low": 0.0, "high": 1.0}
        elif values.most <= 0:
            attrs = {"at_zero": 1, "low": -1.0, "high": 0.0}
        else:
            return None
        detail = (
            f"the sign of a value that is never {'below' if values.least >= 0 else 'above'} 0 is 0 or not"
        )
        return Match((node,), detail, exact=False, data=attrs)

    def apply(self, edit: Edit, _graph: OpGraph, node: OpNode, match: Match) -> None:
        """The same node with its two values."""
        edit.replace(node, attrs=match.data)


rules.add("one-sided-sign")(OneSidedSign())
