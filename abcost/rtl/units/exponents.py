"""Sets of exponents, and the codes that select from them."""

from __future__ import annotations

from collections.abc import Iterable

from abcost.errors import UsageError


def distinct(exponents: Iterable[int]) -> tuple[int, ...]:
    """The exponents in rising order, each once. Raises UsageError for none, or one beyond +-63."""
    found = tuple(sorted(set(exponents)))
    if not found or found[0] < -63 or found[-1] > 63:
        raise UsageError(f"needs at least one exponent, each between -63 and 63, got {found}")
    return found


def prelu_choices(exponents: Iterable[int]) -> tuple[int, ...]:
    """What a power-of-two PReLU selects from: code 0 is the positive branch's identity, then the others rising.

    >>> prelu_choices([-3, 0, 1]), prelu_choices([-2])
    ((0, -3, 1), (0, -2))
    """
    return (0, *(e for e in distinct(exponents) if e))


def code_bits(choices: int) -> int:
    """Bits that tell `choices` things apart."""
    return max(1, (choices - 1).bit_length())
