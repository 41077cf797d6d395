"""Normalisations and softmax."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from abcost.onnx.op import Op
from abcost.onnx.registry import operator


@operator("BatchNormalization")
def batch_norm(op: Op) -> torch.Tensor:
    """Per channel, with constant statistics. Inputs: x, scale, bias, mean, variance."""
    if op.attr("training_mode", 0):
        raise op.refuse("training_mode 1: statistics of the batch are not constants; export in eval mode")
    return F.batch_norm(
        op[0], op[3], op[4], op[1], op[2], training=False, eps=float(op.attr("epsilon", 1e-5))
    )


@operator("LayerNormalization")
def layer_norm(op: Op) -> torch.Tensor:
    """Over the axes from `axis` on. Inputs: x, scale, bias."""
    shape = list(op[0].shape[int(op.attr("axis", -1)) :])
    scale, bias = op[1].expand(shape), op.get(2)
    return F.layer_norm(
        op[0], shape, scale, None if bias is None else bias.expand(shape), float(op.attr("epsilon", 1e-5))
    )


@operator("InstanceNormalization")
def instance_norm(op: Op) -> torch.Tensor:
    """Per image and channel. Inputs: x, scale, bias."""
    return F.group_norm(op[0], op[0].shape[1], op[1], op[2], float(op.attr("epsilon", 1e-5)))


@operator("Softmax")
def softmax(op: Op) -> torch.Tensor:
    """exp(x) / sum over one axis."""
    return F.softmax(op[0], dim=int(op.attr("axis", -1)))


@operator("LogSoftmax")
def log_softmax(op: Op) -> torch.Tensor:
    """Logarithm of the softmax."""
    return F.log_softmax(op[0], dim=int(op.attr("axis", -1)))


@operator("Dropout")
def dropout(op: Op) -> list[torch.Tensor]:
    """Nothing at inference; the mask, if asked for, is all true."""
    return [op[0]] if op.results < 2 else [op[0], torch.ones(op[0].shape, dtype=torch.bool)]
