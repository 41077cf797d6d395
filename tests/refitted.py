"""Tables fitted again: the same text, whatever processor did the linear algebra.

Fitted figures are written with four significant digits, and processors sum in orders of their own, so that a figure
that lies between two roundings may be written as either.
"""

from __future__ import annotations

import re
from decimal import Decimal

DIGITS = 4
NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e[+-]?\d+)?")


def same_fit(found, expected):
    """Equal texts, but for the last of four significant digits of fractions, which may be the one beside it."""
    ours, theirs = NUMBER.findall(found), NUMBER.findall(expected)
    if NUMBER.sub("#", found) != NUMBER.sub("#", expected) or len(ours) != len(theirs):
        return False
    return all(one == other or _beside(one, other) for one, other in zip(ours, theirs, strict=True))


def _beside(one, other):
    """Whether these are roundings of four digits next to each other; whole numbers are counts, and never are."""
    if not all("." in text or "e-" in text for text in (one, other)):
        return False
    first, second = Decimal(one), Decimal(other)
    if max(len(value.normalize().as_tuple().digits) for value in (first, second)) > DIGITS:
        return False
    step = Decimal(1).scaleb(min(first.adjusted(), second.adjusted()) - DIGITS + 1)
    return abs(first - second) <= step
