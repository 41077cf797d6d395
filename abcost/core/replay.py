"""ATen calls that a node may carry and the interpreter may run again: a closed list.

A node of kind WIRING, FUNCTION, SOFTMAX, NORM or LOOKUP keeps the call it was traced from in `attrs`:
`aten` (name), `args` (JSON; `{"in": slot}` stands for an input, `{"const": role}` for a constant).
Graph files are data: a name outside this list is refused, never looked up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from abcost.errors import GraphError

WIRING = frozenset(
    [
        "view.default",
        "_unsafe_view.default",
        "reshape.default",
        "permute.default",
        "transpose.int",
        "t.default",
        "unsqueeze.default",
        "squeeze.default",
        "squeeze.dim",
        "squeeze.dims",
        "expand.default",
        "slice.Tensor",
        "select.int",
        "split.Tensor",
        "split_with_sizes.default",
        "unbind.int",
        "cat.default",
        "stack.default",
        "constant_pad_nd.default",
        "flip.default",
        "roll.default",
        "repeat.default",
        "upsample_nearest2d.default",
        "upsample_nearest2d.vec",
        "pixel_shuffle.default",
        "pixel_unshuffle.default",
        "reflection_pad2d.default",
        "replication_pad2d.default",
        "index_select.default",
        "im2col.default",
        "unfold.default",
        "channel_shuffle.default",
    ]
)
FUNCTIONS = frozenset(
    [
        "exp.default",
        "log.default",
        "log1p.default",
        "sqrt.default",
        "rsqrt.default",
        "sigmoid.default",
        "tanh.default",
        "gelu.default",
        "silu.default",
        "mish.default",
        "erf.default",
        "elu.default",
        "softplus.default",
        "hardsigmoid.default",
        "hardswish.default",
        "sin.default",
        "cos.default",
        "reciprocal.default",
        "abs.default",
        "floor.default",
        "ceil.default",
        "round.default",
        "trunc.default",
        "pow.Tensor_Scalar",
        "pow.Tensor_Tensor",
        "div.Tensor",
        "atan.default",
        "log_sigmoid_forward.default",
    ]
)
COMPOSITES = frozenset(
    [
        "_softmax.default",
        "_safe_softmax.default",
        "_log_softmax.default",
        "native_layer_norm.default",
        "native_group_norm.default",
        "embedding.default",
    ]
)
_ANY_LAYOUT = {"view.default": "reshape.default", "_unsafe_view.default": "reshape.default"}
"""A view asks for a memory layout, which is the traced tensor's and need not be the replayed one's."""
REPLAYABLE = WIRING | FUNCTIONS | COMPOSITES


def replay(
    attrs: Mapping[str, Any], inputs: Sequence[torch.Tensor], consts: Mapping[str, torch.Tensor]
) -> torch.Tensor:
    """Run the recorded call on these tensors. Raises GraphError for a name outside the list."""
    name = str(attrs["aten"])
    if name not in REPLAYABLE:
        raise GraphError(f"the graph asks to run aten.{name}, which is not one of the replayable operators")

    def fill(item: Any) -> Any:
        if isinstance(item, Mapping):
            return inputs[item["in"]] if "in" in item else consts[item["const"]]
        if isinstance(item, list | tuple):
            return [fill(part) for part in item]
        return item

    packet, overload = _ANY_LAYOUT.get(name, name).split(".")
    operator = getattr(getattr(torch.ops.aten, packet), overload)
    values = fill(attrs["args"])
    named = {a.name: v for a, v in zip(operator._schema.arguments, values, strict=False) if a.kwarg_only}  # noqa: SLF001
    result = operator(*values[: len(values) - len(named)], **named)
    while isinstance(result, list | tuple):
        result = result[int(attrs.get("item", 0))]
    if not isinstance(result, torch.Tensor):
        raise GraphError(f"aten.{name} gave no tensor")
    return result
