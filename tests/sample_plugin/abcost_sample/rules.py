"""shrink(shrink(x)) -> shrink(x)."""

from abcost.core.edit import Edit
from abcost.core.graph import OpGraph
from abcost.core.kinds import OpKind
from abcost.core.log import Phase
from abcost.core.node import OpNode
from abcost.rewrite.rule import Declined, Match, RewriteOptions, only_user, rules


def shrinks_by(node: OpNode) -> float | None:
    """How much a shrink takes off; None for another node."""
    if node.kind is not OpKind.FUNCTION or node.attrs["aten"] != "abcost_sample::shrink.default":
        return None
    return float(node.attrs["args"][1])


class ShrinkOnce:
    """shrink_b(shrink_a(x))  ->  shrink_(a + b)(x)."""

    phase = Phase.RECOGNISE
    kinds = frozenset({OpKind.FUNCTION})

    def check(self, graph: OpGraph, node: OpNode, _options: RewriteOptions) -> Match | Declined | None:
        """Both shrink, and nobody else reads what is between them."""
        (first,) = graph.sources(node)[:1]
        inner, outer = shrinks_by(first), shrinks_by(node)
        if inner is None or outer is None:
            return None
        if only_user(graph, first) is None:
            return Declined("what is shrunk once has other readers")
        return Match((first, node), f"shrunk by {inner:g} and {outer:g} at once", data={"by": inner + outer})

    def apply(self, edit: Edit, graph: OpGraph, node: OpNode, match: Match) -> None:
        """The second keeps its value and so its name; the first is not read any more."""
        (first,) = graph.sources(node)[:1]
        attrs = {**node.attrs, "args": [node.attrs["args"][0], match.data["by"]]}
        edit.replace(node, graph.inputs(first.name), attrs=attrs)


rules.add("sample-shrink-once")(ShrinkOnce())
