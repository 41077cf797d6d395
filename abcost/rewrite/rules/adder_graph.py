"""Opt-in: dot products in signed digits, or of real values with signs -> graphs of adders that outputs share."""

from __future__ import annotations

from abcost.core.adders.of_node import ATTRIBUTE, constant_matrix, graph_of, in_adders
from abcost.core.adders.shared import MOST_BITS, refusal
from abcost.core.adders.unshared import unshared
from abcost.core.edit import Edit
from abcost.core.graph import OpGraph
from abcost.core.kinds import DotArithmetic, OpKind
from abcost.core.log import Phase
from abcost.core.node import OpNode
from abcost.rewrite.rule import Declined, Match, RewriteOptions, rules


class SharedAdders:
    """sum over i of +-x_i * 2**k, for every output  ->  the same sums, with what they have in common computed once.

    Real weights are on the grid since the rule signed-digits; binary ones of real values are +-1. No value changes.
    """

    phase = Phase.LOWER
    kinds = frozenset({OpKind.CONV, OpKind.LINEAR})

    def check(self, graph: OpGraph, node: OpNode, options: RewriteOptions) -> Match | Declined | None:
        """Only where every output reads the same inputs, and the solver holds the weights."""
        if options.constant_multiply != "graph" or in_adders(node):
            return None
        arithmetic = graph.dot_arithmetic(node)
        digits = arithmetic is DotArithmetic.REAL and "csd_fraction_bits" in node.attrs
        signs = arithmetic is DotArithmetic.SIGNED_ADD and node.consts["weight"].binary
        return _outcome(node) if digits or signs else None

    def apply(self, edit: Edit, _graph: OpGraph, node: OpNode, _match: Match) -> None:
        """The node keeps its kind and its weights: it is the same product, and the graph follows from them."""
        edit.replace(node, attrs={**node.attrs, ATTRIBUTE: True})


def _outcome(node: OpNode) -> Match | Declined:
    found = constant_matrix(node.consts["weight"])
    if int(node.attrs.get("groups", 1)) != 1 or node.attrs.get("transposed", False):
        reason = "grouped or transposed"
    elif found is None:
        reason = f"a weight takes more than {MOST_BITS} bits"
    else:
        reason = refusal(found[0])
    if reason or found is None:
        return Declined(f"{reason}: stays as it is")
    before, after = len(unshared(*found).adds), len(graph_of(node).adds)
    if after >= before:
        return Declined(f"{before:,} adders share nothing: stays as it is")
    return Match((node,), f"{before:,} adders of outputs on their own -> {after:,} that outputs share")


rules.add("adder-graph")(SharedAdders())
