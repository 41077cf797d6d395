"""prelu(x, 2**e) -> x, or x shifted by e below zero."""

from __future__ import annotations

import torch

from abcost.core.edit import Edit
from abcost.core.graph import OpGraph
from abcost.core.interpret import is_power_of_two
from abcost.core.kinds import OpKind
from abcost.core.log import Phase
from abcost.core.node import Constant, OpNode
from abcost.rewrite.rule import Declined, Match, RewriteOptions, rules


class QuantiseSlopes:
    """max(x, 0) + 2**e * min(x, 0)  ->  x where x >= 0, else x shifted by e."""

    phase = Phase.QUANTISE_SLOPES
    kinds = frozenset({OpKind.PRELU})

    def check(self, _graph: OpGraph, node: OpNode, options: RewriteOptions) -> Match | Declined | None:
        """Slopes must be powers of two; real ones were rounded before, but 0 and below have none near them."""
        slope = node.consts["slope"].real()
        if not bool((slope > 0).all()):
            count = int((slope <= 0).sum())
            return Declined(f"{count} of {slope.numel()} slopes are not positive and have no power of two")
        if not bool(is_power_of_two(slope).all()):
            return Declined("slopes are no powers of two")
        exponent = torch.frexp(slope)[1] - 1
        allowed = options.slopes.get(node.layer)
        if allowed is not None and not {int(e) for e in exponent.flatten().tolist()} <= set(allowed):
            return Declined(f"slopes are not among 2**e, e of {list(allowed)}")
        text = f"slopes are 2**e, {_span(exponent)}"
        if allowed is not None:
            text += f"; hardware offers {sorted(allowed)}"
        return Match((node,), text, data={"exponent": exponent, "allowed": allowed})

    def apply(self, edit: Edit, _graph: OpGraph, node: OpNode, match: Match) -> None:
        """The slope constant gives way to its exponent, and to those that hardware offers besides."""
        exponent = Constant(match.data["exponent"].to(torch.int32), shared=node.consts["slope"].shared)
        allowed = match.data["allowed"]
        attrs = node.attrs if allowed is None else {**node.attrs, "allowed": sorted(allowed)}
        edit.replace(node, kind=OpKind.SHIFT_PRELU, attrs=attrs, consts={"exponent": exponent})


def _span(exponent: torch.Tensor) -> str:
    found = sorted({int(e) for e in exponent.flatten().tolist()})
    return f"e = {found[0]}" if len(found) == 1 else f"{len(found)} exponents from {found[0]} to {found[-1]}"


rules.add("quantise-slopes")(QuantiseSlopes())
