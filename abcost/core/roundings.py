"""Functions that round, and what only they read."""

from __future__ import annotations

from abcost.core.graph import OpGraph
from abcost.core.kinds import OpKind
from abcost.core.node import OpNode

ROUNDINGS = frozenset({"round.default", "floor.default", "ceil.default", "trunc.default"})
"""ATen names of functions whose results are whole numbers."""


def is_rounded(graph: OpGraph, node: OpNode) -> bool:
    """Whether all that reads the value rounds it, perhaps behind a clamp: it is on its way into a quantiser."""
    users = graph.users(node)
    return bool(users) and all(
        user.attrs.get("aten") in ROUNDINGS or (user.kind is OpKind.CLAMP and is_rounded(graph, user))
        for user in users
    )
