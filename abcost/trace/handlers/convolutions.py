"""Convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, gcd, prod

from abcost.core.binary import weight_constant
from abcost.core.kinds import OpKind
from abcost.core.node import Constant
from abcost.trace.registry import handler
from abcost.trace.tracer import Call


def _with_bias(call: Call, weight: Constant) -> dict[str, Constant]:
    bias = call.constant("bias")
    return {"weight": weight} if bias is None else {"weight": weight, "bias": Constant(bias.detach())}


def _overlap(call: Call, kernel: Sequence[int]) -> int:
    """Kernel positions that one output of a transposed convolution can see: every (stride/gcd)-th along each axis."""
    strides, dilations = (
        list(call[name]) * (len(kernel) // len(call[name])) for name in ("stride", "dilation")
    )
    periods = [int(s) // gcd(int(s), int(d)) for s, d in zip(strides, dilations, strict=True)]
    return prod(ceil(k / period) for k, period in zip(kernel, periods, strict=True))


@handler("convolution.default", "_convolution.default", "mkldnn_convolution.default")
def convolution(call: Call) -> str:
    """conv(x, weight) of 1, 2 or 3 dimensions.

    weight: (out, in/groups, *kernel); of a transposed convolution (in, out/groups, *kernel).
    """
    weight = call.constant("weight")
    if weight is None:
        raise call.refuse("no weight")
    transposed = bool(call.arguments.get("transposed", False))
    if transposed:  # each input element is spread over out/groups * kernel outputs
        macs = prod(call["input"].shape) * prod(weight.shape[1:])
        taps = weight.shape[0] // int(call["groups"]) * _overlap(call, weight.shape[2:])
    else:
        taps = prod(weight.shape[1:])
        macs = prod(call.shapes[0]) * taps
    attrs = {
        "stride": list(call["stride"]),
        "padding": list(call["padding"]),
        "dilation": list(call["dilation"]),
        "transposed": transposed,
        "output_padding": list(call.arguments.get("output_padding") or [0]),
        "groups": int(call["groups"]),
        "taps": taps,
        "macs": macs,
    }
    consts = _with_bias(call, weight_constant(weight, 1 if transposed else 0))
    return call.emit(OpKind.CONV, [call.input("input")], attrs=attrs, consts=consts)
