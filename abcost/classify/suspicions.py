"""What looks binary and was not counted so, and what looks like no trained network: warnings of a report."""

from __future__ import annotations

import torch

from abcost.core.graph import OpGraph
from abcost.core.kinds import DOTS, OpKind
from abcost.core.node import OpNode

_DECISIONS = frozenset({OpKind.SIGN, OpKind.THRESHOLD})
_THROUGH = frozenset(
    {
        OpKind.SCALE, OpKind.SHIFT, OpKind.ADD_CONST, OpKind.NEGATE, OpKind.MULTIPLY, OpKind.ADD, OpKind.SUBTRACT,
        OpKind.WIRING, OpKind.MAX_POOL, OpKind.CLAMP, OpKind.SELECT, OpKind.EXTREMUM,
    }
)  # fmt: skip
_FARTHEST = 8
"""Nodes between a sign and the product that it was made for."""
_FEW = 4
_SAMPLE = 64
_SHOWN = 3


def suspicions(graph: OpGraph) -> list[str]:
    """One line for each kind of finding in the network as it was traced; [] where nothing is odd."""
    dots = graph.of_kind(*DOTS)
    found = {
        "a sign comes to the product, but what reaches it is no bit (a scale per input channel, a sum, another value): "
        "counted as real activations": [d for d in dots if _lost_sign(graph, d)],
        "weights take few values per channel, in no form that is known: counted as real": [
            d for d in dots if _few_values(d)
        ],
        "all weights are equal, which no training leaves": [d for d in dots if _all_equal(d)],
        "output channels whose weights are all 0 (pruned?) are counted as written": [
            d for d in dots if _dead_channels(graph, d)
        ],
    }
    return [f"{text}: {_names(nodes)}" for text, nodes in found.items() if nodes]


def _names(nodes: list[OpNode]) -> str:
    names = list(dict.fromkeys(node.layer or node.name for node in nodes))
    more = f", and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{', '.join(names[:_SHOWN])}{more}"


def _lost_sign(graph: OpGraph, dot: OpNode) -> bool:
    product = graph.dot_product(dot)
    operands = [product.left] if dot.const("weight") else [product.left, product.right]
    sources = zip(graph.sources(dot), operands, strict=False)
    return any(bits is None and _reaches_decision(graph, source) for source, bits in sources)


def _reaches_decision(graph: OpGraph, node: OpNode) -> bool:
    """Whether a sign lies right above, nothing but operations on single elements and views between."""
    layer = [node]
    for _ in range(_FARTHEST):
        if any(n.kind in _DECISIONS for n in layer):
            return True
        layer = [source for n in layer if n.kind in _THROUGH for source in graph.sources(n)]
    return False


def _rows(dot: OpNode) -> torch.Tensor | None:
    weight = dot.const("weight")
    if weight is None or weight.count < 2:
        return None
    axis = 1 if dot.attrs.get("transposed", False) else 0
    return weight.values.transpose(0, axis).flatten(1)


def _few_values(dot: OpNode) -> bool:
    rows = _rows(dot)
    if rows is None or not rows.is_floating_point() or rows.shape[1] <= _SAMPLE // _FEW:
        return False
    if len({*rows[0, :_SAMPLE].tolist()}) > _FEW or _powers(rows) or not bool((rows != rows[0, 0]).any()):
        return False
    return all(torch.unique(row).numel() <= _FEW for row in rows)


def _powers(rows: torch.Tensor) -> bool:
    """Whether all are powers of two, which lowering makes shifts."""
    mantissa, _ = torch.frexp(rows.abs())
    return bool(((mantissa == 0.5) | (rows == 0)).all())


def _all_equal(dot: OpNode) -> bool:
    rows = _rows(dot)
    if rows is None or bool((rows[0, :_SAMPLE] != rows[0, 0]).any()):
        return False
    return bool((rows == rows[0, 0]).all())


def _dead_channels(graph: OpGraph, dot: OpNode) -> bool:
    """Whether some but not all channels are 0: in the weights, or in the scale that was taken out of them."""
    rows = _rows(dot)
    if rows is None:
        return False
    binary = dot.consts["weight"].binary  # its dead channels are +1, and 0 in the scale
    dead = torch.zeros(len(rows), dtype=torch.bool) if binary else rows[:, 0] == 0
    if bool(dead.any()):
        dead = (rows == 0).all(dim=1)
    for user in graph.users(dot):
        if user.attrs.get("role") == "weight_scale":
            factor = user.consts["factor"].values.flatten()
            dead = dead | (factor == 0) if factor.numel() == dead.numel() else dead
    return bool(dead.any()) and not bool(dead.all())
