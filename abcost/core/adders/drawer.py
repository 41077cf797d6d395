"""A graph of adders while it is made: signs and shifts stay beside values until an adder takes them in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from abcost.core.adders.graph import ZERO, Add, AdderGraph, Output


class Term(NamedTuple):
    """+-(v[value] << shift); the shift may be below 0."""

    value: int
    shift: int = 0
    negative: bool = False

    def times(self, shift: int, *, negative: bool = False) -> Term:
        """Shifted further, or negated."""
        return Term(self.value, self.shift + shift, self.negative != negative)


@dataclass(slots=True)
class Drawer:
    """Adds adders one after the other. inputs: of the graph."""

    inputs: int
    adds: list[Add] = field(default_factory=list)

    def add(self, a: Term, b: Term) -> Term:
        """A + b; of two negative terms minus the sum of both."""
        if a.negative and not b.negative:
            a, b = b, a
        low = min(a.shift, b.shift)
        subtract = b.negative and not a.negative
        return self._added(
            Add(a.value, a.shift - low, b.value, b.shift - low, subtract), low, negative=a.negative
        )

    def total(self, terms: Iterable[Term]) -> Term | None:
        """The sum of all, by a tree of neighbours; None of no terms."""
        left = list(terms)
        while len(left) > 1:
            pairs = [self.add(a, b) for a, b in zip(left[::2], left[1::2], strict=False)]
            left = [*pairs, *left[2 * len(pairs) :]]
        return left[0] if left else None

    def graph(self, outputs: Iterable[Term | None], fraction_bits: int) -> AdderGraph:
        """The graph with these outputs; None is 0. A negative one takes an adder that negates it."""
        placed = [self._output(term) for term in outputs]
        return _without_unread(AdderGraph(self.inputs, tuple(self.adds), tuple(placed), fraction_bits))

    def _output(self, term: Term | None) -> Output:
        if term is None:
            return Output(ZERO)
        if term.negative:
            term = self._added(Add(ZERO, 0, term.value, 0, subtract=True), term.shift, negative=False)
        return Output(term.value, term.shift)

    def _added(self, add: Add, shift: int, *, negative: bool) -> Term:
        self.adds.append(add)
        return Term(self.inputs + len(self.adds) - 1, shift, negative)


def _without_unread(graph: AdderGraph) -> AdderGraph:
    """The graph without adders that no output depends on."""
    read = {output.value for output in graph.outputs}
    for number in range(len(graph.adds) - 1, -1, -1):
        if graph.inputs + number in read:
            read |= {graph.adds[number].left, graph.adds[number].right}
    place = {number: number for number in range(ZERO, graph.inputs)}
    kept: list[Add] = []
    for number, add in enumerate(graph.adds, graph.inputs):
        if number in read:
            place[number] = graph.inputs + len(kept)
            kept.append(add._replace(left=place[add.left], right=place[add.right]))
    outputs = tuple(output._replace(value=place[output.value]) for output in graph.outputs)
    return AdderGraph(graph.inputs, tuple(kept), outputs, graph.fraction_bits)
