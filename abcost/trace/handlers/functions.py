"""Operators that are replayed as they are: functions, softmax, normalisation by computed statistics, tables."""

from __future__ import annotations

from typing import Any

from abcost.core.kinds import OpKind
from abcost.core.replay import FUNCTIONS
from abcost.trace.registry import handler
from abcost.trace.tracer import Call

_DONE_ELSEWHERE = {"pow.Tensor_Scalar", "div.Tensor", "div.Tensor_mode"}


def recorded(call: Call, kind: OpKind, **attrs: Any) -> str:
    """A node that keeps the ATen call itself, to be replayed by the interpreter."""
    return call.keep(kind, **attrs)


@handler(*sorted(FUNCTIONS - _DONE_ELSEWHERE))
def function(call: Call) -> str:
    """An elementwise function that has no form in additions, shifts and bits."""
    return recorded(call, OpKind.FUNCTION)


@handler("_softmax.default", "_safe_softmax.default", "_log_softmax.default")
def softmax(call: Call) -> str:
    """exp(x - max) / sum over one axis."""
    return recorded(call, OpKind.SOFTMAX, group=call["self"].shape[call["dim"]])


@handler("native_layer_norm.default")
def layer_norm(call: Call) -> list[str | None]:
    """(x - mean) / sqrt(var + eps) * weight + bias over the last axes."""
    group = 1
    for size in call["normalized_shape"]:
        group *= int(size)
    return [recorded(call, OpKind.NORM, group=group, affine=call["weight"] is not None)]


@handler("native_group_norm.default")
def group_norm(call: Call) -> list[str | None]:
    """Normalise like layer norm, over the channels of a group and all positions."""
    group = call["C"] // call["group"] * call["HxW"]
    return [recorded(call, OpKind.NORM, group=group, affine=call["weight"] is not None)]


@handler("embedding.default")
def embedding(call: Call) -> str:
    """Rows of a constant table."""
    return recorded(call, OpKind.LOOKUP)
