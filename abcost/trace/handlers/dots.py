"""Convolutions and matrix products."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, gcd, prod

from abcost.core.binary import weight_constant
from abcost.core.kinds import OpKind
from abcost.core.node import Constant
from abcost.trace.registry import handler
from abcost.trace.tracer import Call, Tracer


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


def _linear(call: Call, x: str, right: Constant, bias: Constant | None) -> str:
    taps = right.values.shape[1]
    consts = {"weight": right} if bias is None else {"weight": right, "bias": bias}
    attrs = {"taps": taps, "macs": prod(call.shapes[0]) * taps}
    return call.emit(OpKind.LINEAR, [call.input(x)], attrs=attrs, consts=consts)


def _matmul(call: Call, left: str, right: str) -> str:
    taps = call[left].shape[-1]
    attrs = {"taps": taps, "macs": prod(call.shapes[0]) * taps}
    return call.emit(OpKind.MATMUL, [call.input(left), call.input(right)], attrs=attrs)


@handler("mm.default", "bmm.default")
def matmul(call: Call) -> str:
    """X @ constant is a linear layer, x @ y a matrix product of activations."""
    if isinstance(call["mat2"], Tracer):
        return _matmul(call, "self", "mat2")
    right = call.constant("mat2")
    if right is None or right.dim() != 2:
        raise call.refuse("a batched product with a constant is not supported; use a linear layer")
    return _linear(call, "self", weight_constant(right.t(), 0), None)


@handler("addmm.default")
def addmm(call: Call) -> str:
    """Bias + x @ weight.T."""
    if call["beta"] != 1 or call["alpha"] != 1:
        raise call.refuse("beta and alpha other than 1 are not supported")
    weight, bias = call.constant("mat2"), call.constant("self")
    if weight is None or bias is None:
        raise call.refuse("no weight or bias")
    return _linear(call, "mat1", weight_constant(weight.t(), 0), Constant(bias.detach()))


@handler("baddbmm.default")
def baddbmm(call: Call) -> str:
    """X + a @ b over a batch, of activations or with a constant x (an attention mask)."""
    if call["beta"] != 1 or call["alpha"] != 1:
        raise call.refuse("beta and alpha other than 1 are not supported")
    product = _matmul(call, "batch1", "batch2")
    if isinstance(call["self"], Tracer):
        return call.emit(OpKind.ADD, [call.input("self"), product])
    return call.emit(OpKind.ADD_CONST, [product], consts={"value": Constant(call.constant("self"))})  # type: ignore[arg-type]
