"""Elementwise sums, products and their mixtures with constants."""

from __future__ import annotations

from typing import Any

import torch

from abcost.core.kinds import OpKind
from abcost.trace.constants import constant, tensor_of
from abcost.trace.handlers.flags import either
from abcost.trace.handlers.functions import recorded
from abcost.trace.operand import Made, binary_function, emit, minus, operand, over, plus, result, times
from abcost.trace.registry import handler
from abcost.trace.tracer import Call, Tracer, node_of


def scaled(call: Call, value: Any, factor: Any) -> Any:
    """Factor * value: a node for an activation, a tensor for a constant; value itself where factor is 1."""
    if factor == 1:
        return value if not isinstance(value, Tracer) else node_of(value)
    if isinstance(value, Tracer):
        return call.emit(
            OpKind.SCALE, [node_of(value)], consts={"factor": constant(factor)}, shape=tuple(value.shape)
        )
    return tensor_of(value) * factor


def _with_constant(call: Call, kind: OpKind, node: str, role: str, value: Any, shape: tuple[int, ...]) -> str:
    return call.emit(kind, [node], consts={role: constant(value, call.shapes[0], shape)})


@handler("add")
def add(call: Call) -> str:
    """Self + alpha * other; of two flags it is a flag, their OR."""
    if call.dtype is torch.bool:
        flag: str = either(call)
        return flag
    left, right = call["self"], scaled(call, call["other"], call["alpha"])
    if isinstance(left, Tracer) and isinstance(right, str):
        return call.emit(OpKind.ADD, [node_of(left), right])
    if isinstance(left, Tracer):
        return _with_constant(call, OpKind.ADD_CONST, node_of(left), "value", right, tuple(left.shape))
    return _with_constant(call, OpKind.ADD_CONST, right, "value", left, tuple(call["other"].shape))


@handler("sub")
def sub(call: Call) -> str:
    """Self - alpha * other; with a constant it is the addition of the negated one."""
    return _difference(call, call["self"], call["other"])


@handler("rsub")
def rsub(call: Call) -> str:
    """Other - alpha * self."""
    return _difference(call, call["other"], call["self"])


def _difference(call: Call, left: Any, right: Any) -> str:
    shape = tuple((left if isinstance(left, Tracer) else right).shape)
    subtrahend = scaled(call, right, call["alpha"])
    if isinstance(left, Tracer) and isinstance(subtrahend, str):
        return call.emit(OpKind.SUBTRACT, [node_of(left), subtrahend])
    if isinstance(left, Tracer):
        return _with_constant(call, OpKind.ADD_CONST, node_of(left), "value", -tensor_of(subtrahend), shape)
    negated = call.emit(OpKind.NEGATE, [subtrahend], shape=shape)
    return _with_constant(call, OpKind.ADD_CONST, negated, "value", left, shape)


@handler("mul")
def mul(call: Call) -> str:
    """Self * other; by a constant it is a scale."""
    left, right = call["self"], call["other"]
    if isinstance(left, Tracer) and isinstance(right, Tracer):
        return call.emit(OpKind.MULTIPLY, [node_of(left), node_of(right)])
    x, factor = (left, right) if isinstance(left, Tracer) else (right, left)
    return _with_constant(call, OpKind.SCALE, node_of(x), "factor", factor, tuple(x.shape))


@handler("div.Tensor", "div.Scalar")
def div(call: Call) -> str:
    """Self / other; by a constant it is a multiplication by the reciprocal."""
    left, right = call["self"], call["other"]
    if isinstance(right, Tracer):
        return recorded(call, OpKind.FUNCTION)
    reciprocal = 1.0 / tensor_of(right).double()
    return _with_constant(call, OpKind.SCALE, node_of(left), "factor", reciprocal, tuple(left.shape))


@handler("neg")
def neg(call: Call) -> str:
    """-self."""
    return call.emit(OpKind.NEGATE, [call.input("self")])


@handler("pow.Tensor_Scalar")
def power(call: Call) -> str:
    """A square is one multiplication; any other power is a function."""
    if call["exponent"] == 2:
        node = call.input("self")
        return call.emit(OpKind.MULTIPLY, [node, node])
    return recorded(call, OpKind.FUNCTION)


@handler("addcmul.default")
def addcmul(call: Call) -> str:
    """Self + value * tensor1 * tensor2."""
    product = times(call, operand(call["tensor1"]), operand(call["tensor2"]))
    return result(plus(call, operand(call["self"]), times(call, product, operand(call["value"]))))


@handler("addcdiv.default")
def addcdiv(call: Call) -> str:
    """Self + value * tensor1 / tensor2."""
    quotient = over(call, operand(call["tensor1"]), operand(call["tensor2"]))
    return result(plus(call, operand(call["self"]), times(call, quotient, operand(call["value"]))))


@handler("lerp.Scalar", "lerp.Tensor")
def lerp(call: Call) -> str:
    """Self + weight * (end - self)."""
    start, end, weight = (operand(call[role]) for role in ("self", "end", "weight"))
    return result(plus(call, start, times(call, minus(call, end, start), weight)))


@handler("square.default")
def square(call: Call) -> str:
    """Self * self."""
    node = call.input("self")
    return call.emit(OpKind.MULTIPLY, [node, node])


@handler("floor_divide", "div.Tensor_mode", "div.Scalar_mode")
def whole_division(call: Call) -> str:
    """Self / other, rounded down or towards zero; by a power of two it is a shift and a rounding, else a function."""
    mode = "floor" if "floor" in call.name else call["rounding_mode"]
    left, right = operand(call["self"]), operand(call["other"])
    if mode is None:
        return result(over(call, left, right))
    if isinstance(left, Made) and isinstance(right, torch.Tensor) and _power_of_two(right):
        quotient = times(call, left, 1.0 / right.double())
        return result(emit(call, OpKind.FUNCTION, quotient, aten=f"{mode}.default", args=[{"in": 0}]))  # type: ignore[arg-type]
    return result(binary_function(call, "div.Tensor_mode", left, right, mode))


def _power_of_two(values: torch.Tensor) -> bool:
    mantissa, _ = torch.frexp(values.double().abs())
    return bool((mantissa == 0.5).all())
