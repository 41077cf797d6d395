"""Elementwise sums, products and functions; broadcasting is numpy's, which is torch's."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

import torch
import torch.nn.functional as F

from abcost.onnx.op import Op
from abcost.onnx.registry import operator, operators

_UNARY: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "Abs": torch.abs,
    "Atan": torch.atan,
    "Ceil": torch.ceil,
    "Cos": torch.cos,
    "Erf": torch.erf,
    "Exp": torch.exp,
    "Floor": torch.floor,
    "HardSwish": F.hardswish,
    "Log": torch.log,
    "Mish": F.mish,
    "Neg": torch.neg,
    "Reciprocal": torch.reciprocal,
    "Round": torch.round,  # both half to even
    "Sigmoid": torch.sigmoid,
    "Sin": torch.sin,
    "Softplus": F.softplus,
    "Sqrt": torch.sqrt,
    "Tanh": torch.tanh,
}
_BINARY: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "Add": torch.add,
    "Mul": torch.mul,
    "Sub": torch.sub,
}
_MANY: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "Max": torch.maximum,
    "Min": torch.minimum,
    "Sum": torch.add,
}


def _unary(name: str, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
    operators.add(name)(lambda op: function(op[0]))


def _binary(name: str, function: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> None:
    operators.add(name)(lambda op: function(op[0], op[1]))


def _many(name: str, function: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> None:
    operators.add(name)(lambda op: reduce(function, [op[i] for i in range(len(op.inputs))]))


for _name, _function in _UNARY.items():
    _unary(_name, _function)
for _name, _pair in _BINARY.items():
    _binary(_name, _pair)
for _name, _pair in _MANY.items():
    _many(_name, _pair)


@operator("Div")
def div(op: Op) -> torch.Tensor:
    """A / B; whole numbers are cut towards zero."""
    if op[0].is_floating_point():
        return torch.div(op[0], op[1])
    return torch.div(op[0], op[1], rounding_mode="trunc")


@operator("Mod")
def mod(op: Op) -> torch.Tensor:
    """A mod B, with the sign of B, or of A if fmod is set."""
    return torch.fmod(op[0], op[1]) if op.attr("fmod", 0) else torch.remainder(op[0], op[1])


@operator("Pow")
def power(op: Op) -> torch.Tensor:
    """X ** Y in the type of X, as the standard has it: a whole number to a negative power is cut to 0.

    A constant Y of one number is passed as such, so that squares are seen.
    """
    base, exponent = op[0], op[1]
    if not base.is_floating_point():
        return torch.pow(base.double(), exponent.double()).trunc().to(base.dtype)
    if op.constant(1) and exponent.numel() == 1:
        number = float(exponent.item())
        return torch.pow(base, int(number) if number.is_integer() else number)
    return torch.pow(base, exponent.to(base.dtype))


@operator("Elu")
def elu(op: Op) -> torch.Tensor:
    """X where x >= 0, alpha * (exp(x) - 1) elsewhere."""
    return F.elu(op[0], alpha=float(op.attr("alpha", 1.0)))


@operator("Gelu")
def gelu(op: Op) -> torch.Tensor:
    """X * Phi(x), or its approximation by tanh."""
    return F.gelu(op[0], approximate=op.attr("approximate", "none"))


@operator("HardSigmoid")
def hard_sigmoid(op: Op) -> torch.Tensor:
    """clamp(alpha * x + beta, 0, 1)."""
    alpha, beta = float(op.attr("alpha", 0.2)), float(op.attr("beta", 0.5))
    return torch.clamp(op[0] * alpha + beta, 0.0, 1.0)
