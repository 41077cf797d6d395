"""Pools and reductions."""

from __future__ import annotations

from math import prod
from typing import Any

import torch

from abcost.core.kinds import OpKind
from abcost.trace.constants import constant
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
    """The mean of a window: one divisor for all, or at each position the number that torch divides by there."""
    attrs = _window(call)
    sizes = tuple(call["self"].shape[-len(attrs["kernel"]) :])
    attrs |= {"taps": prod(attrs["kernel"]), "whole": tuple(attrs["kernel"]) == sizes}
    override = call["divisor_override"]
    if override is not None:
        total = call.emit(OpKind.SUM_POOL, [call.input("self")], attrs=attrs)
        return _divided(call, total, torch.tensor(float(override), dtype=torch.float64))
    divisors = _divisors(attrs, sizes, call.shapes[0], count_padding=bool(call["count_include_pad"]))
    if bool((divisors == attrs["taps"]).all()):
        return call.emit(OpKind.AVG_POOL, [call.input("self")], attrs=attrs)
    return _divided(call, call.emit(OpKind.SUM_POOL, [call.input("self")], attrs=attrs), divisors)


def _divided(call: Call, total: str, divisors: torch.Tensor) -> str:
    """Total / divisors, a scale by constants that belongs to the pool; divisors: (*positions)."""
    if bool((divisors == 1).all()):
        return total
    factor = {"factor": constant(1.0 / divisors, call.shapes[0], call.shapes[0])}
    return call.emit(OpKind.SCALE, [total], attrs={"role": "avg_pool"}, consts=factor)


def _divisors(
    attrs: dict[str, Any], sizes: tuple[int, ...], out: tuple[int, ...], *, count_padding: bool
) -> torch.Tensor:
    """Elements of each window that torch counts: within the padded input, or within the input itself. (*positions)."""
    divisors = torch.ones((), dtype=torch.float64)
    axes = len(sizes)
    for axis, (size, positions) in enumerate(zip(sizes, out[-axes:], strict=True)):
        kernel, stride, padding = (_of_axis(attrs[name], axis) for name in ("kernel", "stride", "padding"))
        start = torch.arange(positions) * stride - padding
        end = (start + kernel).clamp(max=size + padding)
        if not count_padding:
            start, end = start.clamp(min=0), end.clamp(max=size)
        divisors = divisors[..., None] * (end - start)
    return divisors


def _of_axis(values: list[int], axis: int) -> int:
    """Torch writes one value for all axes."""
    return values[axis] if len(values) > 1 else values[0]


@handler("_adaptive_avg_pool2d.default", "adaptive_avg_pool2d.default", "_adaptive_avg_pool3d.default")
def adaptive_avg_pool(call: Call) -> str:
    """The mean of windows i * size // out to ceil((i + 1) * size / out), of equal or unequal sizes."""
    attrs = _adaptive(call)
    if "windows" not in attrs:
        return call.emit(OpKind.AVG_POOL, [call.input("self")], attrs=attrs)
    divisors = torch.ones((), dtype=torch.float64)
    for windows in attrs["windows"]:
        divisors = divisors[..., None] * torch.tensor([end - start for start, end in windows])
    return _divided(call, call.emit(OpKind.SUM_POOL, [call.input("self")], attrs=attrs), divisors)


@handler("adaptive_max_pool2d.default", "adaptive_max_pool3d.default")
def adaptive_max_pool(call: Call) -> list[str | None]:
    """The largest of windows i * size // out to ceil((i + 1) * size / out); its index output has no node."""
    attrs = _adaptive(call)
    attrs |= {} if "windows" in attrs else {"dilation": [1] * len(attrs["kernel"])}
    return [call.emit(OpKind.MAX_POOL, [call.input("self")], attrs=attrs)]


def _adaptive(call: Call) -> dict[str, Any]:
    """Attributes of a pool of equal windows side by side, or `windows` per axis.

    taps: elements of a window; of the largest one where they are unequal.
    """
    out = [int(o) for o in call["output_size"]]
    sizes = list(call["self"].shape)[-len(out) :]
    if all(size % o == 0 for size, o in zip(sizes, out, strict=True)):
        kernel = [size // o for size, o in zip(sizes, out, strict=True)]
        attrs = {"kernel": kernel, "stride": kernel, "padding": [0], "ceil_mode": False}
        return attrs | {"taps": prod(kernel), "whole": prod(out) == 1}
    windows = [
        [[i * size // o, -(-(i + 1) * size // o)] for i in range(o)]
        for size, o in zip(sizes, out, strict=True)
    ]
    largest = [max(end - start for start, end in axis) for axis in windows]
    return {"windows": windows, "taps": prod(largest), "whole": False}


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


@handler("amin.default", "min.dim", "min.default")
def amin(call: Call) -> list[str | None]:
    """The smallest over axes: the largest of the negated ones, negated."""
    negated = call.emit(OpKind.NEGATE, [call.input("self")], shape=tuple(call["self"].shape))
    return [call.emit(OpKind.NEGATE, [call.emit(OpKind.MAX_POOL, [negated], attrs=axes_of(call))])]
