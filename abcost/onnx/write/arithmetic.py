"""Elementwise arithmetic, rectifiers, limits, and functions of one value."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from math import inf
from typing import Any

import torch

from abcost.core.kinds import OpKind
from abcost.core.node import OpNode
from abcost.onnx.write.draft import Draft, Emit
from abcost.onnx.write.pools import divides, mean

_FUNCTIONS = {
    "exp.default": "Exp", "log.default": "Log", "sqrt.default": "Sqrt", "sigmoid.default": "Sigmoid",
    "tanh.default": "Tanh", "erf.default": "Erf", "sin.default": "Sin", "cos.default": "Cos", "tan.default": "Tan",
    "reciprocal.default": "Reciprocal", "abs.default": "Abs", "floor.default": "Floor", "ceil.default": "Ceil",
    "round.default": "Round", "atan.default": "Atan", "asin.default": "Asin", "acos.default": "Acos",
    "sinh.default": "Sinh", "cosh.default": "Cosh",
}  # fmt: skip
_OF_TWO = {"div.Tensor": "Div", "pow.Tensor_Scalar": "Pow", "pow.Tensor_Tensor": "Pow", "pow.Scalar": "Pow"}


def _pair(operator: str, draft: Draft, node: OpNode) -> None:
    draft.add(node, operator, draft.reads(node))


def _with(operator: str, role: str, draft: Draft, node: OpNode) -> None:
    draft.add(node, operator, [*draft.reads(node), draft.constant(node, role)])


def _power(draft: Draft, node: OpNode, role: str) -> str:
    """2**exponent, which floating point holds and multiplies by exactly."""
    return draft.tensor(node, role, torch.exp2(node.consts["exponent"].real()))


def _shift(draft: Draft, node: OpNode) -> None:
    """The product x * 2**exponent; of the sum over 2**-exponent taps the mean."""
    (source,) = draft.graph.sources(node)
    if divides(node, source):
        mean(draft, source, node)
    else:
        draft.add(node, "Mul", [*draft.reads(node), _power(draft, node, "factor")])


def _prelu(draft: Draft, node: OpNode) -> None:
    draft.add(node, "PRelu", [*draft.reads(node), draft.constant(node, "slope")])


def _shift_prelu(draft: Draft, node: OpNode) -> None:
    draft.add(node, "PRelu", [*draft.reads(node), _power(draft, node, "slope")])


def _clamp(draft: Draft, node: OpNode) -> None:
    low, high = (node.attrs.get(name) for name in ("min", "max"))
    low, high = -inf if low is None else float(low), inf if high is None else float(high)
    if (low, high) == (0.0, inf):
        draft.add(node, "Relu", draft.reads(node))
        return
    limits = [
        draft.tensor(node, role, torch.tensor(limit)) if abs(limit) < inf else ""
        for role, limit in (("min", low), ("max", high))
    ]
    draft.add(node, "Clip", [*draft.reads(node), *limits])


def _extremum(draft: Draft, node: OpNode) -> None:
    other = [draft.constant(node, "level")] if "level" in node.consts else []
    draft.add(node, "Max" if node.attrs["which"] == "max" else "Min", [*draft.reads(node), *other])


def _mask(draft: Draft, node: OpNode) -> None:
    """tanh(slope * x), as the interpreter has it."""
    slope = draft.tensor(node, "slope", torch.tensor(float(node.attrs["slope"])))
    draft.add(node, "Tanh", [draft.add(node, "Mul", [*draft.reads(node), slope], part="scaled")])


def operand(draft: Draft, node: OpNode, argument: Any, role: str) -> str:
    """An argument of a recorded call: a value, a constant, or a number."""
    if isinstance(argument, Mapping):
        if "in" in argument:
            return draft.reads(node)[argument["in"]]
        return draft.constant(node, str(argument["const"]))
    if isinstance(argument, bool) or not isinstance(argument, int | float):
        raise draft.refuse(node, f"its argument {argument!r} is no number")
    return draft.tensor(node, role, torch.tensor(float(argument)))


def _function(draft: Draft, node: OpNode) -> None:
    name, args = str(node.attrs["aten"]), node.attrs["args"]
    if name in _FUNCTIONS:
        draft.add(node, _FUNCTIONS[name], [operand(draft, node, args[0], "x")])
    elif name in _OF_TWO:
        draft.add(node, _OF_TWO[name], [operand(draft, node, args[i], f"operand{i}") for i in (0, 1)])
    else:
        raise draft.refuse(node, f"aten.{name} has no form in it that abcost knows")


def _softmax(draft: Draft, node: OpNode) -> None:
    names = {"_softmax.default": "Softmax", "_log_softmax.default": "LogSoftmax"}
    name = str(node.attrs["aten"])
    if name not in names:
        raise draft.refuse(node, f"aten.{name} has no form in it that abcost knows")
    draft.add(node, names[name], draft.reads(node), axis=int(node.attrs["args"][1]))


def _norm(draft: Draft, node: OpNode) -> None:
    """Layer normalisation: (x, shape, weight, bias, eps)."""
    if node.attrs["aten"] != "native_layer_norm.default":
        raise draft.refuse(node, "only layer normalisation has a form in it")
    _, shape, weight, bias, eps = node.attrs["args"]
    gain = (
        draft.tensor(node, "gain", torch.ones(list(shape)))
        if weight is None
        else operand(draft, node, weight, "gain")
    )
    inputs = [*draft.reads(node)[:1], gain, *([] if bias is None else [operand(draft, node, bias, "bias")])]
    draft.add(node, "LayerNormalization", inputs, axis=-len(shape), epsilon=float(eps))


ARITHMETIC: Mapping[OpKind, Emit] = {
    OpKind.ADD: partial(_pair, "Add"),
    OpKind.SUBTRACT: partial(_pair, "Sub"),
    OpKind.MULTIPLY: partial(_pair, "Mul"),
    OpKind.NEGATE: partial(_pair, "Neg"),
    OpKind.ADD_CONST: partial(_with, "Add", "value"),
    OpKind.SCALE: partial(_with, "Mul", "factor"),
    OpKind.SHIFT: _shift,
    OpKind.PRELU: _prelu,
    OpKind.SHIFT_PRELU: _shift_prelu,
    OpKind.CLAMP: _clamp,
    OpKind.EXTREMUM: _extremum,
    OpKind.MASK: _mask,
    OpKind.FUNCTION: _function,
    OpKind.SOFTMAX: _softmax,
    OpKind.NORM: _norm,
}
