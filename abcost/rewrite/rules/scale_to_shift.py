"""x * 2**k -> a shift by k."""

from __future__ import annotations

import torch

from abcost.core.edit import Edit
from abcost.core.graph import OpGraph
from abcost.core.interpret import is_power_of_two
from abcost.core.kinds import OpKind
from abcost.core.log import Phase
from abcost.core.node import Constant, OpNode
from abcost.rewrite.rule import Declined, Match, RewriteOptions, rules


class ScaleToShift:
    """x * c  ->  x shifted by log2(c), every c exactly 2**k: wiring for one k, a multiplexer for several."""

    phase = Phase.LOWER
    kinds = frozenset({OpKind.SCALE})

    def check(self, graph: OpGraph, node: OpNode, options: RewriteOptions) -> Match | Declined | None:
        """Other constants stay multiplications, unless signed digits were asked for."""
        factor = node.consts["factor"].real()
        if bool((factor == 1).all()) and graph.sources(node)[0].shape == node.shape:
            return None  # unit-scale
        powers = is_power_of_two(factor) & (factor > 0)
        if bool(powers.all()):
            exponent = torch.frexp(factor)[1] - 1
            return Match((node,), "all factors are powers of two", data={"exponent": exponent})
        if options.constant_multiply != "keep":
            return None
        count = f"{int((~powers).sum())} of {powers.numel()}"
        return Declined(f"{count} factors are no power of two: stays a multiplication")

    def apply(self, edit: Edit, _graph: OpGraph, node: OpNode, match: Match) -> None:
        """The factor gives way to its exponent."""
        exponent = Constant(match.data["exponent"].to(torch.int32), shared=node.consts["factor"].shared)
        edit.replace(node, kind=OpKind.SHIFT, consts={"exponent": exponent})


rules.add("scale-to-shift")(ScaleToShift())
