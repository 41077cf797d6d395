"""What wires take more in an engine than around a lone unit: parts of an engine cannot all be near each other.

    any unit    ns = of one + unit_ns
    popcounts   + popcount_ns * log2(popcounts of its kind in the engine)
                + flag_ns * log2(units that the flag goes to which says which of two words of weights it is)
    multipliers + multiplier_ns * log2(multipliers in the engine)
    block RAM   ns = of one + block_ns * sqrt(blocks of the memory) + a multiplexer for each level of LUTs behind it

Delays of units are measured one at a time; the factors were fitted to the seen half of the engines that
`benchmarks/routed.py` places and routes. The slowest of many units has the longest wires, and blocks lie in columns
over the whole part.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log2, sqrt

POPCOUNTS = frozenset(
    {
        "xnor_popcount",
        "masked_popcount",
        "plain_popcount",
        "constant_popcount",
        "two_word_popcount",
        "masked_two_word_popcount",
    }
)


MULTIPLIERS = frozenset({"multiply", "scale_dot"})
TWO_WORDS = frozenset({"two_word_popcount", "masked_two_word_popcount"})


@dataclass(frozen=True, slots=True)
class Spread:
    """The factors above, in ns. source: what they were fitted to."""

    unit_ns: float = 0.0
    popcount_ns: float = 0.0
    multiplier_ns: float = 0.0
    block_ns: float = 0.0
    flag_ns: float = 0.0
    source: str = ""

    def popcounts(self, number: int) -> float:
        """Ns that the slowest of so many popcounts takes more than one alone."""
        return self.unit_ns + self.popcount_ns * log2(max(1, number))

    def flag(self, number: int) -> float:
        """Ns that a flag takes to so many units more than to one."""
        return self.flag_ns * log2(max(1, number))

    def multipliers(self, number: int) -> float:
        """Ns that the slowest of so many multipliers takes more than one alone."""
        return self.unit_ns + self.multiplier_ns * log2(max(1, number))

    def blocks(self, number: int) -> float:
        """Ns that wires of a memory of so many blocks take more than those of one block."""
        return self.block_ns * sqrt(number) if number > 1 else 0.0


SPREADS: dict[str, Spread] = {
    "LFE5U-85F-6CABGA756": Spread(
        popcount_ns=0.42, multiplier_ns=0.26, block_ns=0.3, flag_ns=0.42,
        source="engines on ECP5, cost_models/points/routed.csv, sets seen and required",
    ),
    "iCE40UP5K-SG48": Spread(
        unit_ns=1.0, multiplier_ns=1.0, source="engines on iCE40 UP5K, cost_models/points/routed.csv, set seen"
    ),
}  # fmt: skip
"""Part whose units were routed -> what its engines add; none is known of others."""

NO_SPREAD = Spread()
