"""What wires take more in an engine than around a lone unit: parts of an engine cannot all be near each other.

    popcounts   ns = of one + popcount_ns * log2(popcounts of its kind in the engine)
    block RAM   ns = of one + block_ns * sqrt(blocks of the memory) + log2(blocks behind each other) multiplexers

Delays of units are measured one at a time; the two factors were fitted to the seen half of the engines that
`benchmarks/routed.py` places and routes. The slowest of many popcounts has the longest wires, and blocks lie in columns
over the whole part.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log2, sqrt

POPCOUNTS = frozenset({"xnor_popcount", "masked_popcount", "plain_popcount", "constant_popcount"})


@dataclass(frozen=True, slots=True)
class Spread:
    """popcount_ns, block_ns: the factors above. source: what they were fitted to."""

    popcount_ns: float = 0.0
    block_ns: float = 0.0
    source: str = ""

    def popcounts(self, number: int) -> float:
        """Ns that the slowest of so many popcounts takes more than one alone."""
        return self.popcount_ns * log2(max(1, number))

    def blocks(self, number: int) -> float:
        """Ns that wires of a memory of so many blocks take more than those of one block."""
        return self.block_ns * sqrt(number) if number > 1 else 0.0


SPREADS: dict[str, Spread] = {
    "LFE5U-85F-6CABGA756": Spread(
        0.42, 0.3, "16 engines on ECP5, cost_models/points/routed.csv, sets seen and required"
    ),
}
"""Part whose units were routed -> what its engines add; none is known of others."""

NO_SPREAD = Spread()
