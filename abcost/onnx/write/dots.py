"""Convolutions, linear layers and products of two values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from abcost.core.kinds import OpKind
from abcost.core.node import OpNode
from abcost.onnx.write.draft import QONNX, Draft, Emit, whole_bits

_MOST_BITS = 8  # of weights that QONNX is told the width of


def _conv(draft: Draft, node: OpNode) -> None:
    a = node.attrs
    inputs = [*draft.reads(node), _weight(draft, node)]
    if "bias" in node.consts:
        inputs.append(draft.constant(node, "bias"))
    options: dict[str, Any] = {
        "strides": list(a["stride"]),
        "pads": [*a["padding"], *a["padding"]],
        "dilations": list(a["dilation"]),
        "group": int(a["groups"]),
        "kernel_shape": list(node.consts["weight"].values.shape[2:]),
    }
    if a["transposed"]:
        draft.add(node, "ConvTranspose", inputs, output_padding=list(a["output_padding"]), **options)
    else:
        draft.add(node, "Conv", inputs, **options)


def _linear(draft: Draft, node: OpNode) -> None:
    """The product x @ weight.T / divisor + bias; the divisor of a mean is part of real weights."""
    (x,), divisor = draft.reads(node), int(node.attrs.get("divisor", 1))
    biased = "bias" in node.consts
    real = node.consts["weight"].values.is_floating_point() and not node.consts["weight"].binary
    folded = divisor if real else 1
    apart = divisor // folded != 1
    weight = _weight(draft, node, folded, transposed=True)
    product = draft.add(node, "MatMul", [x, weight], part="product" if biased or apart else "")
    if apart:
        factor = draft.tensor(node, "divided", torch.tensor(1 / divisor))
        product = draft.add(node, "Mul", [product, factor], part="mean" if biased else "")
    if biased:
        draft.add(node, "Add", [product, draft.constant(node, "bias")])


def _weight(draft: Draft, node: OpNode, divisor: int = 1, *, transposed: bool = False) -> str:
    """The constant weight; in QONNX behind the quantiser that says how few bits it has."""
    constant = node.consts["weight"]
    values = constant.real() / divisor
    name = draft.tensor(node, "weight", values.t().contiguous() if transposed else values)
    if draft.dialect != "qonnx" or divisor != 1:
        return name
    shape = list(values.t().shape if transposed else values.shape)
    one = draft.tensor(node, "weight:step", torch.tensor(1.0))
    if constant.binary:
        return draft.add(node, "BipolarQuant", [name, one], part="weight:binary", shape=shape, domain=QONNX)
    found = whole_bits(constant)
    if found is None or found[0] > _MOST_BITS:
        return name
    zero = draft.tensor(node, "weight:zero", torch.tensor(0.0))
    width = draft.tensor(node, "weight:bits", torch.tensor(float(found[0])))
    return draft.add(
        node, "Quant", [name, one, zero, width], part="weight:whole", shape=shape, domain=QONNX,
        signed=int(found[1]), narrow=0, rounding_mode="ROUND",
    )  # fmt: skip


def _matmul(draft: Draft, node: OpNode) -> None:
    draft.add(node, "MatMul", draft.reads(node))


DOTS: Mapping[OpKind, Emit] = {OpKind.CONV: _conv, OpKind.LINEAR: _linear, OpKind.MATMUL: _matmul}
