"""Normalisations and softmax."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import torch
import torch.nn.functional as F

from abcost.onnx.op import Op
from abcost.onnx.registry import operator

SOFTMAX_OF_ONE_AXIS = 13
"""Operator set from which a softmax is over one axis."""


@operator("BatchNormalization")
def batch_norm(op: Op) -> torch.Tensor:
    """Normalise per channel, with constant statistics. Inputs: x, scale, bias, mean, variance."""
    if op.attr("training_mode", 0) or op.results > 1:
        raise op.refuse("training mode: statistics of the batch are not constants; export in eval mode")
    return F.batch_norm(
        op[0], op[3], op[4], op[1], op[2], training=False, eps=float(op.attr("epsilon", 1e-5))
    )


@operator("LayerNormalization")
def layer_norm(op: Op) -> torch.Tensor:
    """Normalise over the axes from `axis` on. Inputs: x, scale, bias."""
    shape = list(op[0].shape[int(op.attr("axis", -1)) :])
    scale, bias = op[1].expand(shape), op.get(2)
    return F.layer_norm(
        op[0], shape, scale, None if bias is None else bias.expand(shape), float(op.attr("epsilon", 1e-5))
    )


@operator("InstanceNormalization")
def instance_norm(op: Op) -> torch.Tensor:
    """Normalise per image and channel. Inputs: x, scale, bias."""
    return F.group_norm(op[0], op[0].shape[1], op[1], op[2], float(op.attr("epsilon", 1e-5)))


def softmax_of(
    x: torch.Tensor, axis: int, version: int, function: Callable[..., torch.Tensor]
) -> torch.Tensor:
    """Apply `function` over one axis; below operator set 13 over all axes from it on, taken as one."""
    axis = axis + x.dim() if axis < 0 else axis
    if version >= SOFTMAX_OF_ONE_AXIS or axis == x.dim() - 1:
        return function(x, dim=axis)
    rows = x.reshape(prod(x.shape[:axis]), -1)
    return function(rows, dim=1).reshape(x.shape)


@operator("Softmax")
def softmax(op: Op) -> torch.Tensor:
    """exp(x) / sum, over the last axis by default; below operator set 13 over the axes from the second on."""
    return softmax_of(op[0], int(op.attr("axis", _default(op))), op.version, F.softmax)


@operator("LogSoftmax")
def log_softmax(op: Op) -> torch.Tensor:
    """Logarithm of the softmax."""
    return softmax_of(op[0], int(op.attr("axis", _default(op))), op.version, F.log_softmax)


def _default(op: Op) -> int:
    return -1 if op.version >= SOFTMAX_OF_ONE_AXIS else 1


@operator("Dropout")
def dropout(op: Op) -> list[torch.Tensor]:
    """Nothing at inference; the mask, if asked for, is all true."""
    if op.get(2) is not None and (op.live[2] or bool(op[2].any())):
        raise op.refuse("training_mode true draws random numbers; export in eval mode")
    return [op[0]] if op.results < 2 else [op[0], torch.ones(op[0].shape, dtype=torch.bool)]
