"""Signs, thresholds, quantisers, comparisons, selections: plain in ONNX, quantisers in QONNX.

A sign of 0 is 0 where the network was written so (`at_zero`), in ONNX too. QONNX has signs of one bit: 0 becomes +1
there, as in hardware.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from abcost.core.kinds import OpKind
from abcost.core.node import OpNode
from abcost.core.transfer import decision
from abcost.onnx.types import BOOL, FLOAT
from abcost.onnx.write.draft import QONNX, Draft, Emit

_RELATIONS = {
    "gt": "Greater",
    "ge": "GreaterOrEqual",
    "lt": "Less",
    "le": "LessOrEqual",
    "eq": "Equal",
    "ne": "Equal",
}


def _decided(draft: Draft, node: OpNode) -> None:
    """One of two values by the side of the level on which x is; half-way between them at a 0 that torch.sign keeps."""
    low, high = decision(node)
    at_zero = int(node.attrs["at_zero"])
    if draft.dialect == "qonnx" and at_zero >= 0:
        _in_one_bit(draft, node, low, high)
        return
    x = _difference(draft, node)
    if at_zero:
        zero = draft.tensor(node, "zero", torch.tensor(0.0))
        values = [draft.tensor(node, role, torch.tensor(v)) for role, v in (("high", high), ("low", low))]
        above = draft.add(
            node, "GreaterOrEqual" if at_zero > 0 else "Greater", [x, zero], part="above", elements=BOOL
        )
        draft.add(node, "Where", [above, *values])
    elif (low, high) == (-1.0, 1.0):
        draft.add(node, "Sign", [x])
    else:
        half, middle = torch.tensor((high - low) / 2), torch.tensor((high + low) / 2)
        signs = draft.add(node, "Sign", [x], part="sign")
        scaled = draft.add(node, "Mul", [signs, draft.tensor(node, "half", half)], part="scaled")
        draft.add(node, "Add", [scaled, draft.tensor(node, "middle", middle)])


def _in_one_bit(draft: Draft, node: OpNode, low: float, high: float) -> None:
    """Write one bit as QONNX has it: a quantiser of one bit, or one threshold; 0 is on the upper side."""
    if node.kind is OpKind.SIGN and (low, high) == (-1.0, 1.0):
        one = draft.tensor(node, "step", torch.tensor(1.0))
        draft.add(node, "BipolarQuant", [*draft.reads(node), one], domain=QONNX)
    else:
        _counted(draft, node, _level(node), _gain(node), high - low, low)


def _difference(draft: Draft, node: OpNode) -> str:
    """(x - level) * gain, of which the sign decides."""
    (x,) = draft.reads(node)
    if "level" in node.consts:
        x = draft.add(node, "Sub", [x, draft.constant(node, "level")], part="difference")
    if "gain" in node.consts:
        x = draft.add(node, "Mul", [x, draft.constant(node, "gain")], part="turned")
    return x


def _level(node: OpNode) -> torch.Tensor:
    """One threshold, before those that broadcast: (1, …)."""
    return node.consts["level"].real()[None] if "level" in node.consts else torch.zeros(1)


def _gain(node: OpNode) -> torch.Tensor | None:
    return node.consts["gain"].real()[None] if "gain" in node.consts else None


def _quantise(draft: Draft, node: OpNode) -> None:
    """Offset + step * (number of thresholds that x reaches, each on the side that its gain says)."""
    levels = node.consts["levels"].real()
    gain = node.consts["gain"].real() if "gain" in node.consts else None
    step, offset = float(node.attrs["step"]), float(node.attrs["offset"])
    if draft.dialect == "qonnx":
        _counted(draft, node, levels, gain, step, offset)
        return
    (x,), shape = draft.reads(node), (len(levels), *node.shape)
    wide = draft.add(
        node, "Unsqueeze", [x, draft.numbers(node, "axis", [0])], part="wide", shape=(1, *node.shape)
    )
    levels = _aligned(levels, len(node.shape))
    if gain is None:
        level = draft.tensor(node, "levels", levels)
    else:
        gains = _aligned(gain, len(node.shape))
        wide = draft.add(node, "Mul", [wide, draft.tensor(node, "gains", gains)], part="turned", shape=shape)
        level = draft.tensor(node, "levels", levels * gains)
    reached = draft.add(node, "GreaterOrEqual", [wide, level], part="reached", shape=shape, elements=BOOL)
    counts = draft.add(node, "Cast", [reached], part="flags", shape=shape, to=FLOAT)
    count = draft.add(node, "ReduceSum", [counts, f"{node.name}:axis"], part="count", keepdims=0)
    scaled = draft.add(node, "Mul", [count, draft.tensor(node, "step", torch.tensor(step))], part="scaled")
    draft.add(node, "Add", [scaled, draft.tensor(node, "offset", torch.tensor(offset))])


def _aligned(values: torch.Tensor, rank: int) -> torch.Tensor:
    """(levels, …) with as many axes behind the first as the value has."""
    return values.reshape(values.shape[0], *[1] * (rank + 1 - values.dim()), *values.shape[1:])


def _counted(
    draft: Draft, node: OpNode, levels: torch.Tensor, gain: torch.Tensor | None, step: float, offset: float
) -> None:
    """Thresholds that x reaches, times step, plus offset, as QONNX counts them: thresholds (channels or 1, levels)."""
    (x,), rank = draft.reads(node), len(node.shape)
    levels = _aligned(levels, rank)
    if gain is not None:  # (x - level) * g >= 0 where x * g >= level * g, g being 1 or -1
        signs = _aligned(gain, rank)[:1]
        if not bool((_aligned(gain, rank) == signs).all()):
            raise draft.refuse(node, "its thresholds of one channel look in both directions")
        levels = levels * signs
        x = draft.add(node, "Mul", [x, draft.tensor(node, "gain", signs[0])], part="turned")
    channels = 1 if levels[0].numel() == 1 else node.shape[1] if rank > 1 else 0
    if levels[0].numel() != channels or (channels > 1 and levels.shape[2] != channels):
        raise draft.refuse(node, "its thresholds are not of channels")
    table = draft.tensor(
        node, "thresholds", levels.reshape(len(levels), channels).t().contiguous().sort(dim=1)[0]
    )
    named = {2: "NC", 3: "NCW", 4: "NCHW"}
    kind = "BIPOLAR" if (step, offset, len(levels)) == (2.0, -1.0, 1) else "FLOAT32"
    layout: dict[str, Any] = {"data_layout": named[rank]} if rank in named else {}
    draft.add(
        node, "MultiThreshold", [x, table], domain=QONNX, out_scale=step, out_bias=offset, out_dtype=kind, **layout
    )  # fmt: skip


def _compare(draft: Draft, node: OpNode) -> None:
    """One bit, which selections read as a flag, and arithmetic as 0 or 1."""
    other = [draft.constant(node, "level")] if "level" in node.consts else []
    relation = node.attrs["relation"]
    flag = draft.add(
        node, _RELATIONS[relation], [*draft.reads(node), *other], part="equal" if relation == "ne" else "flag",
        elements=BOOL,
    )  # fmt: skip
    if relation == "ne":
        flag = draft.add(node, "Not", [flag], part="flag", elements=BOOL)
    if any(user.kind is not OpKind.SELECT for user in draft.graph.users(node)) or _chosen(draft, node):
        draft.add(node, "Cast", [flag], to=FLOAT)


def _chosen(draft: Draft, node: OpNode) -> bool:
    """Whether a selection reads the bit as one of its values."""
    return any(
        name == node.name
        for user in draft.graph.users(node)
        for slot, name in enumerate(draft.graph.inputs(user.name))
        if slot or "condition" in user.consts
    )


def _select(draft: Draft, node: OpNode) -> None:
    feed, sources = iter(draft.reads(node)), draft.graph.sources(node)
    found = [
        draft.constant(node, role) if role in node.consts else next(feed)
        for role in ("condition", "self", "other")
    ]
    if "condition" not in node.consts and sources[0].kind is OpKind.COMPARE:
        found[0] = f"{sources[0].name}:flag"
    else:
        found[0] = draft.add(node, "Cast", [found[0]], part="condition", to=BOOL, elements=BOOL)
    draft.add(node, "Where", found)


DECISIONS: Mapping[OpKind, Emit] = {
    OpKind.SIGN: _decided,
    OpKind.THRESHOLD: _decided,
    OpKind.QUANTISE: _quantise,
    OpKind.COMPARE: _compare,
    OpKind.SELECT: _select,
}
