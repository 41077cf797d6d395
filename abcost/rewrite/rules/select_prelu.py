"""where(x >= 0, x, slope * x), where(x < 0, slope * x, x) -> prelu(x, slope)."""

from __future__ import annotations

from abcost.core.edit import Edit
from abcost.core.graph import OpGraph
from abcost.core.kinds import OpKind
from abcost.core.log import Phase
from abcost.core.node import OpNode
from abcost.rewrite.rule import Declined, Match, RewriteOptions, rules

_NEGATIVE_BRANCH = {"ge": "other", "gt": "other", "lt": "self", "le": "self"}


class SelectPrelu:
    """where(x >= 0, x, x * slope)  ->  prelu(x, slope); so do >, < and <=, both branches being 0 at 0."""

    phase = Phase.RECOGNISE
    kinds = frozenset({OpKind.SELECT})

    def check(self, graph: OpGraph, node: OpNode, _options: RewriteOptions) -> Match | Declined | None:
        """Condition and both branches must read the same x."""
        if node.consts or len(graph.inputs(node.name)) != 3:
            return None
        flag, kept, scaled = graph.sources(node)
        if flag.kind is not OpKind.COMPARE or flag.attrs["relation"] not in _NEGATIVE_BRANCH:
            return None
        if _NEGATIVE_BRANCH[flag.attrs["relation"]] == "self":
            kept, scaled = scaled, kept
        if scaled.kind is not OpKind.SCALE:
            return None
        level = flag.const("level")
        zero = level is not None and not bool(level.values.any())
        if not zero or graph.inputs(flag.name) != (kept.name,) or graph.inputs(scaled.name) != (kept.name,):
            return None
        return Match(
            (node, flag, scaled),
            "a select between x and slope * x is a PReLU",
            data={"x": kept.name, "slope": scaled.consts["factor"]},
        )

    def apply(self, edit: Edit, _graph: OpGraph, node: OpNode, match: Match) -> None:
        """Comparison and scale die if nobody else reads them."""
        edit.replace(
            node, [match.data["x"]], kind=OpKind.PRELU, attrs={}, consts={"slope": match.data["slope"]}
        )


rules.add("select-prelu")(SelectPrelu())
