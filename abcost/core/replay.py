"""Calls that a node may carry and the interpreter may run again: a closed list, and what this process registered.

A node of kind WIRING, FUNCTION, SOFTMAX, NORM or LOOKUP keeps the call it was traced from in `attrs`:
`aten` (name), `args` (JSON; `{"in": slot}` stands for an input, `{"const": role}` for a constant).
Graph files are data: a name outside this list is refused, never looked up, unless code of this process (a handler in
the user's own file) has registered it with what it runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from abcost.errors import GraphError, one_line

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
        "upsample_nearest1d.default",
        "upsample_nearest3d.default",
        "_upsample_nearest_exact1d.default",
        "_upsample_nearest_exact2d.default",
        "_upsample_nearest_exact3d.default",
        "reflection_pad1d.default",
        "replication_pad1d.default",
        "reflection_pad3d.default",
        "replication_pad3d.default",
        "unsafe_split.Tensor",
        "unsafe_split_with_sizes.default",
        "diagonal.default",
        "rot90.default",
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
        "div.Tensor_mode",
        "atan.default",
        "tan.default",
        "asin.default",
        "acos.default",
        "sinh.default",
        "cosh.default",
        "atan2.default",
        "log2.default",
        "log10.default",
        "exp2.default",
        "expm1.default",
        "erfc.default",
        "hypot.default",
        "celu.default",
        "logit.default",
        "remainder.Scalar",
        "remainder.Tensor",
        "fmod.Scalar",
        "fmod.Tensor",
        "pow.Scalar",
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
_REGISTERED: dict[str, Callable[..., Any]] = {}


def register_replay(name: str, run: Callable[..., Any]) -> None:
    """Let graphs of this process run `run` for a call recorded under `name`.

    name: as in `attrs["aten"]`, "cumsum.default" or "mylib::cube.default"; without an overload it stands for all.
    run: takes the call's arguments, in the schema's order, tensors in float64; returns a tensor or a sequence of them.
    Raises GraphError for a name of abcost's own list.
    """
    if name in REPLAYABLE:
        raise GraphError(f"aten.{name} has a replay already; leave `replay` out")
    _REGISTERED[name] = run


def _operator(name: str) -> Callable[..., Any]:
    """What is run for the name. Raises GraphError for one outside the lists."""
    if name in REPLAYABLE:
        packet, overload = _ANY_LAYOUT.get(name, name).split(".")
        return getattr(getattr(torch.ops.aten, packet), overload)  # type: ignore[no-any-return]
    registered = _REGISTERED.get(name) or _REGISTERED.get(name.partition(".")[0])
    if registered is None:
        shown = name if "::" in name else f"aten.{name}"
        raise GraphError(
            f"the graph asks to run {shown}, which is not one of the replayable operators; the handler of an operator "
            "of your own says what runs it: abcost.trace.handler(…, replay=…)"
        )
    return registered


def replay(
    attrs: Mapping[str, Any], inputs: Sequence[torch.Tensor], consts: Mapping[str, torch.Tensor]
) -> torch.Tensor:
    """Run the recorded call on these tensors. Raises GraphError for a name outside the list."""
    name = str(attrs["aten"])
    operator = _operator(name)

    def fill(item: Any) -> Any:
        if isinstance(item, Mapping):
            return inputs[item["in"]] if "in" in item else consts[item["const"]]
        if isinstance(item, list | tuple):
            return [fill(part) for part in item]
        return item

    values = fill(attrs["args"])
    schema = getattr(operator, "_schema", None)  # a function of the user's takes all by position
    named = (
        {a.name: v for a, v in zip(schema.arguments, values, strict=False) if a.kwarg_only} if schema else {}
    )
    try:
        result = operator(*values[: len(values) - len(named)], **named)
    except Exception as error:
        if name in REPLAYABLE:
            raise
        raise GraphError(
            f"the replay of {name} raised {type(error).__name__}: {one_line(error)}; mend it where its handler is "
            "registered"
        ) from error
    while isinstance(result, list | tuple):
        result = result[int(attrs.get("item", 0))]
    if not isinstance(result, torch.Tensor):
        raise GraphError(f"{name} gave no tensor")
    return result
