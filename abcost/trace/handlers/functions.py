"""Operators that are replayed as they are: functions, softmax, normalisation by computed statistics, tables."""

from __future__ import annotations

from typing import Any

import torch

from abcost.core.kinds import OpKind
from abcost.core.node import Constant
from abcost.core.replay import FUNCTIONS
from abcost.trace.registry import handler
from abcost.trace.tracer import Call, Tracer, node_of

_DONE_ELSEWHERE = {"pow.Tensor_Scalar", "div.Tensor"}


def recorded(call: Call, kind: OpKind, **attrs: Any) -> str:
    """A node that keeps the ATen call itself, to be replayed by the interpreter."""
    inputs: list[str] = []
    consts: dict[str, Constant] = {}

    def keep(value: Any) -> Any:
        if isinstance(value, Tracer):
            inputs.append(node_of(value))
            return {"in": len(inputs) - 1}
        if isinstance(value, torch.Tensor):
            role = f"c{len(consts)}"
            consts[role] = Constant(value.detach())
            return {"const": role}
        if isinstance(value, list | tuple):
            return [keep(part) for part in value]
        if isinstance(value, torch.dtype | torch.device | torch.memory_format | torch.layout):
            return None
        return value

    args = [keep(value) for value in call.arguments.values()]
    return call.emit(kind, inputs, attrs={"aten": call.name, "args": args, **attrs}, consts=consts)


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
    """Like layer norm, over the channels of a group and all positions."""
    group = call["C"] // call["group"] * call["HxW"]
    return [recorded(call, OpKind.NORM, group=group, affine=call["weight"] is not None)]


@handler("embedding.default")
def embedding(call: Call) -> str:
    """Rows of a constant table."""
    return recorded(call, OpKind.LOOKUP)
