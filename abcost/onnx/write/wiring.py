"""What moves elements and computes nothing, and rows of tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import accumulate
from typing import Any

from abcost.core.kinds import OpKind
from abcost.core.node import OpNode
from abcost.onnx.write.arithmetic import operand
from abcost.onnx.write.draft import Draft, Emit

_SAME_ORDER = frozenset(
    f"{name}.{overload}"
    for name, overload in (
        ("view", "default"), ("_unsafe_view", "default"), ("reshape", "default"), ("unsqueeze", "default"),
        ("squeeze", "default"), ("squeeze", "dim"), ("squeeze", "dims"),
    )
)  # fmt: skip
"""Calls that give the elements another shape."""

_END = 2**62  # of a slice that goes to the end


def _wiring(draft: Draft, node: OpNode) -> None:
    name = str(node.attrs["aten"])
    if name in _SAME_ORDER:
        draft.add(node, "Reshape", [*draft.reads(node), draft.numbers(node, "shape", node.shape)])
    elif name in _CALLS:
        _CALLS[name](draft, node, list(node.attrs["args"]))
    else:
        raise draft.refuse(node, f"aten.{name} has no form in it that abcost knows")


def _argument(args: list[Any], place: int, default: Any) -> Any:
    return default if len(args) <= place or args[place] is None else args[place]


def _permute(draft: Draft, node: OpNode, args: list[Any]) -> None:
    rank = len(node.shape)
    draft.add(node, "Transpose", draft.reads(node), perm=[axis % rank for axis in args[1]])


def _transpose(draft: Draft, node: OpNode, args: list[Any]) -> None:
    order = list(range(len(node.shape)))
    if order:
        one, other = (int(_argument(args, i, i - 1)) % len(order) for i in (1, 2))
        order[one], order[other] = order[other], order[one]
    draft.add(node, "Transpose", draft.reads(node), perm=order)


def _expand(draft: Draft, node: OpNode, _args: list[Any]) -> None:
    draft.add(node, "Expand", [*draft.reads(node), draft.numbers(node, "shape", node.shape)])


def _cut(draft: Draft, node: OpNode, axis: int, start: int, end: int, step: int = 1, part: str = "") -> str:
    places = [
        draft.numbers(node, role, [value])
        for role, value in (("start", start), ("end", end), ("axis", axis), ("step", step))
    ]
    shape = list(draft.graph.sources(node)[0].shape)
    shape[axis] = len(range(*slice(start, end, step).indices(shape[axis])))
    return draft.add(node, "Slice", [draft.reads(node)[0], *places], part=part, shape=shape)


def _slice(draft: Draft, node: OpNode, args: list[Any]) -> None:
    axis, start, end, step = (int(_argument(args, i, v)) for i, v in ((1, 0), (2, 0), (3, _END), (4, 1)))
    _cut(draft, node, axis, start, min(end, _END), step)


def _one(draft: Draft, node: OpNode, axis: int, index: int) -> None:
    """One place of an axis, which is gone then."""
    size = draft.graph.sources(node)[0].shape[axis]
    cut = _cut(draft, node, axis, index % size, index % size + 1, part="slice")
    draft.add(node, "Reshape", [cut, draft.numbers(node, "shape", node.shape)])


def _select(draft: Draft, node: OpNode, args: list[Any]) -> None:
    _one(draft, node, int(args[1]), int(args[2]))


def _unbind(draft: Draft, node: OpNode, args: list[Any]) -> None:
    _one(draft, node, int(_argument(args, 1, 0)), int(node.attrs.get("item", 0)))


def _split(draft: Draft, node: OpNode, args: list[Any]) -> None:
    axis, item = int(_argument(args, 2, 0)), int(node.attrs.get("item", 0))
    if isinstance(args[1], int):
        start, size = item * args[1], args[1]
    else:
        start, size = [0, *accumulate(args[1])][item], args[1][item]
    _cut(draft, node, axis, start, start + size)


def _cat(draft: Draft, node: OpNode, args: list[Any]) -> None:
    parts = [operand(draft, node, part, f"part{i}") for i, part in enumerate(args[0])]
    draft.add(node, "Concat", parts, axis=int(_argument(args, 1, 0)))


def _pad(draft: Draft, node: OpNode, args: list[Any]) -> None:
    """A border: torch counts pairs from the last axis, ONNX all that stand in front, then all that stand behind."""
    pairs = list(zip(args[1][::2], args[1][1::2], strict=True))
    pairs = [*[(0, 0)] * (len(node.shape) - len(pairs)), *reversed(pairs)]
    sizes = draft.numbers(node, "pads", [before for before, _ in pairs] + [behind for _, behind in pairs])
    value = operand(draft, node, _argument(args, 2, 0.0), "value")
    draft.add(node, "Pad", [*draft.reads(node), sizes, value])


def _lookup(draft: Draft, node: OpNode) -> None:
    """A row of a table for each whole number."""
    if node.attrs["aten"] != "embedding.default":
        raise draft.refuse(node, f"aten.{node.attrs['aten']} has no form in it that abcost knows")
    table, rows = node.attrs["args"][:2]
    if "const" not in table or "in" not in rows:
        raise draft.refuse(node, "its table is computed")
    numbers = draft.graph.inputs(node.name)[rows["in"]]
    if draft.graph.node(numbers).kind is not OpKind.INPUT:
        raise draft.refuse(node, "its rows are computed")
    draft.add(node, "Gather", [draft.constant(node, table["const"]), numbers], axis=0)


_CALLS: Mapping[str, Callable[[Draft, OpNode, list[Any]], object]] = {
    "permute.default": _permute,
    "transpose.int": _transpose,
    "t.default": _transpose,
    "expand.default": _expand,
    "slice.Tensor": _slice,
    "select.int": _select,
    "unbind.int": _unbind,
    "split.Tensor": _split,
    "split_with_sizes.default": _split,
    "cat.default": _cat,
    "constant_pad_nd.default": _pad,
}

WIRING: Mapping[OpKind, Emit] = {OpKind.WIRING: _wiring, OpKind.LOOKUP: _lookup}
