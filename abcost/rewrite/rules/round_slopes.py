"""prelu(x, slope) -> prelu(x, 2**round(log2(slope)))."""

from __future__ import annotations

import torch

from abcost.core.edit import Edit
from abcost.core.graph import OpGraph
from abcost.core.interpret import is_power_of_two
from abcost.core.kinds import OpKind
from abcost.core.log import Phase
from abcost.core.node import Constant, OpNode
from abcost.rewrite.rule import Declined, Match, RewriteOptions, rules


class RoundSlopes:
    """max(x, 0) + slope * min(x, 0)  ->  max(x, 0) + 2**e * min(x, 0),  e = round(log2(slope)).

    Lossy; the largest |slope - 2**e| is reported. Source: quantized RPReLU of A&B BNN, CVPR 2024.
    """

    phase = Phase.ROUND_SLOPES
    kinds = frozenset({OpKind.PRELU})

    def check(self, _graph: OpGraph, node: OpNode, _options: RewriteOptions) -> Match | Declined | None:
        """Slopes must be positive: 0 and negative numbers have no power of two near them."""
        slope = node.consts["slope"].real()
        if not bool((slope > 0).all()) or bool(is_power_of_two(slope).all()):
            return None
        rounded = torch.exp2(torch.round(torch.log2(slope)))
        return Match(
            (node,),
            "real slopes rounded to powers of two",
            exact=False,
            error=float((slope - rounded).abs().max()),
            error_unit="largest |slope - 2**e|",
            data={"slope": rounded},
        )

    def apply(self, edit: Edit, _graph: OpGraph, node: OpNode, match: Match) -> None:
        """The PReLU stays one; only its slopes change."""
        edit.replace(node, consts={"slope": Constant(match.data["slope"])})


rules.add("round-slopes")(RoundSlopes())
