"""Batch normalisation with constant statistics: one multiplication and one addition per element."""

from __future__ import annotations

from math import prod

import torch

from abcost.core.kinds import OpKind
from abcost.core.node import Constant
from abcost.trace.registry import handler
from abcost.trace.tracer import Call

_UPDATES_STATISTICS = {
    "_native_batch_norm_legit.default",
    "_native_batch_norm_legit.no_stats",
    "_batch_norm_with_update.default",
}


@handler(
    "native_batch_norm.default",
    "cudnn_batch_norm.default",
    "batch_norm.default",
    "_native_batch_norm_legit_no_training.default",
    "_batch_norm_no_update.default",
    *sorted(_UPDATES_STATISTICS),
)
def batch_norm(call: Call) -> list[str | None]:
    """Y = x * w / sqrt(var + eps) + (b - mean * w / sqrt(var + eps)), per channel (axis 1)."""
    if call.recorder.calls("instance_norm") and call.constant("running_mean") is None:
        return [_instance_norm(call)]
    if call.name in _UPDATES_STATISTICS or call.arguments.get("training"):
        raise call.refuse("statistics of the batch are not constants; use track_running_stats=True")
    mean, var = call.constant("running_mean"), call.constant("running_var")
    if mean is None or var is None:
        raise call.refuse("no running statistics; use track_running_stats=True")
    weight, bias = call.constant("weight"), call.constant("bias")
    eps = float(call.arguments.get("eps", call.arguments.get("epsilon", 1e-5)))
    factor = torch.rsqrt(var + eps) * (1.0 if weight is None else weight)
    offset = -mean * factor + (0.0 if bias is None else bias)
    shape = (1, -1, *[1] * (len(call.shapes[0]) - 2))
    scaled = call.emit(
        OpKind.SCALE,
        [call.input("input")],
        attrs={"role": "batch_norm"},
        consts={"factor": Constant(factor.detach().reshape(shape))},
    )
    shift = {"value": Constant(offset.detach().reshape(shape))}
    return [call.emit(OpKind.ADD_CONST, [scaled], attrs={"role": "batch_norm"}, consts=shift)]


def _instance_norm(call: Call) -> str:
    """Every image's channel by its own mean and variance; torch calls batch norm on (1, N*C, …) for it.

    Kept as a group norm of one channel per group: (x - mean) / sqrt(var + eps) * w + b.
    """
    x = call["input"]
    channels, positions = x.shape[1], prod(x.shape[2:])
    weight, bias = call.constant("weight"), call.constant("bias")
    eps = float(call.arguments.get("eps", call.arguments.get("epsilon", 1e-5)))
    consts = {
        role: Constant(value.detach()) for role, value in (("c0", weight), ("c1", bias)) if value is not None
    }
    held = [{"const": role} if role in consts else None for role in ("c0", "c1")]
    args = [{"in": 0}, *held, x.shape[0], channels, positions, channels, eps]
    attrs = {
        "aten": "native_group_norm.default",
        "args": args,
        "group": positions,
        "affine": weight is not None,
    }
    return call.emit(OpKind.NORM, [call.input("input")], attrs=attrs, consts=consts)
