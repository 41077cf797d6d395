"""Which power-of-two slopes a network has: the exponents of its PReLUs, channel by channel."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from abcost.core.kinds import OpKind
from abcost.cost.price import PricedNode


def slope_exponents(nodes: Sequence[PricedNode]) -> dict[str, Counter[int]]:
    """Layer -> how many channels have which exponent; empty without power-of-two slopes.

    A layer whose slope is one number for all channels counts as one.
    """
    found: dict[str, Counter[int]] = {}
    for priced in nodes:
        node = priced.node
        if node.kind is OpKind.SHIFT_PRELU:
            exponents = node.consts["exponent"].values.flatten().tolist()
            found.setdefault(node.layer or node.name, Counter()).update(int(e) for e in exponents)
    return found


def slopes_dict(nodes: Sequence[PricedNode]) -> dict[str, Any]:
    """Exponents as JSON holds them: `total` over all layers, and `layers`; exponents rise."""
    layers = slope_exponents(nodes)
    return {
        "total": _sorted(sum(layers.values(), Counter())),
        "layers": {name: _sorted(counts) for name, counts in layers.items()},
    }


def _sorted(counts: Counter[int]) -> dict[str, int]:
    return {str(exponent): count for exponent, count in sorted(counts.items())}
