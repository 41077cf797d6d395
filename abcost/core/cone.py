"""The part of a graph between one value and another, run on values of one's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from abcost.core.graph import OpGraph
from abcost.core.interpret import Arithmetic, run_node
from abcost.core.node import OpNode


@dataclass(frozen=True, slots=True)
class Cone:
    """`nodes`, in execution order, compute `last` (their last) from `root` and constants alone."""

    graph: OpGraph
    root: OpNode
    nodes: tuple[OpNode, ...]

    @property
    def last(self) -> OpNode:
        """The node whose value it is."""
        return self.nodes[-1]

    def run(self, x: Tensor, arithmetic: Arithmetic) -> Tensor:
        """The last node's value where the root has the value `x`, of any shape that the constants broadcast to."""
        values = {self.root.name: x}
        for node in self.nodes:
            inputs = [values[name] for name in self.graph.inputs(node.name)]
            values[node.name] = run_node(node, inputs, arithmetic).to(torch.float64)
        return values[self.last.name]


def cone_of(graph: OpGraph, last: OpNode, is_root: Callable[[OpNode], bool], most: int) -> Cone | None:
    """What computes `last` from the one node above it that `is_root`; None for several, or more than `most` nodes."""
    found: dict[str, OpNode] = {}
    roots: dict[str, OpNode] = {}
    stack = [last]
    while stack:
        node = stack.pop()
        if node.name in found:
            continue
        if len(found) == most:
            return None
        found[node.name] = node
        for source in graph.sources(node):
            if is_root(source):
                roots[source.name] = source
            else:
                stack.append(source)
        if len(roots) > 1 or not graph.inputs(node.name):
            return None
    if len(roots) != 1:
        return None
    (root,) = roots.values()
    return Cone(graph, root, tuple(sorted(found.values(), key=graph.position)))
