"""How wide the adders of a graph are, for inputs of a known range.

A value is as wide as the largest number that any inputs make of it, in two's complement. An adder is as wide as the
bits that it computes: bits of one operand below the lowest bit of the other pass it by, except that a subtraction
has to invert those of what it subtracts.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from abcost.core.adders.graph import ZERO, AdderGraph
from abcost.errors import GraphError

MOST_BITS = 63
"""Of a value: what a whole number of 64 bits holds beside its sign."""


def signed_range(bits: int) -> tuple[int, int]:
    """Least and greatest number of so many bits in two's complement."""
    return -(1 << (bits - 1)), (1 << (bits - 1)) - 1


def value_bits(graph: AdderGraph, low: int, high: int) -> list[int]:
    """Bits of every value, inputs first, for inputs between low and high.

    Raises GraphError beyond 63 bits.
    """
    rows = graph.rows()
    above = np.where(rows > 0, rows, 0).sum(1).tolist()
    below = np.where(rows < 0, rows, 0).sum(1).tolist()
    found = [_bits(p * low + n * high, p * high + n * low) for p, n in zip(above, below, strict=True)]
    if max(found, default=0) > MOST_BITS:
        raise GraphError(f"an adder graph needs {max(found)} bits, more than {MOST_BITS}")
    return found


def adder_bits(graph: AdderGraph, low: int, high: int) -> list[int]:
    """Bits of every adder, for inputs between low and high. Raises GraphError as `value_bits`."""
    bits = value_bits(graph, low, high)
    lowest = [0] * graph.inputs  # place of each value's lowest bit that is not always 0
    found = []
    for number, add in enumerate(graph.adds, graph.inputs):
        right = lowest[add.right] + add.right_shift
        left = right if add.left == ZERO else lowest[add.left] + add.left_shift
        lowest.append(min(left, right))
        found.append(max(1, bits[number] - (right if add.subtract else max(left, right))))
    return found


def adders_by_bits(graph: AdderGraph, low: int, high: int) -> dict[int, int]:
    """How many adders are how wide, narrow ones first."""
    return dict(sorted(Counter(adder_bits(graph, low, high)).items()))


def _bits(low: int, high: int) -> int:
    """Bits in two's complement of every number between low and high."""
    return 1 + max(high.bit_length() if high > 0 else 0, (-low - 1).bit_length() if low < 0 else 0)
