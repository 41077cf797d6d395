"""Sizes of a set of slope exponents: what the cost of selecting one of them depends on."""

from __future__ import annotations

from collections.abc import Iterable

BY_INDEX = 4
"""So many choices are one level of multiplexers (4:1 is one LUT6 per bit); more are a barrel shifter."""


def code_bits(choices: int, span: int) -> int:
    """Bits of the code that selects: an index of up to four choices, the amount of a barrel shifter for more."""
    return (choices - 1 if choices <= BY_INDEX else span).bit_length()


def sizes_of(exponents: Iterable[int], *, identity: bool) -> dict[str, int]:
    """Number of exponents; of choices, with the 0 of a PReLU's positive branch if `identity`; their span; left shift.

    >>> sizes_of({-3, -1}, identity=True)
    {'exponents': 2, 'choices': 3, 'span': 3, 'left': 0}
    """
    distinct = set(exponents)
    choices = distinct | ({0} if identity else set())
    return {
        "exponents": len(distinct),
        "choices": len(choices),
        "span": max(choices) - min(choices),
        "left": max(0, *choices),
    }
