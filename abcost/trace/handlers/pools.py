"""Pools and reductions."""

from __future__ import annotations

from math import prod
from typing import Any

from abcost.core.kinds import OpKind
from abcost.trace.registry import handler
from abcost.trace.tracer import Call


def _window(call: Call) -> dict[str, Any]:
    kernel = [int(k) for k in call["kernel_size"]]
    dims = 3 if "3d" in call.name else 2
    kernel = kernel * (dims // len(kernel)) if len(kernel) == 1 else kernel
    return {
        "kernel": kernel,
        "stride": [int(s) for s in call["stride"]] or kernel,
        "padding": [int(p) for p in call["padding"]],
        "ceil_mode": bool(call["ceil_mode"]),
    }


@handler("max_pool2d_with_indices.default", "max_pool2d.default", "max_pool3d_with_indices.default")
def max_pool(call: Call) -> list[str | None]:
    """The largest of a window; its index output has no node."""
    attrs = {**_window(call), "dilation": [int(d) for d in call["dilation"]]}
    return [call.emit(OpKind.MAX_POOL, [call.input("self")], attrs={**attrs, "taps": prod(attrs["kernel"])})]


@handler("avg_pool2d.default", "avg_pool3d.default")
def avg_pool(call: Call) -> str:
    """The mean of a window."""
    attrs = _window(call)
    if call["divisor_override"] is not None:
        raise call.refuse("divisor_override is not supported")
    if any(attrs["padding"]) and not call["count_include_pad"]:
        raise call.refuse("a divisor that varies at the border (count_include_pad=False) is not supported")
    if attrs["ceil_mode"] and _overhangs(attrs, call["self"].shape):
        raise call.refuse(
            "a divisor that varies at the border (ceil_mode where the windows do not fit) is not supported"
        )
    whole = tuple(attrs["kernel"]) == tuple(call["self"].shape[-len(attrs["kernel"]) :])
    attrs |= {"taps": prod(attrs["kernel"]), "whole": whole}
    return call.emit(OpKind.AVG_POOL, [call.input("self")], attrs=attrs)


def _overhangs(attrs: dict[str, Any], shape: tuple[int, ...]) -> bool:
    """Whether the last window reaches beyond the padded input along some axis."""
    kernel = attrs["kernel"]
    padding = attrs["padding"] * len(kernel) if len(attrs["padding"]) == 1 else attrs["padding"]
    stride = attrs["stride"] * len(kernel) if len(attrs["stride"]) == 1 else attrs["stride"]
    sizes = shape[-len(kernel) :]
    return any((size + 2 * p - k) % s for size, p, k, s in zip(sizes, padding, kernel, stride, strict=True))


@handler("_adaptive_avg_pool2d.default", "adaptive_avg_pool2d.default", "_adaptive_avg_pool3d.default")
def adaptive_avg_pool(call: Call) -> str:
    """A windowed mean where the sizes divide; refused where windows would overlap."""
    size = list(call["self"].shape)[-len(call["output_size"]) :]
    out = [int(o) for o in call["output_size"]]
    if any(s % o for s, o in zip(size, out, strict=True)):
        raise call.refuse(
            f"an adaptive pool from {size} to {out} has unequal windows, which is not supported"
        )
    kernel = [s // o for s, o in zip(size, out, strict=True)]
    attrs = {"kernel": kernel, "stride": kernel, "padding": [0], "ceil_mode": False}
    attrs |= {"taps": prod(kernel), "whole": prod(out) == 1}
    return call.emit(OpKind.AVG_POOL, [call.input("self")], attrs=attrs)


def axes_of(call: Call) -> dict[str, Any]:
    """Attributes of a reduction over the axes of the call."""
    shape = call["self"].shape
    named = call.arguments.get("dim")
    axes = [named] if isinstance(named, int) else (named or range(len(shape)))
    axes = sorted(int(a) % len(shape) for a in axes)
    positions = range(
        2, len(shape)
    )  # (N, C, *positions); of three axes the second may be positions too (tokens)
    whole = bool(axes) and (set(axes) <= set(positions) or (len(shape) == 3 and axes == [1]))
    attrs = {"axes": axes, "keepdim": bool(call.arguments.get("keepdim", False))}
    return attrs | {"taps": prod(shape[a] for a in axes), "whole": whole}


@handler("mean")
def mean(call: Call) -> str:
    """The mean over axes; over positions it is the global average pool."""
    return call.emit(OpKind.AVG_POOL, [call.input("self")], attrs=axes_of(call))


@handler("sum")
def total(call: Call) -> str:
    """The sum over axes."""
    return call.emit(OpKind.SUM_POOL, [call.input("self")], attrs=axes_of(call))


@handler("amax.default", "max.dim", "max.default")
def amax(call: Call) -> list[str | None]:
    """The largest over axes."""
    return [call.emit(OpKind.MAX_POOL, [call.input("self")], attrs=axes_of(call))]
