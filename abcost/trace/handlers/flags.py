"""Casts, and logic on flags (values 0 and 1).

AND, OR and XOR of two flags are selects and comparisons of one bit; no product is made of them.
"""

from __future__ import annotations

import torch

from abcost.core.kinds import OpKind
from abcost.core.node import OpNode
from abcost.trace.handlers.pools import axes_of
from abcost.trace.operand import Made, Operand, compare, function, operand, result, select
from abcost.trace.registry import handler
from abcost.trace.tracer import Call, Tracer

_ZERO, _ONE = torch.tensor(0.0, dtype=torch.float64), torch.tensor(1.0, dtype=torch.float64)
_ROUNDED = frozenset({"round.default", "floor.default", "ceil.default", "trunc.default"})
_KEEP_WHOLE = frozenset(
    {
        OpKind.WIRING, OpKind.MAX_POOL, OpKind.SUM_POOL, OpKind.NEGATE, OpKind.ADD, OpKind.SUBTRACT, OpKind.MULTIPLY,
        OpKind.ADD_CONST, OpKind.SCALE, OpKind.SELECT, OpKind.EXTREMUM, OpKind.CLAMP,
    }
)  # fmt: skip
"""Kinds whose result is whole if their inputs, constants and limits are."""


@handler("_to_copy", "to.dtype")
def cast(call: Call) -> str:
    """The value in another type.

    Between floating types, and from whole numbers to them, nothing happens: the fixed-point data path has its own type.
    To bool it is the comparison with 0. To integers a value that is not known to be whole is cut towards zero; values
    are taken to fit the type.
    """
    dtype, x = call["dtype"], call["self"]
    if not isinstance(dtype, torch.dtype) or dtype.is_floating_point or x.dtype is torch.bool:
        return call.input("self")
    if dtype.is_complex:
        raise call.refuse(f"a cast to {dtype} is not supported")
    if dtype is torch.bool:
        return result(compare(call, operand(x), "ne", _ZERO))
    if not x.dtype.is_floating_point or is_whole(call, call.input("self")):
        return call.input("self")
    return result(function(call, operand(x), "trunc.default"))  # type: ignore[arg-type]


def is_whole(call: Call, name: str) -> bool:
    """Whether every value of the node is known to be a whole number."""
    edit = call.recorder.edit
    todo, seen = [name], {name}
    while todo:
        name = todo.pop()
        node = edit.draft(name)
        if _makes_whole(node):
            continue
        if node.kind not in _KEEP_WHOLE or not _holds_whole(node):
            return False
        condition = (
            node.kind is OpKind.SELECT and "condition" not in node.consts
        )  # in the first slot; no value
        found = [source for source in edit.reads(name)[condition:] if source not in seen]
        seen.update(found)
        todo.extend(found)
    return True


def _makes_whole(node: OpNode) -> bool:
    if node.kind is OpKind.INPUT:
        return not str(node.attrs.get("dtype", "float")).startswith(("float", "bfloat"))
    return node.kind in (OpKind.SIGN, OpKind.COMPARE) or node.attrs.get("aten") in _ROUNDED


def _holds_whole(node: OpNode) -> bool:
    limits = [node.attrs[side] for side in ("min", "max")] if node.kind is OpKind.CLAMP else []
    padding = node.attrs["args"][2:] if node.attrs.get("aten") == "constant_pad_nd.default" else []
    numbers = torch.tensor([float(x) for x in (*limits, *padding) if x is not None], dtype=torch.float64)
    held = [constant.real() for constant in node.consts.values()]
    return all(bool((values == values.round()).all()) for values in (numbers, *held))


def _flag(call: Call, value: Operand, dtype: torch.dtype | None) -> Operand:
    """The value as a flag: itself if it is one, else whether it is not 0."""
    return value if dtype is torch.bool else compare(call, value, "ne", _ZERO)


def _flags(call: Call) -> tuple[Operand, Operand]:
    return _as_flag(call, "self"), _as_flag(call, "other")


def _as_flag(call: Call, role: str) -> Operand:
    value = call[role]
    if isinstance(value, Tracer):
        return _flag(call, operand(value), value.dtype)
    return torch.as_tensor(value != 0).double()


def _need_flags(call: Call) -> None:
    """Bitwise operators are those of flags; on integers they take numbers apart."""
    if call.name.startswith("bitwise") and call.dtype is not torch.bool:
        raise call.refuse(
            "bits of integers are not supported, only flags (bool); use comparisons or torch.floor"
        )


@handler("logical_and", "bitwise_and")
def both(call: Call) -> str:
    """A ? b : 0."""
    _need_flags(call)
    a, b = _flags(call)
    return result(select(call, a, b, _ZERO) if isinstance(a, Made) else select(call, b, a, _ZERO))


@handler("logical_or", "bitwise_or")
def either(call: Call) -> str:
    """A ? 1 : b."""
    _need_flags(call)
    a, b = _flags(call)
    return result(select(call, a, _ONE, b) if isinstance(a, Made) else select(call, b, _ONE, a))


@handler("logical_xor", "bitwise_xor")
def one_of_two(call: Call) -> str:
    """A != b."""
    _need_flags(call)
    a, b = _flags(call)
    return result(compare(call, a, "ne", b))


@handler("logical_not", "bitwise_not")
def opposite(call: Call) -> str:
    """Self == 0."""
    _need_flags(call)
    return result(compare(call, operand(call["self"]), "eq", _ZERO))


@handler("any.default", "any.dim", "any.dims", "all.default", "all.dim", "all.dims")
def over_axes(call: Call) -> str:
    """Whether any (all) of the flags along the axes are set: their largest (the opposite of the opposites' largest)."""
    flags = _as_flag(call, "self")
    found_all = call.name.startswith("all")
    if found_all:
        flags = compare(call, flags, "eq", _ZERO)
    largest = Made(call.emit(OpKind.MAX_POOL, [result(flags)], attrs=axes_of(call)), call.shapes[0])
    return result(compare(call, largest, "eq", _ZERO) if found_all else largest)
