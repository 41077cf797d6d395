"""Opt-in: x * (gain * s) -> x * 2**round(log2(gain * s))."""

from __future__ import annotations

import torch

from abcost.core.edit import Edit
from abcost.core.graph import OpGraph
from abcost.core.interpret import is_power_of_two
from abcost.core.kinds import OpKind
from abcost.core.log import Phase
from abcost.core.node import Constant, OpNode
from abcost.rewrite.rule import Declined, Match, RewriteOptions, rules


class RoundScales:
    """x * c  ->  x * 2**round(log2(c)), c the scale of binary weights.

    Lossy; the largest relative change of a scale is reported.
    """

    phase = Phase.ROUND_SCALES
    kinds = frozenset({OpKind.SCALE})

    def check(self, _graph: OpGraph, node: OpNode, options: RewriteOptions) -> Match | Declined | None:
        """Only where the user asked for it, and only positive scales."""
        if options.weight_scale != "po2" or node.attrs.get("role") != "weight_scale":
            return None
        factor = node.consts["factor"].real()
        if not bool((factor > 0).all()):
            return Declined("a weight scale is not positive and has no power of two near it")
        if bool(is_power_of_two(factor).all()):
            return None
        rounded = torch.exp2(torch.round(torch.log2(factor)))
        return Match(
            (node,),
            "weight scales rounded to powers of two",
            exact=False,
            error=float((rounded / factor - 1).abs().max()),
            error_unit="largest relative change of gain*s",
            data={"factor": rounded},
        )

    def apply(self, edit: Edit, _graph: OpGraph, node: OpNode, match: Match) -> None:
        """The scale stays one; only its factors change."""
        edit.replace(
            node, consts={"factor": Constant(match.data["factor"], shared=node.consts["factor"].shared)}
        )


rules.add("round-weight-scales")(RoundScales())
