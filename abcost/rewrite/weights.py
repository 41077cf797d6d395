"""A dot product with the scales of its weights behind it: what the rules about weights have in common."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from abcost.core.edit import Edit
from abcost.core.graph import OpGraph
from abcost.core.kinds import OpKind
from abcost.core.node import Constant, OpNode


class Behind:
    """Nodes that take the place of one dot product, each reading the one before; the last keeps the old name."""

    def __init__(self, edit: Edit, graph: OpGraph, node: OpNode) -> None:
        self.edit = edit
        self.graph = graph
        self.node = node

    def dot(
        self,
        weight: Constant,
        *,
        name: str,
        attrs: Mapping[str, Any] | None = None,
        inputs: Sequence[str] | None = None,
    ) -> str:
        """The dot product itself with another weight, or another input, under a name of its own."""
        twin = dataclasses.replace(
            self.node,
            name=self.edit.unique(f"{self.node.name}/{name}"),
            attrs={**self.node.attrs, **(attrs or {})},
            consts={"weight": weight},
        )
        sources = self.graph.inputs(self.node.name) if inputs is None else inputs
        return self.edit.insert_before(self.node, twin, sources)

    def box_sum(self) -> str:
        """The sum of everything that the dot product reads for one position: one for all output channels."""
        node, weight = self.node, self.node.consts["weight"].values
        kernel = list(weight.shape[2:])
        attrs = {"kernel": kernel, "taps": node.attrs["taps"]}
        if kernel:
            attrs |= {side: node.attrs[side] for side in ("stride", "padding", "dilation")}
        shape = (node.shape[0], 1, *node.shape[2:]) if node.kind is OpKind.CONV else (*node.shape[:-1], 1)
        name = self.edit.unique(f"{node.name}/box_sum")
        box = OpNode(name, OpKind.BOX_SUM, shape, node.layer, node.source, attrs)
        return self.edit.insert_before(node, box, self.graph.inputs(node.name))

    def then(
        self, kind: OpKind, inputs: list[str], attrs: dict[str, Any], consts: dict[str, Constant], name: str
    ) -> str:
        """One more node of the result's shape."""
        node = self.node
        step = OpNode(
            self.edit.unique(f"{node.name}/{name}"), kind, node.shape, node.layer, node.source, attrs, consts
        )
        return self.edit.insert_before(node, step, inputs)

    def scaled(self, source: str, scale: Tensor) -> str:
        """Times the scale of the weights, one for each channel; nothing where it is 1."""
        if bool((scale == 1).all()):
            return source
        scale = scale.flatten()
        scale = scale[:1] if bool((scale == scale[0]).all()) else scale
        consts = {"factor": Constant(self.per_channel(scale), shared=self.node.consts["weight"].shared)}
        return self.then(OpKind.SCALE, [source], {"role": "weight_scale"}, consts, "scale")

    def per_channel(self, values: Tensor) -> Tensor:
        """One value for each output channel, broadcast to the result."""
        conv = self.node.kind is OpKind.CONV
        return values.reshape((1, -1, *[1] * (len(self.node.shape) - 2)) if conv else (-1,))

    def finish(self, last: str) -> None:
        """Add the bias, and give the last node the name of the dot product."""
        bias = self.node.const("bias")
        if bias is not None:
            consts = {"value": Constant(self.per_channel(bias.values), shared=bias.shared)}
            self.edit.replace(self.node, [last], kind=OpKind.ADD_CONST, attrs={}, consts=consts)
            return
        step = self.edit.draft(last)
        self.edit.replace(
            self.node, self.edit.reads(last), kind=step.kind, attrs=dict(step.attrs), consts=dict(step.consts)
        )


def rows_of(node: OpNode) -> Tensor:
    """The weight with one row for each output channel: (out, taps)."""
    values = node.consts["weight"].values
    return values.transpose(0, out_axis(node)).flatten(1)


def out_axis(node: OpNode) -> int:
    """The axis of the weight that is the output channel."""
    return 1 if node.attrs.get("transposed", False) else 0


def as_weight(rows: Tensor, node: OpNode) -> Tensor:
    """Rows back in the shape of the node's weight."""
    shape = node.consts["weight"].values.transpose(0, out_axis(node)).shape
    return rows.reshape(shape).transpose(0, out_axis(node)).contiguous()


def span(scale: Tensor) -> str:
    """Least and largest scale, for the log."""
    return f"s = {float(scale.min()):.4g} … {float(scale.max()):.4g}"


NOISE_UNIT = "largest |weight - its level|, single-precision noise"


def noise_of(rows: Tensor, levels: Tensor) -> float | None:
    """The largest distance of weights from what they are read as; None where it is no more than float64 rounds."""
    distance = (rows.to(torch.float64) - levels.to(torch.float64)).abs()
    largest = float(distance.max()) if distance.numel() else 0.0
    return largest if largest > 2.0**-40 * float(rows.abs().max()) else None


def exact_zero(values: Tensor) -> bool:
    """Whether all are 0."""
    return not bool(torch.count_nonzero(values))
