"""Selections by value: index assignment, copysign, steps, thresholds, shrinkage."""

from __future__ import annotations

import torch

from abcost.core.kinds import OpKind
from abcost.trace.operand import (
    Made,
    Operand,
    compare,
    emit,
    function,
    minus,
    operand,
    reshaped,
    result,
    select,
    times,
)
from abcost.trace.registry import handler
from abcost.trace.tracer import Call, Tracer

_ZERO = torch.tensor(0.0, dtype=torch.float64)


@handler("copysign.Tensor", "copysign.Scalar")
def copysign(call: Call) -> str:
    """|self| with the sign of other: other >= 0 ? |self| : -|self|.

    A zero counts as positive. torch also tells -0.0 from 0.0; the fixed-point data path has one zero only.
    """
    magnitude, other = operand(call["self"]), operand(call["other"])
    if isinstance(magnitude, Made):
        magnitude = function(call, magnitude, "abs.default")
        if isinstance(other, torch.Tensor):
            return result(
                times(call, magnitude, torch.copysign(torch.ones_like(other, dtype=torch.float64), other))
            )
        negative: Operand = emit(call, OpKind.NEGATE, magnitude)
    else:
        magnitude = magnitude.abs()
        negative = -magnitude
    return result(select(call, compare(call, other, "ge", _ZERO), magnitude, negative))


@handler("heaviside.default")
def heaviside(call: Call) -> str:
    """0 below 0, 1 above, `values` at 0: one comparison where that is 0 or 1."""
    x, at_zero = operand(call["self"]), operand(call["values"])
    if isinstance(at_zero, torch.Tensor) and isinstance(x, Made):
        for value, relation in ((0, "gt"), (1, "ge")):
            if bool((at_zero == value).all()):
                return result(compare(call, x, relation, _ZERO.expand(at_zero.shape)))
    return result(select(call, compare(call, x, "eq", _ZERO), at_zero, compare(call, x, "gt", _ZERO)))


@handler("threshold.default")
def threshold(call: Call) -> str:
    """X where x > threshold, else value; a clamp where the two are one number."""
    x, level, value = call.input("self"), float(call["threshold"]), float(call["value"])
    if level == value:
        return call.emit(OpKind.CLAMP, [x], attrs={"min": level, "max": None})
    made = operand(call["self"])
    above = compare(call, made, "gt", torch.tensor(level, dtype=torch.float64))
    return result(select(call, above, made, torch.tensor(value, dtype=torch.float64)))


@handler("hardshrink.default")
def hardshrink(call: Call) -> str:
    """X where |x| > lambd, else 0."""
    x, limit = operand(call["self"]), torch.tensor(float(call["lambd"]), dtype=torch.float64)
    outside = compare(call, function(call, x, "abs.default"), "gt", limit)  # type: ignore[arg-type]
    return result(select(call, outside, x, _ZERO))


@handler("softshrink.default")
def softshrink(call: Call) -> str:
    """X - clamp(x, -lambd, lambd): x moved towards 0 by lambd, and 0 where it would cross."""
    x, limit = operand(call["self"]), float(call["lambd"])
    return result(minus(call, x, emit(call, OpKind.CLAMP, x, min=-limit, max=limit)))  # type: ignore[arg-type]


@handler("index_put.default")
def index_put(call: Call) -> str:
    """self[indices] = values.

    With a computed mask: mask ? values : self, the values one number or one per trailing axis. With constant indices
    the elements that are written are known, and values must be constant.
    """
    if call["accumulate"]:
        raise call.refuse("accumulate=True is not supported")
    indices, x = call["indices"], operand(call["self"])
    if any(isinstance(index, Tracer) for index in indices):
        return _masked(call, indices, x)
    values = call["values"]
    if isinstance(values, Tracer):
        raise call.refuse(
            "computed values at constant indices are not supported; build the result with torch.cat"
        )
    held = torch.zeros(call.shapes[0], dtype=torch.float64)
    put = torch.ops.aten.index_put.default
    written = put(held.bool(), indices, torch.tensor(True))
    return result(select(call, written, put(held, indices, values.double()), x))


def _masked(call: Call, indices: list[torch.Tensor | None], x: Operand) -> str:
    mask = indices[0]
    if len(indices) != 1 or not isinstance(mask, Tracer) or mask.dtype is not torch.bool:
        raise call.refuse("only one computed index, a boolean mask, is supported")
    condition, values = operand(mask), operand(call["values"])
    trailing = len(x.shape) - mask.dim()
    if len(values.shape) > trailing and values.shape[0] != 1:
        raise call.refuse(
            "one value for each element that the mask selects is not supported; use torch.where"
        )
    if trailing:
        condition = reshaped(call, condition, (*mask.shape, *[1] * trailing))
    return result(select(call, condition, values, x))
