"""Windows: largest values, means and sums."""

from __future__ import annotations

from collections.abc import Mapping
from math import log2, prod
from typing import Any

import torch

from abcost.core.kinds import OpKind
from abcost.core.node import OpNode
from abcost.onnx.write.draft import Draft, Emit


def mean(draft: Draft, pool: OpNode, result: OpNode) -> None:
    """The mean over the windows of a pool, as the value of `result`: padding counts as 0."""
    taps, inputs = int(pool.attrs["taps"]), draft.reads(pool)
    if "axes" in pool.attrs:
        draft.add(result, "ReduceMean", inputs, axes=list(pool.attrs["axes"]), keepdims=_kept(pool))
        return
    options = {**_windows(draft, pool, exact=True), "count_include_pad": 1}
    size = prod(pool.attrs["kernel"])
    average = draft.add(result, "AveragePool", inputs, part="" if size == taps else "average", **options)
    if size != taps:
        draft.add(result, "Mul", [average, draft.tensor(result, "share", torch.tensor(size / taps))])


def divides(node: OpNode, source: OpNode) -> bool:
    """Whether the node turns a sum over a window into the mean, which ONNX has an operator for."""
    if node.kind is not OpKind.SHIFT or source.kind is not OpKind.SUM_POOL or "windows" in source.attrs:
        return False
    return bool((node.consts["exponent"].real() == -log2(int(source.attrs["taps"]))).all())


def _sum_pool(draft: Draft, node: OpNode) -> None:
    """The sum, if anybody reads more of it than the mean (see `divides`)."""
    if all(divides(user, node) for user in draft.graph.users(node)):
        return
    if "axes" in node.attrs:
        axes = draft.numbers(node, "axes", node.attrs["axes"])
        draft.add(node, "ReduceSum", [*draft.reads(node), axes], keepdims=_kept(node))
        return
    options = {**_windows(draft, node, exact=True), "count_include_pad": 1}
    average = draft.add(node, "AveragePool", draft.reads(node), part="mean", **options)
    taps = draft.tensor(node, "taps", torch.tensor(float(prod(node.attrs["kernel"]))))
    draft.add(node, "Mul", [average, taps])


def _max_pool(draft: Draft, node: OpNode) -> None:
    a = node.attrs
    if "axes" in a:
        draft.add(node, "ReduceMax", draft.reads(node), axes=list(a["axes"]), keepdims=_kept(node))
        return
    options = {**_windows(draft, node, exact=False), "dilations": list(a["dilation"])}
    draft.add(node, "MaxPool", draft.reads(node), ceil_mode=int(a["ceil_mode"]), **options)


def _box_sum(draft: Draft, node: OpNode) -> None:
    """All that a convolution's window or a linear layer's row holds, channels included."""
    a, (x,) = node.attrs, draft.reads(node)
    if not a["kernel"]:
        draft.add(node, "ReduceSum", [x, draft.numbers(node, "axes", [-1])], keepdims=1)
        return
    channels = draft.graph.sources(node)[0].shape[1]
    ones = draft.tensor(node, "ones", torch.ones((1, channels, *a["kernel"])))
    draft.add(
        node, "Conv", [x, ones], strides=list(a["stride"]), pads=[*a["padding"], *a["padding"]],
        dilations=list(a["dilation"]), kernel_shape=list(a["kernel"]),
    )  # fmt: skip


def _kept(node: OpNode) -> int:
    return int(bool(node.attrs["keepdim"]))


def _windows(draft: Draft, node: OpNode, *, exact: bool) -> dict[str, Any]:
    """Kernel, strides and padding. exact: no window reaches beyond the padding, where a mean has fewer taps."""
    a = node.attrs
    if "windows" in a:
        raise draft.refuse(node, "its windows differ in size")
    size = draft.graph.sources(node)[0].shape[2:]
    if len(size) != len(a["kernel"]):
        raise draft.refuse(node, f"a window of {len(a['kernel'])} axes on {len(size)}")
    stride = list(a["stride"]) or list(a["kernel"])
    inside = tuple(
        (n + 2 * p - k) // s + 1 for n, p, k, s in zip(size, a["padding"], a["kernel"], stride, strict=True)
    )
    if exact and tuple(node.shape[2:]) != inside:
        raise draft.refuse(node, "its last windows reach beyond the padding (ceil_mode)")
    return {"kernel_shape": list(a["kernel"]), "strides": stride, "pads": [*a["padding"], *a["padding"]]}


POOLS: Mapping[OpKind, Emit] = {
    OpKind.AVG_POOL: lambda draft, node: mean(draft, node, node),
    OpKind.SUM_POOL: _sum_pool,
    OpKind.MAX_POOL: _max_pool,
    OpKind.BOX_SUM: _box_sum,
}
