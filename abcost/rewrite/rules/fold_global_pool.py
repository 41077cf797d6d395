"""linear(mean(x)) -> linear(sum(x)) / taps, the division folded into the classifier's constants."""

from __future__ import annotations

import dataclasses

from abcost.core.edit import Edit
from abcost.core.graph import OpGraph
from abcost.core.interpret import only_moves
from abcost.core.kinds import OpKind
from abcost.core.log import Phase
from abcost.core.node import OpNode
from abcost.rewrite.rule import Declined, Match, RewriteOptions, only_user, rules


class FoldGlobalPool:
    """W @ (sum / taps) + b  ->  (W / taps) @ sum + b, where taps is not a power of two.

    The linear layer keeps integer weights and a divisor in the scale of its constants, so that fixed-point
    execution is the same to the bit.
    """

    phase = Phase.LOWER
    kinds = frozenset({OpKind.AVG_POOL})

    def check(self, graph: OpGraph, node: OpNode, _options: RewriteOptions) -> Match | Declined | None:
        """Match a pool with only wiring, read by nobody else, between it and a real linear layer."""
        taps = int(node.attrs["taps"])
        if taps & (taps - 1) == 0:
            return None
        chain = [node]
        while (user := only_user(graph, chain[-1])) is not None and only_moves(user):
            if len(graph.inputs(user.name)) != 1:
                break
            chain.append(user)
        user = only_user(graph, chain[-1])
        if user is None or user.kind is not OpKind.LINEAR or user.consts["weight"].binary:
            return Declined(f"no linear layer of its own follows to take in 1/{taps}: stays a multiplication")
        return Match(
            (*chain, user),
            f"1/{taps} goes into the weights of {user.name}",
            data={"chain": chain, "linear": user, "taps": taps},
        )

    def apply(self, edit: Edit, graph: OpGraph, node: OpNode, match: Match) -> None:
        """Sum and wiring are new nodes: their values are `taps` times the old ones."""
        last = graph.inputs(node.name)[0]
        linear: OpNode = match.data["linear"]
        for old in match.data["chain"]:
            kind = OpKind.SUM_POOL if old is node else old.kind
            twin = dataclasses.replace(old, name=edit.unique(f"{old.name}/sum"), kind=kind)
            last = edit.insert_before(linear, twin, [last])
        divisor = int(linear.attrs.get("divisor", 1)) * match.data["taps"]
        edit.replace(linear, [last], attrs={**linear.attrs, "divisor": divisor})


rules.add("fold-global-pool")(FoldGlobalPool())
