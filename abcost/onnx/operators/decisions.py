"""Signs, comparisons, selections, rectifiers."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F

from abcost.onnx.op import Op
from abcost.onnx.registry import operator, operators

LIMITS_ARE_INPUTS = 11
"""Operator set from which the limits of Clip are inputs."""
_COMPARISONS: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "And": torch.logical_and,
    "Equal": torch.eq,
    "Greater": torch.gt,
    "GreaterOrEqual": torch.ge,
    "Less": torch.lt,
    "LessOrEqual": torch.le,
    "Or": torch.logical_or,
    "Xor": torch.logical_xor,
}


def _comparison(name: str, function: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> None:
    operators.add(name)(lambda op: function(op[0], op[1]))


for _name, _function in _COMPARISONS.items():
    _comparison(_name, _function)


@operator("Not")
def logical_not(op: Op) -> torch.Tensor:
    """1 where x is false."""
    return torch.logical_not(op[0])


@operator("Sign")
def sign(op: Op) -> torch.Tensor:
    """-1, 0 or +1."""
    return torch.sign(op[0])


@operator("Where")
def where(op: Op) -> torch.Tensor:
    """Condition ? x : y."""
    return torch.where(op[0], op[1], op[2])


@operator("Relu")
def relu(op: Op) -> torch.Tensor:
    """max(x, 0)."""
    return F.relu(op[0])


@operator("LeakyRelu")
def leaky_relu(op: Op) -> torch.Tensor:
    """X where x >= 0, alpha * x elsewhere."""
    return F.leaky_relu(op[0], float(op.attr("alpha", 0.01)))


@operator("PRelu")
def prelu(op: Op) -> torch.Tensor:
    """X where x >= 0, slope * x elsewhere. A slope per channel (axis 1) or a single one is torch's PReLU."""
    x, slope = op[0], op[1].to(op[0].dtype)  # exporters have been seen to write whole numbers
    if not op.constant(1):
        return torch.where(x >= 0, x, slope * x)
    whole = (1,) * (x.dim() - slope.dim()) + tuple(slope.shape)
    channels = x.shape[1] if x.dim() > 1 else 1
    if slope.numel() == 1 or (whole[1:2] == (channels,) and slope.numel() == channels):
        return F.prelu(x, slope.reshape(-1))
    return torch.where(x >= 0, x, slope * x)


@operator("Clip")
def clip(op: Op) -> torch.Tensor:
    """Clamp between two numbers, either of which may be missing; attributes below operator set 11."""
    low = op.attr("min") if op.version < LIMITS_ARE_INPUTS else op.number(1)
    high = op.attr("max") if op.version < LIMITS_ARE_INPUTS else op.number(2)
    return op[0] if low is None and high is None else torch.clamp(op[0], low, high)
