"""Folding: how many outputs (PE) and how many products of each (SIMD) an engine works on in one cycle."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from abcost.accelerator.engine import Engine
from abcost.core.kinds import DotArithmetic

MOST_SIMD = {DotArithmetic.XNOR: 1152, DotArithmetic.SIGNED_ADD: 64, DotArithmetic.REAL: 1024}
"""Widest dot products that the units' laws were measured at (real ones: any, the limit keeps searches short)."""


@dataclass(frozen=True, slots=True)
class Folding:
    """PE divides the channels, SIMD divides K, as in FINN."""

    pe: int
    simd: int


@cache
def divisors(n: int) -> tuple[int, ...]:
    """In rising order."""
    return tuple(d for d in range(1, n + 1) if n % d == 0)


def fastest(engine: Engine) -> Folding:
    """Everything in parallel that can be."""
    return Folding(engine.channels, _simds(engine)[-1])


def smallest(engine: Engine, cycles: float) -> Folding | None:
    """The folding with the fewest products per cycle that needs at most so many cycles; of equals the widest SIMD.

    None if even the fastest folding is slower.
    """
    if engine.cycles(*_pair(fastest(engine))) > cycles:
        return None
    best: tuple[int, int] | None = None
    for simd in reversed(_simds(engine)):
        for pe in divisors(engine.channels):
            if best is not None and pe * simd >= best[0] * best[1]:
                break
            if engine.cycles(pe, simd) <= cycles:
                best = (pe, simd)
                break
    return None if best is None else Folding(*best)


def _pair(folding: Folding) -> tuple[int, int]:
    return folding.pe, folding.simd


def _simds(engine: Engine) -> list[int]:
    return [d for d in divisors(engine.taps) if d <= MOST_SIMD[engine.arithmetic]]
