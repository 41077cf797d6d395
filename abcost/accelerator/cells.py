"""Logic cells where the fabric has one LUT and one flip-flop each (iCE40): what LUTs and flip-flops take of them.

A lone carry and a flip-flop without its LUT have cells of their own, so that a design takes more cells than LUTs:

    cells = rate * LUTs + flip-flops beyond the packed share of the LUTs

The rates are those of seven engines of two sizes of ReActNet-18 (`abcost rtl`), placed by nextpnr-ice40 0.4
after Yosys 0.70 on a UP5K: cells over the LUTs that abcost estimates were 1.087, 1.092, 1.10, 1.126, 1.13, 1.14 and
1.146. They had up to 0.8 flip-flops per LUT: those beyond are counted as cells of their own at the high end, and as
nothing but the cells that hold them at the low one.
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
    """low, value, high: cells per LUT; packed: flip-flops per LUT up to which that is known."""

    low: float = 1.087
    value: float = 1.126
    high: float = 1.146
    packed: float = 0.8
    source: str = (
        "seven engines placed by nextpnr-ice40 0.4 after Yosys 0.70 on a UP5K: "
        "1.087 to 1.146 cells per estimated LUT"
    )
    confidence: str = "measured"

    def least(self, luts: Amount, ffs: Amount) -> Amount:
        """Fewest cells: as many as there are flip-flops at least."""
        return _larger(self.low * luts, ffs)

    def likely(self, luts: Amount, ffs: Amount) -> Amount:
        """The median of what was measured."""
        return _larger(self.value * luts, ffs)

    def most(self, luts: Amount, ffs: Amount) -> Amount:
        """Most cells: what a device must have so that the design fits for sure."""
        return self.high * luts + _larger(ffs - self.packed * luts, 0.0 * luts)

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
