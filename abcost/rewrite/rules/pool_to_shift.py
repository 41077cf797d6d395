"""mean over 2**k taps -> sum of the taps, shifted by -k."""

from __future__ import annotations

import dataclasses

import torch

from abcost.core.edit import Edit
from abcost.core.graph import OpGraph
from abcost.core.kinds import OpKind
from abcost.core.log import Phase
from abcost.core.node import Constant, OpNode
from abcost.rewrite.rule import Declined, Match, RewriteOptions, rules


class PoolToShift:
    """mean over 2**k taps  ->  sum of the taps, shifted by -k."""

    phase = Phase.LOWER
    kinds = frozenset({OpKind.AVG_POOL})

    def check(self, _graph: OpGraph, node: OpNode, _options: RewriteOptions) -> Match | Declined | None:
        """7 x 7 = 49 taps is not a shift."""
        taps = int(node.attrs["taps"])
        if taps & (taps - 1):
            return Declined(
                f"{taps} taps is not a power of two: 1/{taps} must go into the next layer or stay"
            )
        return Match(
            (node,),
            f"mean over {taps} taps = sum shifted by {1 - taps.bit_length()}",
            data={"by": 1 - taps.bit_length()},
        )

    def apply(self, edit: Edit, graph: OpGraph, node: OpNode, match: Match) -> None:
        """The sum is a new node; the shift has the mean's value and so its name."""
        pooled = dataclasses.replace(node, name=edit.unique(f"{node.name}/sum"), kind=OpKind.SUM_POOL)
        total = edit.insert_before(node, pooled, graph.inputs(node.name))
        exponent = Constant(torch.tensor(match.data["by"], dtype=torch.int32))
        edit.replace(node, [total], kind=OpKind.SHIFT, attrs={}, consts={"exponent": exponent})


rules.add("pool-to-shift")(PoolToShift())
