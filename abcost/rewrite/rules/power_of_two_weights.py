"""conv(x, +-2**k) -> shifts by wiring, and adds."""

from __future__ import annotations

from torch import Tensor

from abcost.core.edit import Edit
from abcost.core.graph import OpGraph
from abcost.core.interpret import is_power_of_two
from abcost.core.kinds import DotArithmetic, OpKind
from abcost.core.log import Phase
from abcost.core.node import OpNode
from abcost.rewrite.rule import Declined, Match, RewriteOptions, rules

_SAMPLE = 64


class PowerOfTwoWeights:
    """sum of x * +-2**k  ->  sum of x, shifted and added or subtracted: one signed digit per weight that is not 0."""

    phase = Phase.LOWER
    kinds = frozenset({OpKind.CONV, OpKind.LINEAR})

    def check(self, graph: OpGraph, node: OpNode, options: RewriteOptions) -> Match | Declined | None:
        """Match weights +-2**k where a multiplication would be left."""
        if "csd_fraction_bits" in node.attrs or graph.dot_arithmetic(node) is not DotArithmetic.REAL:
            return None
        weight = node.consts["weight"]
        if not _powers(weight.values.flatten()[:_SAMPLE]):
            return None
        values = weight.real()
        if not _powers(values) or not bool((values != 0).any()):
            return None
        return Match(
            (node,), "weights are +-2**k: shifts by wiring", data={"fraction_bits": options.fraction_bits}
        )

    def apply(self, edit: Edit, _graph: OpGraph, node: OpNode, match: Match) -> None:
        """The node keeps its kind: it is the same product, performed by shifts and adds."""
        edit.replace(node, attrs={**node.attrs, "csd_fraction_bits": match.data["fraction_bits"]})


def _powers(values: Tensor) -> bool:
    """Whether all are +-2**k or 0."""
    return bool((is_power_of_two(values) | (values == 0)).all())


rules.add("power-of-two-weights")(PowerOfTwoWeights())
