"""sign(x + b) -> x >= -b: one comparison with a constant."""

from __future__ import annotations

import torch

from abcost.core.edit import Edit
from abcost.core.graph import OpGraph
from abcost.core.interpret import FixedPoint
from abcost.core.kinds import OpKind
from abcost.core.log import Phase
from abcost.core.node import Constant, OpNode
from abcost.rewrite.rule import Declined, Match, RewriteOptions, only_user, rules


class BiasSign:
    """sign(x + b)  ->  +1 where x >= -b, else -1."""

    phase = Phase.LOWER
    kinds = frozenset({OpKind.SIGN})

    def check(self, graph: OpGraph, node: OpNode, options: RewriteOptions) -> Match | Declined | None:
        """The sum must have no other reader; otherwise it is needed anyway."""
        (biased,) = graph.sources(node)
        if biased.kind is not OpKind.ADD_CONST:
            return None
        if only_user(graph, biased) is None:
            return Declined("the biased value has other readers, so the addition stays")
        if graph.sources(biased)[0].shape != node.shape:
            return Declined("the bias also expands its input")
        bias = biased.consts["value"]
        on_grid = FixedPoint(options.fraction_bits).constant(bias) * 2.0**options.fraction_bits
        # a power of two below the grid is held exactly, but its sum is cut, which a strict x > -b would notice
        exact = node.attrs["at_zero"] != -1 or bool((torch.floor(on_grid) == on_grid).all())
        data = {"bias": bias.values, "x": graph.inputs(biased.name)}
        return Match((node, biased), "sign(x + b) = (x >= -b)", exact=exact, data=data)

    def apply(self, edit: Edit, _graph: OpGraph, node: OpNode, match: Match) -> None:
        """The addition dies with its only reader."""
        level: torch.Tensor = -match.data["bias"]
        edit.replace(node, match.data["x"], kind=OpKind.THRESHOLD, consts={"level": Constant(level)})


rules.add("bias-sign")(BiasSign())
