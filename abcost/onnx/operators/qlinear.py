"""Elementwise and pooling operators on quantised values, as onnxruntime's quantiser writes them (domain com.microsoft).

Each has its inputs as (x, scale, zero point) and ends in the scale and zero point of its result. Scales meet once.
Sums, products and means of windows are rounded with the zero point inside, as onnxruntime does it, unlike
QuantizeLinear:

    y = saturate(round((a - za) * (sa / sy) + (b - zb) * (sb / sy) + zy))
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from abcost.onnx.op import Op
from abcost.onnx.operators.norms import softmax_of
from abcost.onnx.operators.pools import average, over_positions
from abcost.onnx.quantisation import centred, is_number, limits, quantised, ratio, real, whole, whole_after
from abcost.onnx.registry import operator


def _in_units(op: Op, x: int, y: int, *, values: torch.Tensor | None = None) -> torch.Tensor:
    """(x - zero point) * (scale of x / scale of y), or `values` times that; nothing where the scales are equal."""
    centre = centred(op, x, x + 2).to(op.dtype) if values is None else values
    scales_constant = not op.live[x + 1] and not op.live[y]
    if scales_constant and torch.equal(op[x + 1].reshape(()), op[y].reshape(())):
        return centre
    return centre * ratio(op, (x + 1,), y).reshape(())


def _saturated(op: Op, y: torch.Tensor, scale: int) -> torch.Tensor:
    """round(y) + zero point, y being in units of the scale."""
    return whole(op, y, scale + 1, limits(op, scale + 1))


@operator("ms.QLinearAdd")
def qlinear_add(op: Op) -> torch.Tensor:
    """A + b."""
    return whole_after(op, _in_units(op, 0, 6) + _in_units(op, 3, 6), 6)


@operator("ms.QLinearMul")
def qlinear_mul(op: Op) -> torch.Tensor:
    """A * b."""
    product = centred(op, 0, 2).to(op.dtype) * centred(op, 3, 5).to(op.dtype)
    return whole_after(op, product * ratio(op, (1, 4), 6).reshape(()), 6)


@operator("ms.QLinearLeakyRelu")
def qlinear_leaky_relu(op: Op) -> torch.Tensor:
    """X where x >= 0, alpha * x elsewhere."""
    return quantised(op, F.leaky_relu(real(op, 0), float(op.attr("alpha", 0.01))), 3)


@operator("ms.QLinearSigmoid")
def qlinear_sigmoid(op: Op) -> torch.Tensor:
    """1 / (1 + exp(-x))."""
    return quantised(op, torch.sigmoid(real(op, 0)), 3)


@operator("ms.QLinearSoftmax")
def qlinear_softmax(op: Op) -> torch.Tensor:
    """exp(x) / sum over `axis`, or over all axes from it on where `opset` is below 13."""
    version = int(op.attr("opset", 13))
    axis = int(op.attr("axis", -1 if version >= 13 else 1))
    return quantised(op, softmax_of(real(op, 0), axis, version, F.softmax), 3)


@operator("ms.QLinearGlobalAveragePool")
def qlinear_global_average_pool(op: Op) -> torch.Tensor:
    """The mean over all positions."""
    _channels_first(op)
    mean = over_positions(centred(op, 0, 2).to(op.dtype))
    return _saturated(op, _in_units(op, 0, 3, values=mean), 3)


@operator("ms.QLinearAveragePool")
def qlinear_average_pool(op: Op) -> torch.Tensor:
    """The mean of a window."""
    _channels_first(op)
    mean = average(op, centred(op, 0, 2).to(op.dtype))
    return whole_after(op, _in_units(op, 0, 3, values=mean), 3)


def _channels_first(op: Op) -> None:
    if op.attr("channels_last", 0):
        raise op.refuse("channels_last 1 is not supported")


@operator("ms.QLinearConcat")
def qlinear_concat(op: Op) -> torch.Tensor:
    """Inputs: scale and zero point of y, then (x, scale, zero point) of each piece; equal scales move as they are."""
    if len(op.inputs) < 5 or (len(op.inputs) - 2) % 3:
        raise op.refuse("inputs are not two and three for each piece")
    pieces = []
    for x in range(2, len(op.inputs), 3):
        same = all(_equal(op, x + 1 + part, part) for part in (0, 1))
        pieces.append(op[x] if same else _saturated(op, _in_units(op, x, 0), 0))
    return torch.cat(pieces, int(op.attr("axis", 0)))


@operator("ms.QLinearWhere")
def qlinear_where(op: Op) -> torch.Tensor:
    """Condition ? x : y. Inputs: condition, x, scale, zero point, y, scale, zero point, scale and zero point of z."""
    pieces = []
    for x in (1, 4):
        same = all(_equal(op, x + 1 + part, 7 + part) for part in (0, 1))
        pieces.append(op[x] if same else _saturated(op, _in_units(op, x, 7), 7))
    return torch.where(op[0], pieces[0], pieces[1])


def _equal(op: Op, a: int, b: int) -> bool:
    left, right = op.get(a), op.get(b)
    if left is None or right is None:
        return is_number(op, a, 0) and is_number(op, b, 0)
    if op.live[a] or op.live[b]:
        return False
    return torch.equal(left.reshape(-1), right.reshape(-1))
