"""where(x > c, c, x) -> min(x, c), and its three mirror images: clamps written as selects, as Brevitas does."""

from __future__ import annotations

import torch

from abcost.core.edit import Edit
from abcost.core.graph import OpGraph
from abcost.core.kinds import OpKind
from abcost.core.log import Phase
from abcost.core.node import Constant, OpNode
from abcost.rewrite.rule import Declined, Match, RewriteOptions, rules

_UPPER = {"gt": "self", "ge": "self", "lt": "other", "le": "other"}
"""Where the constant stands in a select that gives the smaller of x and c; elsewhere it gives the larger."""


class SelectClamp:
    """where(x > c, c, x), where(x < c, x, c)  ->  min(x, c);  where(x < c, c, x), where(x > c, x, c)  ->  max(x, c).

    >= and <= are the same: both branches are c at c. One number is a clamp, one for each channel an extremum.
    """

    phase = Phase.RECOGNISE
    kinds = frozenset({OpKind.SELECT})

    def check(self, graph: OpGraph, node: OpNode, _options: RewriteOptions) -> Match | Declined | None:
        """Condition and branch must read the same x, and compare it with the number that the other branch gives."""
        constant = [role for role in ("self", "other") if role in node.consts]
        if len(constant) != 1 or "condition" in node.consts:
            return None
        flag, kept = graph.sources(node)
        if flag.kind is not OpKind.COMPARE or flag.attrs["relation"] not in _UPPER:
            return None
        level, value = flag.const("level"), node.consts[constant[0]]
        if level is None or graph.inputs(flag.name) != (kept.name,) or kept.shape != node.shape:
            return None
        if not _equal(level, value):
            return None
        which = "min" if _UPPER[flag.attrs["relation"]] == constant[0] else "max"
        data = {"x": kept.name, "which": which, "level": level}
        return Match(
            (node, flag), f"a select between x and what it is compared with is {which}(x, c)", data=data
        )

    def apply(self, edit: Edit, _graph: OpGraph, node: OpNode, match: Match) -> None:
        """The comparison dies if nobody else reads it."""
        level, which = match.data["level"], match.data["which"]
        if level.values.numel() == 1:
            limit = float(level.real())
            attrs = {"min": limit if which == "max" else None, "max": limit if which == "min" else None}
            edit.replace(node, [match.data["x"]], kind=OpKind.CLAMP, attrs=attrs, consts={})
            return
        edit.replace(
            node, [match.data["x"]], kind=OpKind.EXTREMUM, attrs={"which": which}, consts={"level": level}
        )


def _equal(level: Constant, value: Constant) -> bool:
    a, b = level.real(), value.real()
    if a.numel() == b.numel() == 1:
        return float(a) == float(b)
    return a.shape == b.shape and torch.equal(a, b)


rules.add("select-clamp")(SelectClamp())
