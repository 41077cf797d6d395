"""conv(x, s * b) -> scale(conv(x, b), s): binary weights hidden in real ones."""

from __future__ import annotations

import torch

from abcost.core.binary import split
from abcost.core.edit import Edit
from abcost.core.graph import OpGraph
from abcost.core.kinds import OpKind
from abcost.core.log import Phase
from abcost.core.node import Constant, OpNode
from abcost.rewrite.rule import Declined, Match, RewriteOptions, rules
from abcost.rewrite.weights import Behind, span


class BinaryWeight:
    """conv(x, s_o * b) + bias  ->  conv(x, b) * s_o + bias, with b in {-1, +1} and s per output channel o."""

    phase = Phase.RECOGNISE
    kinds = frozenset({OpKind.CONV, OpKind.LINEAR})

    def check(self, _graph: OpGraph, node: OpNode, _options: RewriteOptions) -> Match | Declined | None:
        """Needs at least two weights per output channel: any single one is +-s."""
        weight = node.consts["weight"]
        if weight.binary:
            return None
        transposed = bool(node.attrs.get("transposed", False))
        if transposed and node.attrs["groups"] != 1:
            return Declined("a grouped transposed convolution: its output channels are no axis of the weight")
        if weight.count // weight.values.shape[1 if transposed else 0] < 2:
            return Declined("one tap per output channel: every weight is +-s, which says nothing")
        if weight.scale is not None:
            signs, scale = weight.values, weight.scale.flatten()
        elif weight.values.is_floating_point() and (found := split(weight.values, 1 if transposed else 0)):
            signs, scale = found.signs, found.scale
        else:
            return None
        detail = f"+-s per output channel, {span(scale)}"
        zeros = signs.numel() - int(torch.count_nonzero(signs))
        if zeros:
            detail += f"; {zeros} of {signs.numel()} weights are exactly 0, which hardware stores as +1"
        return Match((node,), detail, data={"signs": signs, "scale": scale})

    def apply(self, edit: Edit, graph: OpGraph, node: OpNode, match: Match) -> None:
        """The dot product gets a name of its own; the last node of the chain keeps the old one."""
        scale: torch.Tensor = match.data["scale"]
        weight = Constant(match.data["signs"], binary=True, shared=node.consts["weight"].shared)
        if bool((scale == 1).all()) and "bias" not in node.consts:
            edit.replace(node, consts={"weight": weight})
            return
        behind = Behind(edit, graph, node)
        behind.finish(behind.scaled(behind.dot(weight, name="binary"), scale))


rules.add("binary-weight")(BinaryWeight())
