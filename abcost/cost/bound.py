"""The three readings of a figure: its value, and the least and most that its sources say."""

from __future__ import annotations

from typing import Literal

Bound = Literal["value", "low", "high"]


def at_bound(side: Bound, value: float, low: float | None, high: float | None) -> float:
    """The reading asked for. A figure without a bound counts with its value: nothing is made up.

    >>> at("high", 3.1, None, 12.7), at("low", 3.1, None, 12.7)
    (12.7, 3.1)
    """
    bound = {"value": value, "low": low, "high": high}[side]
    return value if bound is None else bound
