"""Activations that are kept at once where engines run one after the other."""

from __future__ import annotations

from abcost.core.graph import OpGraph
from abcost.core.kinds import DOTS, OpKind


def peak_activation_bits(graph: OpGraph, width: int) -> int:
    """Most bits of tensors that are live during one engine.

    A tensor that a later engine reads lives from the engine that makes it to the last that reads it; what stays
    inside an engine streams through it. Wiring only renames a tensor. An engine begins at its dot product, and
    what stands before the first is part of it.
    """
    step, made, last, origin = -1, dict[str, int](), dict[str, int](), dict[str, str]()
    for node in graph:
        if node.kind in DOTS:
            step += 1
        made[node.name] = -1 if node.kind is OpKind.INPUT else max(step, 0)
        renames = node.kind is OpKind.WIRING and len(graph.inputs(node.name)) == 1
        origin[node.name] = origin[graph.inputs(node.name)[0]] if renames else node.name
        for name in graph.inputs(node.name):
            last[origin[name]] = max(last.get(origin[name], 0), step)
        if node.kind is OpKind.OUTPUT:
            for name in graph.inputs(node.name):
                last[origin[name]] = step + 1  # it is fetched after the last engine
    live = [0] * (step + 2)
    for name, end in last.items():
        if end > made[name]:
            node = graph.node(name)
            bits = node.elements * graph.precision(node).width(width)
            for index in range(max(made[name], 0), end + 1):
                live[min(index, step + 1)] += bits
    return max(live)
