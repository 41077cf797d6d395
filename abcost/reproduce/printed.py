"""How the paper prints numbers, and what a comparison with a printed number can say."""

from __future__ import annotations

from enum import Enum


class Verdict(Enum):
    """Whether a published figure comes out."""

    EXACT = "exact"  # rounded as printed, our figure is the published one
    CONVENTION = "own convention"  # so it is under a convention of that row, which is stated
    DIFFERS = "differs"  # it is not


def verdict(published: str, ours: str, by_convention: str) -> Verdict:
    """Compare texts, rounded as printed: ours first, then ours under the row's own convention.

    >>> verdict("4.60 M", "4.78 M", "4.60 M")
    <Verdict.CONVENTION: 'own convention'>
    """
    if ours == published:
        return Verdict.EXACT
    return Verdict.CONVENTION if by_convention == published else Verdict.DIFFERS


def millions(count: int) -> str:
    """Two decimals, as counts of operations and of parameters are printed.

    >>> millions(14_651_392), millions(0)
    ('14.65 M', '0')
    """
    return f"{count / 1e6:.2f} M" if count else "0"


def two_digits(count: int) -> str:
    """Two significant digits, as the parts of a distribution are printed.

    >>> two_digits(4_992_512), two_digits(87_808)
    ('5.0 M', '0.088 M')
    """
    return f"{count / 1e6:#.2g} M"


def percent(part: float, whole: float) -> str:
    """One decimal.

    >>> percent(151 - 64, 151)
    '57.6'
    """
    return f"{100 * part / whole:.1f}"
