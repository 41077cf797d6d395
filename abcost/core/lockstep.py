"""Several graphs executed next to each other, value by value: what was compared is let go of.

A node that stands in two neighbouring graphs unchanged, and reads the very tensors that it reads in the other, is
executed once: the same operation on the same bits gives the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod

import torch
from torch import Tensor

from abcost.core.graph import OpGraph
from abcost.core.interpret import Arithmetic, Execution, Floating, Held
from abcost.core.kinds import OpKind
from abcost.core.node import OpNode
from abcost.core.packed import Signs, Sums
from abcost.core.program import ProgramStep


@dataclass(slots=True)
class Differences:
    """How far the values that two graphs share by name are apart.

    errors: largest |difference| per node; elements: compared in all; largest: magnitude met in the first graph;
    outputs: the first graph's, by name.
    """

    errors: dict[str, float] = field(default_factory=dict)
    elements: int = 0
    largest: float = 0.0
    outputs: dict[str, Tensor] = field(default_factory=dict)


def differences(
    graphs: Sequence[OpGraph],
    inputs: Sequence[Tensor],
    arithmetic: Arithmetic,
    *,
    overrides: Mapping[str, Tensor] | None = None,
) -> list[Differences]:
    """What neighbouring graphs differ by on one input: one entry for each pair, errors in the first one's order.

    Inputs themselves are not compared. `overrides`: as in `execute`. Raises GraphError as that.
    """
    runs = [_Run(graph, inputs, arithmetic, overrides) for graph in graphs]
    found = [Differences() for _ in graphs[1:]]
    magnitudes = isinstance(arithmetic, Floating)

    def executed(number: int, node: OpNode) -> None:
        """Compare with the graph before; then let the graph behind come up to the same node, and compare."""
        if number and node.name in graphs[number - 1]:
            compare(number - 1, node)
        if number + 1 < len(runs) and node.name in graphs[number + 1]:
            advance(number + 1, node.name)
            compare(number, node)

    def advance(number: int, name: str | None) -> None:
        before = runs[number - 1] if number else None
        runs[number].advance(name, before, lambda node: executed(number, node))

    def compare(number: int, node: OpNode) -> None:
        """The node in graphs `number` and `number + 1`, as soon as both have executed it."""
        pair, (first, second) = found[number], runs[number : number + 2]
        a, b = first.known(node.name), second.known(node.name)
        if node.kind is OpKind.INPUT or node.name in pair.errors or a is None or b is None:
            return
        error = 0.0 if a is b else _distance(a, b, first.execution, second.execution)
        if magnitudes or node.kind is OpKind.OUTPUT:
            opened = first.execution.opened(a)
            if node.kind is OpKind.OUTPUT:
                pair.outputs[node.name] = opened
            magnitude = float(opened.abs().max()) if opened.numel() else 0.0
            error = float("inf") if magnitude != magnitude else error  # noqa: PLR0124 - not a number
            pair.largest = max(pair.largest, magnitude)
        pair.errors[node.name] = error
        pair.elements += _elements(a)
        if error == 0:
            second.agree(node.name, a)

    for number in range(len(runs)):
        advance(number, None)
    for pair, graph in zip(found, graphs, strict=False):
        pair.errors = {node.name: pair.errors[node.name] for node in graph if node.name in pair.errors}
    return found


class _Run:
    """One graph: executed node by node, up to the one that is asked for."""

    def __init__(
        self,
        graph: OpGraph,
        inputs: Sequence[Tensor],
        arithmetic: Arithmetic,
        overrides: Mapping[str, Tensor] | None,
    ) -> None:
        self.graph = graph
        self.execution = Execution(graph, inputs, arithmetic, overrides=overrides, one_by_one=True)
        self._steps: list[tuple[OpNode, list[ProgramStep]]] = []
        for step in self.execution.steps:
            (node,) = step.nodes
            if self._steps and self._steps[-1][0] is node:
                self._steps[-1][1].append(step)
            else:
                self._steps.append((node, [step]))
        self._next = 0
        self._done: set[str] = set()  # values that nothing in this graph reads any more
        self._ahead: dict[str, Held] = {}  # values that the graph before has not got to

    def known(self, name: str) -> Held | None:
        """The value, while it is held."""
        found = self.execution.values.get(name)
        return self._ahead.get(name) if found is None else found

    def agree(self, name: str, value: Held) -> None:
        """Take the neighbour's tensor for one that is equal to it."""
        self._ahead.pop(name, None)
        if name in self.execution.values:
            self.execution.values[name] = value

    def advance(self, name: str | None, before: _Run | None, executed: Callable[[OpNode], None]) -> None:
        """Execute all nodes up to `name` (None: to the end) that have not been; `executed` hears of each."""
        place = len(self._steps) if name is None else self.graph.position(self.graph.node(name)) + 1
        while self._next < place:
            node, steps = self._steps[self._next]
            self._next += 1
            for gone in self._done:
                self.execution.values.pop(gone, None)
            self._done = {gone for step in steps for gone in step.done}
            same = None if before is None else self._same(node, before)
            if same is None:
                for step in steps:  # what is done with stays until the node was compared
                    self.execution.run(replace(step, done=()))
            else:
                self.execution.values[node.name] = same
            if before is not None and node.name in before.graph and before.known(node.name) is None:
                self._ahead[node.name] = self.execution.values[node.name]
            executed(node)

    def _same(self, node: OpNode, before: _Run) -> Held | None:
        """The value of the same node in the graph before, if it reads the same tensors there."""
        if node.name not in before.graph or node.kind is OpKind.INPUT:
            return None
        names = self.graph.inputs(node.name)
        if names != before.graph.inputs(node.name) or not _alike(node, before.graph.node(node.name)):
            return None
        if any(self.execution.values[name] is not before.known(name) for name in names):
            return None
        return before.known(node.name)


def _alike(node: OpNode, other: OpNode) -> bool:
    """Whether two nodes are the same operation with the same constants."""
    if node is other:
        return True
    same = node.kind is other.kind and node.shape == other.shape and node.attrs == other.attrs
    if not same or node.consts.keys() != other.consts.keys():
        return False
    return all(node.consts[role] is other.consts[role] for role in node.consts)


def _distance(a: Held, b: Held, first: Execution, second: Execution) -> float:
    if isinstance(a, Signs) and isinstance(b, Signs) and a.same(b):
        return 0.0
    if isinstance(a, Sums) and isinstance(b, Sums) and torch.equal(a.values, b.values):
        return 0.0
    return distance(first.opened(a), second.opened(b))


def distance(a: Tensor, b: Tensor) -> float:
    """The largest |difference|; infinite for other shapes and where one is not a number."""
    if a.shape != b.shape:
        return float("inf")
    if not a.numel() or torch.equal(a, b):
        return 0.0
    difference = torch.where(a == b, 0.0, (a - b).abs())  # equal infinities are equal
    return float(difference.nan_to_num(nan=float("inf"), posinf=float("inf")).max())


def _elements(value: Held) -> int:
    match value:
        case Tensor():
            return value.numel()
        case Signs():
            return prod(value.shape)
        case Sums():
            return value.values.numel()
        case _:
            return value.total.numel()
