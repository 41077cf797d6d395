"""A pure function from a graph to rows of counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from abcost.classify.counts import Count, counts_of
from abcost.classify.neighbourhood import Neighbourhood
from abcost.classify.origins import origin_of
from abcost.core.graph import OpGraph
from abcost.core.kinds import DOTS
from abcost.core.node import OpNode
from abcost.core.primitives import PUBLISHED_ORIGINS, OpClass, Origin, Primitive


@dataclass(frozen=True, slots=True)
class OperationCount:
    """What one node performs of one primitive. `origin` is set for multiplications only."""

    node: OpNode
    count: Count
    origin: Origin | None


@dataclass(frozen=True, slots=True)
class Macs:
    """Multiply-accumulates by what they are in hardware."""

    total: int
    xnor: int  # one bit x one bit
    signed_add: int  # one bit x more
    real: int  # more x more
    by_bits: Mapping[str, int]  # "2x1": bits of an activation x bits of a weight -> multiply-accumulates


@dataclass(frozen=True, slots=True)
class Tally:
    """All rows of one stage, with its sums."""

    rows: tuple[OperationCount, ...]
    macs: Macs

    def by_class(self) -> dict[OpClass, int]:
        """Operations of one inference per class; every class is there."""
        return sum_by_class(row.count for row in self.rows)

    def by_origin(self) -> dict[Origin, int]:
        """Multiplications of one inference per origin; every origin is there, the sum is the class's."""
        found = Counter(dict.fromkeys(Origin, 0))
        for row in self.rows:
            if row.origin is not None:
                found[row.origin] += row.count.count
        return dict(found)

    def published(self) -> int:
        """Multiplications as the A&B BNN paper counts them (no stem, classifier, weight scale, global pool)."""
        found = self.by_origin()
        return sum(found[origin] for origin in PUBLISHED_ORIGINS)


def sum_by_class(counts: Iterable[Count]) -> dict[OpClass, int]:
    """Operations per class; every class is there."""
    found = dict.fromkeys(OpClass, 0)
    for count in counts:
        found[count.primitive.op_class] += count.count
    return found


def tally(graph: OpGraph, real_width: int) -> Tally:
    """Count every node of `graph`; a real element has `real_width` bits."""
    rows, reach = [], Neighbourhood(graph)
    for node in graph:
        for count in counts_of(graph, node, real_width):
            origin = origin_of(reach, node) if count.primitive is Primitive.MULTIPLY else None
            rows.append(OperationCount(node, count, origin))
    return Tally(tuple(rows), _macs(graph, real_width))


def _macs(graph: OpGraph, real_width: int) -> Macs:
    """Multiply-accumulates by the bits of both operands; of a sum of bases, each as often as it is written."""
    found: Counter[tuple[int, int]] = Counter()
    for node in graph:
        if node.kind in DOTS and "basis_of" not in node.attrs:
            m, n = graph.dot_product(node).bits(real_width)
            found[m, n * int(node.attrs.get("bases", 1))] += int(node.attrs["macs"])
    bits = sorted(found)
    return Macs(
        found.total(),
        sum(found[pair] for pair in bits if pair == (1, 1)),
        sum(found[pair] for pair in bits if pair != (1, 1) and 1 in pair),
        sum(found[pair] for pair in bits if 1 not in pair),
        {f"{m}x{n}": found[m, n] for m, n in bits},
    )
