"""Folding: how many outputs (PE) and how many products of each (SIMD) an engine works on in one cycle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from abcost.accelerator.engine import Engine
from abcost.core.kinds import DotArithmetic

MOST_SIMD = {
    DotArithmetic.XNOR: 1152,
    DotArithmetic.MASKED: 1152,
    DotArithmetic.PLANES: 1152,
    DotArithmetic.SIGNED_ADD: 64,
    DotArithmetic.NARROW: 1024,
    DotArithmetic.REAL: 1024,
}
"""Widest dot products that the units' laws were measured at (real ones: any, the limit keeps searches short)."""


@dataclass(frozen=True, slots=True)
class Folding:
    """PE divides the channels, SIMD divides K, as in FINN."""

    pe: int
    simd: int


@cache
def divisors(n: int) -> tuple[int, ...]:
    """The divisors of n, in rising order."""
    return tuple(d for d in range(1, n + 1) if n % d == 0)


def foldings(engine: Engine) -> list[Folding]:
    """All that the engine can have: PE divides the channels, SIMD divides K; a graph of adders has all of both.

    The widest SIMD first, of one SIMD the smallest PE.
    """
    if engine.in_adders:
        return [whole(engine)]
    return [
        Folding(pe, simd)
        for simd in reversed(divisors(engine.taps))
        if simd <= MOST_SIMD[engine.arithmetic]
        for pe in divisors(engine.channels)
    ]


def whole(engine: Engine) -> Folding:
    """All channels and all products of each in one cycle."""
    return Folding(engine.channels, engine.taps)


def products(folding: Folding) -> int:
    """Products per cycle."""
    return folding.pe * folding.simd


def worth_less(
    offers: Sequence[Folding], cycles: NDArray[np.int64], worth: NDArray[np.float64]
) -> list[tuple[int, Folding]]:
    """(cycles, folding) of those that are worth less than every faster one, fastest first.

    Of equal ones the first of `offers`.
    """
    if not len(offers):
        return []
    order = np.lexsort((worth, cycles))  # stable
    values = worth[order]
    less = np.concatenate(([True], values[1:] < np.minimum.accumulate(values)[:-1]))
    return [(int(cycles[i]), offers[i]) for i in order[less]]


def smallest(rungs: Sequence[tuple[int, Folding]], cycles: float) -> Folding | None:
    """The folding worth least that needs at most so many cycles; None if even the fastest needs more."""
    return next((folding for needed, folding in reversed(rungs) if needed <= cycles), None)
