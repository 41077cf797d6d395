"""Resize and its older forms: nearest neighbours of any size, linear and cubic interpolation as torch has them.

Where output element i of an axis is looked for in the input, by coordinate_transformation_mode (ONNX's specification):

    half_pixel:      (i + 0.5) / s - 0.5        asymmetric:      i / s
    align_corners:   i (n_in - 1) / (n_out - 1) pytorch_half_pixel: as half_pixel, 0 where n_out is 1
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F

from abcost.onnx.op import Op
from abcost.onnx.registry import operator

RESIZE_BY_REGION = 11
"""Operator set from which Resize has a region of interest and modes; before it looks at i / s."""
_ROUNDED: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "round_prefer_floor": lambda x: torch.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: torch.floor(x + 0.5),
    "floor": torch.floor,
    "ceil": torch.ceil,
}
_SIMPLE = "simple"
"""What onnxruntime does before operator set 11, which does not say: down where an axis grows, up where it shrinks."""
_INTERPOLATED = {("linear", 3): "linear", ("linear", 4): "bilinear", ("cubic", 4): "bicubic"}


@operator("Upsample")
def upsample(op: Op) -> torch.Tensor:
    """Nearest, by scales; element i is looked for at i / s."""
    return _by_scales(op)


def _by_scales(op: Op) -> torch.Tensor:
    scales = op[1].tolist() if op.get(1) is not None else list(op.attr("scales") or [])
    return _resized(op, _sizes(op, scales), scales, op.attr("mode", "nearest"), "asymmetric", _SIMPLE)


@operator("Resize")
def resize(op: Op) -> torch.Tensor:
    """Resize by scales or to sizes, with the modes of the operator set."""
    if op.version < RESIZE_BY_REGION:
        return _by_scales(op)
    _refuse_rare(op)
    given, sizes = op.get(2), op.ints(3)
    axes = op.attr("axes")
    scales = [] if given is None else [float(x) for x in given.flatten().tolist()]
    old = list(op[0].shape)
    if axes is not None:
        axes = [axis % len(old) for axis in axes]
        if len(axes) != len(sizes or scales):
            raise op.refuse("sizes or scales do not fit the axes")
        if sizes:
            sizes = [sizes[axes.index(i)] if i in axes else size for i, size in enumerate(old)]
        else:
            scales = [scales[axes.index(i)] if i in axes else 1.0 for i in range(len(old))]
    if sizes:
        scales = [new / size for new, size in zip(sizes, old, strict=True)]
    else:
        sizes = _sizes(op, scales)
    transformation = op.attr("coordinate_transformation_mode", "half_pixel")
    return _resized(
        op,
        sizes,
        scales,
        op.attr("mode", "nearest"),
        transformation,
        op.attr("nearest_mode", "round_prefer_floor"),
    )


def _refuse_rare(op: Op) -> None:
    for name in ("antialias", "exclude_outside"):
        if op.attr(name, 0):
            raise op.refuse(f"{name} 1 is not supported")
    if op.attr("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise op.refuse("only keep_aspect_ratio_policy stretch is supported")


def _sizes(op: Op, scales: Sequence[float]) -> list[int]:
    if len(scales) != op[0].dim() or not all(0 < scale < 2**31 for scale in scales):
        raise op.refuse(
            f"scales {list(scales)[:8]} are not one number above 0 for each of {op[0].dim()} axes"
        )
    return [int(size * scale) for size, scale in zip(op[0].shape, scales, strict=True)]


def _resized(
    op: Op, sizes: Sequence[int], scales: Sequence[float], mode: str, transformation: str, nearest: str
) -> torch.Tensor:
    x = op[0]
    op.fits(sizes)
    if mode == "nearest":
        return _nearest(op, x, sizes, scales, transformation, nearest)
    key = (mode, x.dim())
    exact = all(int(new / old * old) == new for new, old in zip(sizes, x.shape, strict=True))
    fits = exact and transformation in ("half_pixel", "pytorch_half_pixel", "align_corners")
    fits = (
        fits and (transformation != "half_pixel" or min(sizes) > 0) and list(sizes[:2]) == list(x.shape[:2])
    )
    cubic = mode != "cubic" or float(op.attr("cubic_coeff_a", -0.75)) == -0.75
    whole = all(s * old == new for s, old, new in zip(scales, x.shape, sizes, strict=True))
    if key not in _INTERPOLATED or not fits or not cubic or not (whole or op.ints(3)):
        raise op.refuse(
            f"mode {mode!r} with {transformation!r} from {_text(x.shape)} to {_text(sizes)} is not supported: linear "
            "on 3 or 4 axes and cubic on 4 are, by half_pixel or align_corners, of the axes behind the first two"
        )
    corners = transformation == "align_corners"
    real = x if x.is_floating_point() else x.to(op.dtype)
    return F.interpolate(real, size=list(sizes[2:]), mode=_INTERPOLATED[key], align_corners=corners)


def _nearest(
    op: Op, x: torch.Tensor, sizes: Sequence[int], scales: Sequence[float], transformation: str, nearest: str
) -> torch.Tensor:
    """Every axis by the numbers of the elements that it takes; whole factors of one or two axes are torch's own."""
    if nearest not in _ROUNDED and nearest != _SIMPLE:
        raise op.refuse(f"nearest_mode {nearest!r} is not one of {', '.join(sorted(_ROUNDED))}")
    taken = [
        _taken(op, old, new, scale, transformation, nearest)
        for old, new, scale in zip(x.shape, sizes, scales, strict=True)
    ]
    if _repeats(x.shape, sizes, taken) and list(sizes[:2]) == list(x.shape[:2]) and x.dim() in (3, 4, 5):
        if x.is_floating_point():
            return F.interpolate(x, size=list(sizes[2:]), mode="nearest")
        return F.interpolate(x.to(torch.float64), size=list(sizes[2:]), mode="nearest").to(torch.int64)
    for axis, index in enumerate(taken):
        if index.tolist() != list(range(x.shape[axis])):
            x = torch.index_select(x, axis, index)
    return x


def _taken(op: Op, old: int, new: int, scale: float, transformation: str, nearest: str) -> torch.Tensor:
    """Which element of the input each element of the output is."""
    place = torch.arange(new, dtype=torch.float64)
    match transformation:
        case "half_pixel" | "pytorch_half_pixel":
            place = (place + 0.5) / scale - 0.5
            place = place * 0 if transformation == "pytorch_half_pixel" and new == 1 else place
        case "asymmetric":
            place = place / scale
        case "align_corners":
            place = place * (old - 1) / (new - 1) if new > 1 else place * 0
        case _:
            raise op.refuse(f"coordinate_transformation_mode {transformation!r} is not supported")
    rounding = _ROUNDED["ceil" if scale < 1 else "floor"] if nearest == _SIMPLE else _ROUNDED[nearest]
    return torch.clamp(rounding(place), 0, old - 1).to(torch.int64)


def _repeats(old: Sequence[int], new: Sequence[int], taken: Sequence[torch.Tensor]) -> bool:
    """Whether every element is repeated equally often."""
    return all(
        size and n % size == 0 and index.tolist() == [i // (n // size) for i in range(n)]
        for size, n, index in zip(old, new, taken, strict=True)
    )


def _text(sizes: Sequence[int]) -> str:
    return "x".join(map(str, sizes))
