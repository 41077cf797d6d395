"""prelu(x, slope) -> prelu(x, 2**round(log2(slope))), or the nearest of the exponents that a layer may take."""

from __future__ import annotations

from collections.abc import Sequence

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

    def check(self, _graph: OpGraph, node: OpNode, options: RewriteOptions) -> Match | Declined | None:
        """Slopes must be positive: 0 and negative numbers have no power of two near them."""
        slope = node.consts["slope"].real()
        allowed = options.slopes.get(node.layer)
        if not bool((slope > 0).all()) or (allowed is None and bool(is_power_of_two(slope).all())):
            return None
        exponent = torch.round(torch.log2(slope)) if allowed is None else _nearest(torch.log2(slope), allowed)
        rounded = torch.exp2(exponent)
        if torch.equal(rounded, slope):
            return None
        return Match(
            (node,),
            "real slopes rounded to powers of two"
            if allowed is None
            else f"slopes rounded to 2**e, e of {list(allowed)}",
            exact=False,
            error=float((slope - rounded).abs().max()),
            error_unit="largest |slope - 2**e|",
            data={"slope": rounded},
        )

    def apply(self, edit: Edit, _graph: OpGraph, node: OpNode, match: Match) -> None:
        """The PReLU stays one; only its slopes change."""
        edit.replace(
            node, consts={"slope": Constant(match.data["slope"], shared=node.consts["slope"].shared)}
        )


def _nearest(exponent: torch.Tensor, allowed: Sequence[int]) -> torch.Tensor:
    """The nearest of the allowed exponents; of two at equal distance the smaller, as in training."""
    offered = torch.tensor(sorted(allowed), dtype=exponent.dtype)
    return offered[(exponent[..., None] - offered).abs().argmin(dim=-1)]


rules.add("round-slopes")(RoundSlopes())
