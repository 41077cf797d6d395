"""Logic cells where the fabric has one LUT and one flip-flop each (iCE40): what LUTs and flip-flops take of them.

A flip-flop whose input is a LUT's result shares its cell. One whose input is none (of delays, of words read from
memory, of products), a lone one, has a cell of its own, and so has a carry that is led out of its chain:

    cells = (1 + carries) * LUTs + lone flip-flops

Descriptions say which registers are lone (`abcost.accelerator.design.describer`); of a design without one, they are a
share of its flip-flops. Both rates are means of the iCE40 engines of `benchmarks/routed.py`, placed by nextpnr after
Yosys 0.70 on a UP5K.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from abcost.cost.organisation import Unit

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Amount = TypeVar("Amount", float, "NDArray[np.float64]")


@dataclass(frozen=True, slots=True)
class Cells:
    """carries: cells of lone carries per LUT; spread: how far engines lay around the rule, as a share.

    share: of flip-flops that are lone where no description says which; engine: lone flip-flops per LUT of an engine,
    for who knows its LUTs only.
    """

    carries: float = 0.03
    spread: float = 0.05
    share: float = 0.6
    engine: float = 0.45
    source: str = "engines placed by nextpnr-ice40 after Yosys 0.70 on a UP5K, cost_models/points/routed.csv"
    confidence: str = "measured"

    def likely(self, luts: Amount, ffs: Amount, lone: Amount) -> Amount:
        """What was measured, in the middle; as many as there are flip-flops at least."""
        return _larger((1 + self.carries) * luts + lone, ffs)

    def least(self, luts: Amount, ffs: Amount, lone: Amount) -> Amount:
        """Fewest cells."""
        return _larger((1 - self.spread) * self.likely(luts, ffs, lone), ffs)

    def most(self, luts: Amount, ffs: Amount, lone: Amount) -> Amount:
        """Most cells: what a device must have so that the design fits for sure."""
        return (1 + self.spread) * self.likely(luts, ffs, lone)

    @property
    def per_lut(self) -> float:
        """Most cells per LUT of an engine."""
        return self.most(1.0, 0.0, self.engine)

    def to_dict(self, luts: float | None, ffs: float | None, lone: float) -> dict[str, Any]:
        """JSON-able; null where LUTs or flip-flops are unknown. lone: lone flip-flops; 0: no description says."""
        bounds: dict[str, float | None] = dict.fromkeys(("low", "value", "high"))
        if luts is not None and ffs is not None:
            lone = lone or self.share * ffs
            bounds = {
                "low": self.least(luts, ffs, lone),
                "value": self.likely(luts, ffs, lone),
                "high": self.most(luts, ffs, lone),
            }
        return {**bounds, "source": self.source, "confidence": self.confidence}


def lone_ffs(units: Iterable[Unit]) -> float:
    """Flip-flops of the registers that are lone."""
    return float(sum(unit.count * unit.width for unit in units if unit.lone))


def _larger(a: Amount, b: Amount) -> Amount:
    return (a + b + abs(a - b)) / 2
