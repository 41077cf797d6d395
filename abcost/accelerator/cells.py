"""Logic cells where the fabric has one LUT and one flip-flop each (iCE40): what LUTs and flip-flops take of them.

A flip-flop whose value is no LUT's (of delays, of words read from memory, of products) and a lone carry have cells of
their own, so that a design takes more cells than LUTs:

    cells = max(alone * LUTs, luts * LUTs + ffs * flip-flops)

The rates were fitted to estimates of the seen half of the iCE40 engines of `benchmarks/routed.py`, placed by nextpnr
after Yosys 0.70 on a UP5K; `alone` is the rate of designs with few registers (engines without any inside took 1.087 to
1.146 cells per LUT).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Amount = TypeVar("Amount", float, "NDArray[np.float64]")


@dataclass(frozen=True, slots=True)
class Cells:
    """luts, ffs, alone: the rates above; spread: how far engines lay around them, as a share.

    engine: flip-flops per LUT of an engine, for who knows its LUTs only.
    """

    luts: float = 0.72
    ffs: float = 0.88
    alone: float = 1.126
    spread: float = 0.05
    engine: float = 0.8
    source: str = (
        "engines placed by nextpnr-ice40 after Yosys 0.70 on a UP5K, cost_models/points/routed.csv, set seen"
    )
    confidence: str = "measured"

    def likely(self, luts: Amount, ffs: Amount) -> Amount:
        """What was measured, in the middle; as many as there are flip-flops at least."""
        return _larger(_larger(self.alone * luts, self.luts * luts + self.ffs * ffs), ffs)

    def least(self, luts: Amount, ffs: Amount) -> Amount:
        """Fewest cells."""
        return _larger((1 - self.spread) * self.likely(luts, ffs), ffs)

    def most(self, luts: Amount, ffs: Amount) -> Amount:
        """Most cells: what a device must have so that the design fits for sure."""
        return (1 + self.spread) * self.likely(luts, ffs)

    @property
    def per_lut(self) -> float:
        """Most cells per LUT of an engine."""
        return self.most(1.0, self.engine)

    def to_dict(self, luts: float | None, ffs: float | None) -> dict[str, Any]:
        """JSON-able; null where LUTs or flip-flops are unknown."""
        bounds: dict[str, float | None] = dict.fromkeys(("low", "value", "high"))
        if luts is not None and ffs is not None:
            bounds = {
                "low": self.least(luts, ffs),
                "value": self.likely(luts, ffs),
                "high": self.most(luts, ffs),
            }
        return {**bounds, "source": self.source, "confidence": self.confidence}


def _larger(a: Amount, b: Amount) -> Amount:
    return (a + b + abs(a - b)) / 2
