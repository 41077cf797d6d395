"""Canonical signed digits of an integer."""

from __future__ import annotations


def signed_digits(constant: int) -> list[tuple[int, int]]:
    """Nonzero digits as (place, +1 or -1), no two places adjacent; their sum of digit * 2**place is the constant.

    >>> signed_digits(7), signed_digits(-6)   # 8 - 1, -8 + 2
    ([(0, -1), (3, 1)], [(1, 1), (3, -1)])
    """
    digits, place = [], 0
    while constant:
        if constant & 1:
            digit = 2 - (constant & 3)
            digits.append((place, digit))
            constant -= digit
        constant >>= 1
        place += 1
    return digits
