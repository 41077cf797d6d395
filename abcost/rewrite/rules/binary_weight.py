"""conv(x, s * b) -> scale(conv(x, b), s): binary weights hidden in real ones."""

from __future__ import annotations

import dataclasses

import torch

from abcost.core.binary import split
from abcost.core.edit import Edit
from abcost.core.graph import OpGraph
from abcost.core.kinds import OpKind
from abcost.core.log import Phase
from abcost.core.node import Constant, OpNode
from abcost.rewrite.rule import Declined, Match, RewriteOptions, rules


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
        elif (found := split(weight.values, 1 if transposed else 0)) is not None:
            signs, scale = found.signs, found.scale
        else:
            return None
        uniform = bool((scale == scale[0]).all())
        detail = f"+-s per output channel, s = {float(scale.min()):.4g} … {float(scale.max()):.4g}"
        zeros = signs.numel() - int(torch.count_nonzero(signs))
        if zeros:
            detail += f"; {zeros} of {signs.numel()} weights are exactly 0, which hardware stores as +1"
        return Match((node,), detail, data={"signs": signs, "scale": scale[:1] if uniform else scale})

    def apply(self, edit: Edit, graph: OpGraph, node: OpNode, match: Match) -> None:
        """The dot product gets a name of its own; the last node of the chain keeps the old one."""
        scale: torch.Tensor = match.data["scale"]
        shape = (1, -1, *[1] * (len(node.shape) - 2)) if node.kind is OpKind.CONV else (-1,)
        origin = node.consts["weight"].shared
        signs = Constant(match.data["signs"], binary=True, shared=origin)
        if scale.numel() == 1 and float(scale) == 1.0 and "bias" not in node.consts:
            edit.replace(node, consts={"weight": signs})
            return
        dot = dataclasses.replace(
            node,
            name=edit.unique(f"{node.name}/binary"),
            consts={"weight": signs},
        )
        last = edit.insert_before(node, dot, graph.inputs(node.name))
        factor = {"factor": Constant(scale.reshape(shape), shared=origin)}
        if "bias" not in node.consts:
            edit.replace(node, [last], kind=OpKind.SCALE, attrs={"role": "weight_scale"}, consts=factor)
            return
        if not (scale.numel() == 1 and float(scale) == 1.0):
            scaled = OpNode(
                edit.unique(f"{node.name}/scale"),
                OpKind.SCALE,
                node.shape,
                node.layer,
                node.source,
                {"role": "weight_scale"},
                factor,
            )
            last = edit.insert_before(node, scaled, [last])
        held = node.consts["bias"]
        bias = {"value": dataclasses.replace(held, values=held.values.reshape(shape))}
        edit.replace(node, [last], kind=OpKind.ADD_CONST, attrs={}, consts=bias)


rules.add("binary-weight")(BinaryWeight())
