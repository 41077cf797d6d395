"""conv(x, s * b) -> scale(conv(x, b), s): binary weights hidden in real ones."""

from __future__ import annotations

import torch

from abcost.core.binary import PackedSplit, split
from abcost.core.edit import Edit
from abcost.core.graph import OpGraph
from abcost.core.kinds import OpKind
from abcost.core.log import Phase
from abcost.core.node import Constant, OpNode
from abcost.rewrite.rule import Declined, Match, RewriteOptions, rules
from abcost.rewrite.weights import NOISE_UNIT, Behind, noise_of, out_axis, rows_of, span


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
        found = _read(weight, 1 if transposed else 0)
        if found is None:
            return None
        signs, scale = found.signs, found.scale
        detail = f"+-s per output channel, {span(scale)}"
        zeros = signs.numel() - int(torch.count_nonzero(signs))
        if zeros:
            detail += f"; {zeros} of {signs.numel()} weights are exactly 0, which hardware stores as +1"
        noise = None if found.lossless else _noise(node, signs, scale)
        return Match(
            (node,), detail, error=noise, error_unit=NOISE_UNIT, data={"signs": signs, "scale": scale}
        )

    def apply(self, edit: Edit, graph: OpGraph, node: OpNode, match: Match) -> None:
        """The dot product gets a name of its own; the last node of the chain keeps the old one."""
        scale: torch.Tensor = match.data["scale"]
        weight = Constant(match.data["signs"], binary=True, shared=node.consts["weight"].shared)
        if bool((scale == 1).all()) and "bias" not in node.consts:
            edit.replace(node, consts={"weight": weight})
            return
        behind = Behind(edit, graph, node)
        behind.finish(behind.scaled(behind.dot(weight, name="binary"), scale))


def _read(weight: Constant, axis: int) -> PackedSplit | None:
    """The parts of the weight, taken apart already while it was traced, or now."""
    if weight.scale is not None:
        return PackedSplit(weight.values, weight.scale.flatten(), lossless=True)
    return split(weight.values, axis) if weight.values.is_floating_point() else None


def _noise(node: OpNode, signs: torch.Tensor, scale: torch.Tensor) -> float | None:
    """How far the weights are from +-s; what is exactly 0 is said apart."""
    rows, parts = rows_of(node), signs.transpose(0, out_axis(node)).flatten(1)
    return noise_of(rows, parts.to(scale.dtype) * scale[:, None])


rules.add("binary-weight")(BinaryWeight())
