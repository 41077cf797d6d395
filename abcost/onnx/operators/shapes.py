"""Operators that ask for shapes, make constants, or change types."""

from __future__ import annotations

from math import prod

import torch

from abcost.onnx.op import Op
from abcost.onnx.registry import operator

_FLOATING = frozenset({1, 10, 11, 16})  # TensorProto: float, float16, double, bfloat16
_WHOLE = frozenset({2, 3, 4, 5, 6, 7, 12, 13})  # (u)int8, (u)int16, (u)int32, (u)int64
_BOOL = 9


@operator("Shape")
def shape(op: Op) -> torch.Tensor:
    """Sizes, which are constants here."""
    sizes = list(op[0].shape)
    return torch.tensor(sizes[op.attr("start", 0) : op.attr("end", len(sizes))], dtype=torch.int64)


@operator("Size")
def size(op: Op) -> torch.Tensor:
    """Number of elements."""
    return torch.tensor(prod(op[0].shape), dtype=torch.int64)


@operator("Identity")
def identity(op: Op) -> torch.Tensor:
    """X."""
    return op[0]


@operator("Cast")
def cast(op: Op) -> torch.Tensor:
    """Cast; between floating types nothing changes, as the analysis has one floating type."""
    to = int(op.attr("to", 0))
    if to in _FLOATING:
        return op[0] if op[0].is_floating_point() else op[0].to(op.dtype)
    if to == _BOOL:
        return op[0] if op[0].dtype == torch.bool else op[0] != 0
    if to in _WHOLE:
        return op[0] if _whole(op[0]) else op[0].to(torch.int64)
    raise op.refuse(f"a cast to type {to} is not supported")


@operator("CastLike")
def cast_like(op: Op) -> torch.Tensor:
    """A cast to the type of the second input."""
    return op[0] if op[0].is_floating_point() and op[1].is_floating_point() else op[0].to(op[1].dtype)


def _whole(x: torch.Tensor) -> bool:
    return not x.is_floating_point() and x.dtype != torch.bool


@operator("ConstantOfShape")
def constant_of_shape(op: Op) -> torch.Tensor:
    """One value, everywhere."""
    value = op.attr("value")
    value = torch.zeros(1, dtype=op.dtype) if value is None else value
    return value.reshape(-1)[:1].expand(op.fits(op.ints(0) or [])).clone().reshape(op.ints(0) or [])


@operator("Range")
def arange(op: Op) -> torch.Tensor:
    """Numbers from start to limit, in steps of delta."""
    start, limit, step = op.number(0), op.number(1), op.number(2)
    if start is None or limit is None or not step:
        raise op.refuse("start, limit and a delta other than 0 are needed")
    op.fits([max(0, int((limit - start) / step))])
    return torch.arange(start, limit, step).to(op[0].dtype)
