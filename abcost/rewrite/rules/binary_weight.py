"""conv(x, s * b) -> scale(conv(x, b), s): binary weights hidden in real ones."""

from __future__ import annotations

import dataclasses

import torch

from abcost.core.edit import Edit
from abcost.core.graph import OpGraph
from abcost.core.kinds import OpKind
from abcost.core.log import Phase
from abcost.core.node import Constant, OpNode
from abcost.rewrite.rule import Declined, Match, RewriteOptions, rules

RELATIVE_NOISE = 2.0**-20
"""Spread of |w| in a channel that still counts as one magnitude, relative to it …"""
ABSOLUTE_ULPS = 4
"""… plus this many ulps of 1: what `a - c + c` leaves when latent weights c reach 1 …"""
LARGEST_SPREAD = 1e-3
"""… but never more than this share of the magnitude: then the weights are simply small."""
LARGEST_ZERO_SHARE = 0.01
"""Share of weights that may be exactly 0, where torch.sign met 0; more than that is a ternary network."""


def split(weight: torch.Tensor, axis: int) -> tuple[torch.Tensor, torch.Tensor] | None:
    """(signs int8, magnitude per channel of `axis`) if weight is +-s per channel, else None.

    signs: -1 and +1, and 0 where the weight is exactly 0. A channel that is zero throughout has s = 0 and +1.
    """
    magnitude = weight.abs().transpose(0, axis).flatten(1)
    low, high = torch.aminmax(magnitude, dim=1)
    noise = torch.minimum(
        RELATIVE_NOISE * high + ABSOLUTE_ULPS * torch.finfo(weight.dtype).eps, LARGEST_SPREAD * high
    )
    spread = high - low > noise
    zeros = bool((low == 0).any())
    if bool((spread & (low > 0)).any()) or not bool((high > 0).any()):
        return None
    if zeros:
        empty = magnitude == 0
        low = torch.where(empty, high[:, None], magnitude).amin(dim=1)
        dead = high == 0
        too_many = float(empty[~dead].sum()) > LARGEST_ZERO_SHARE * magnitude[~dead].numel()
        if bool((high - low > noise).any()) or too_many:
            return None
        signs = torch.where(
            dead.reshape(-1, *[1] * (weight.dim() - 1)).transpose(0, axis), 1.0, torch.sign(weight)
        )
        scale = torch.where(low == high, high, magnitude.sum(dim=1) / (~empty).sum(dim=1).clamp(min=1))
        return signs.to(torch.int8), scale
    scale = high if bool((low == high).all()) else torch.where(low == high, high, magnitude.mean(dim=1))
    return torch.sign(weight).to(torch.int8), scale


class BinaryWeight:
    """conv(x, s_o * b) + bias  ->  conv(x, b) * s_o + bias, with b in {-1, +1} and s per output channel o."""

    phase = Phase.RECOGNISE
    kinds = frozenset({OpKind.CONV, OpKind.LINEAR})

    def check(self, _graph: OpGraph, node: OpNode, _options: RewriteOptions) -> Match | Declined | None:
        """Needs at least two taps: any single weight is +-s."""
        weight = node.consts["weight"]
        if weight.binary or not weight.values.is_floating_point():
            return None
        transposed = bool(node.attrs.get("transposed", False))
        if int(node.attrs["taps"]) < 2 or (transposed and node.attrs["groups"] != 1):
            return Declined("one tap per output channel: every weight is +-s, which says nothing")
        found = split(weight.values, 1 if transposed else 0)
        if found is None:
            return None
        signs, scale = found
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
        if scale.numel() == 1 and float(scale) == 1.0 and "bias" not in node.consts:
            edit.replace(node, consts={"weight": Constant(match.data["signs"], binary=True)})
            return
        dot = dataclasses.replace(
            node,
            name=edit.unique(f"{node.name}/binary"),
            consts={"weight": Constant(match.data["signs"], binary=True)},
        )
        last = edit.insert_before(node, dot, graph.inputs(node.name))
        factor = {"factor": Constant(scale.reshape(shape))}
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
        bias = {"value": Constant(node.consts["bias"].values.reshape(shape))}
        edit.replace(node, [last], kind=OpKind.ADD_CONST, attrs={}, consts=bias)


rules.add("binary-weight")(BinaryWeight())
