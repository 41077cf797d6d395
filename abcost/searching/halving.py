"""Which candidates go on to a longer training: successive halving, decided as results come in."""

from __future__ import annotations

import math
from collections.abc import Sequence

Costs = tuple[float, ...]
"""What is to be low: hardware costs, then the loss."""


def dominates(a: Costs, b: Costs) -> bool:
    """Whether `a` is nowhere worse than `b`, and somewhere better.

    >>> dominates((1.0, 2.0), (1.0, 3.0)), dominates((1.0, 2.0), (1.0, 2.0))
    (True, False)
    """
    return a != b and all(x <= y for x, y in zip(a, b, strict=True))


def passes(mine: Costs, others: Sequence[Costs], keep: float) -> bool:
    """Whether `mine` is among the best `keep` of all, itself included.

    A design is better the fewer others dominate it. One that none dominates always goes on: the cheapest may lose most
    without retraining, and least after it.
    Source of the scheme: successive halving, Jamieson and Talwalkar, AISTATS 2016; as results come in, Li et al.,
    MLSys 2020. Both order by one number; here it is the number of dominators.
    """
    everyone = [*others, mine]
    own = _dominators(mine, everyone)
    better = sum(_dominators(other, everyone) < own for other in others)
    return better < math.ceil(keep * len(everyone))


def passes_any(mine: Sequence[Costs], others: Sequence[Sequence[Costs]], keep: float) -> bool:
    """Whether a training that gives several designs is among the best `keep` of all: its best design counts.

    mine: costs of the designs of one training, at least one. others: those of each other training.

    >>> passes_any([(1.0, 9.0), (3.0, 1.0)], [[(2.0, 2.0)], [(4.0, 4.0)]], keep=0.3)
    True
    """
    everyone = [[points[i] for i in front(points)] for points in (*others, mine)]
    points = [point for of_one in everyone for point in of_one]
    *rest, own = (min(_dominators(point, points) for point in of_one) for of_one in everyone)
    return sum(other < own for other in rest) < math.ceil(keep * len(everyone))


def front(points: Sequence[Costs]) -> list[int]:
    """Indices of the points that none dominates, those with the lowest first cost first; of equals the first."""
    kept = [
        i for i, p in enumerate(points) if p not in points[:i] and not any(dominates(q, p) for q in points)
    ]
    return sorted(kept, key=lambda i: points[i])


def _dominators(point: Costs, everyone: Sequence[Costs]) -> int:
    return sum(dominates(other, point) for other in everyone)
