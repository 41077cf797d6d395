"""Bits that hold a count."""

from __future__ import annotations


def popcount_bits(taps: int) -> int:
    """Bits that hold a count of 0..taps: ceil(log2(taps + 1)).

    >>> popcount_bits(576), popcount_bits(1)
    (10, 1)
    """
    return taps.bit_length()
