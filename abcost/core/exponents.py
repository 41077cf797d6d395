"""Sets of slope exponents, and their sizes: what the cost of selecting one of them depends on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Self

LEAST, MOST = -126, 127
"""Of an exponent of a slope: a float32 holds 2**exponent."""
BY_INDEX = 4
"""So many choices are one level of multiplexers (4:1 is one LUT6 per bit); more are a barrel shifter."""


BY_SIGN = 2
"""Up to so many slopes, none of them 1, need no code for 1: the sign selects between the value and its shift."""


def seen(exponent: int, width: int) -> int:
    """The exponent as a shift of values of `width` bits sees it: to the right by width - 1 leaves only the sign.

    >>> seen(-7, 6), seen(-5, 6), seen(2, 6)
    (-5, -5, 2)
    """
    return max(exponent, 1 - width)


class ExponentSet(tuple[int, ...]):
    """Exponents of powers of two, rising, each once.

    >>> ExponentSet([0, -3, 0]), ExponentSet([-7, -6, -5, 0]).at(6)
    ((-3, 0), (-5, 0))
    """

    __slots__ = ()

    def __new__(cls, exponents: Iterable[int] = ()) -> Self:
        """Take exponents in any order, any number of times."""
        return super().__new__(cls, sorted(set(exponents)))

    def at(self, width: int) -> ExponentSet:
        """Those that hardware of this width tells apart (see `seen`)."""
        return _apart(self, width)


@lru_cache(maxsize=4096)
def _apart(exponents: ExponentSet, width: int) -> ExponentSet:
    """What `at` returns, remembered: pricing candidates asks for the same few sets hundreds of thousands of times."""
    return ExponentSet(seen(exponent, width) for exponent in exponents)


def selected(exponents: Iterable[int], *, identity: bool) -> tuple[int, ...]:
    """What a code selects from, rising: the exponents; of a PReLU (`identity`) with the 0 of its positive branch.

    That 0 is left out where it would only lengthen the code (`BY_SIGN`).

    >>> selected({-3, -1}, identity=True), selected({-4, -3, -1}, identity=True)
    ((-3, -1), (-4, -3, -1, 0))
    """
    distinct = set(exponents)
    if identity and (0 in distinct or len(distinct) > BY_SIGN):
        distinct.add(0)
    return tuple(sorted(distinct))


def code_bits(choices: Sequence[int]) -> int:
    """Bits of the code that selects: an index of up to four choices, the amount of a barrel shifter for more."""
    span = max(choices) - min(choices)
    return (len(choices) - 1 if len(choices) <= BY_INDEX else span).bit_length()


def sizes_of(exponents: Iterable[int], *, identity: bool) -> dict[str, Any]:
    """Number of exponents; of choices, with the 0 of a PReLU's positive branch if `identity`; their span; left shift.

    factored: 1 if a code selects from four that are two two-way shifts in a row, a, a + b, a + c, a + b + c: these
    share bits.
    inner: of up to four choices of a code, the sum of what those between the least and the largest are below the
    largest: so many more bits have copies of the sign among their choices. Of more, that of the costliest four.

    >>> sizes_of({-3, -1}, identity=True)
    {'exponents': 2, 'choices': 3, 'span': 3, 'left': 0, 'factored': 0, 'inner': 0}
    >>> sizes_of({-7, -3, -1}, identity=True)["inner"]  # of -7, -3, -1, 0
    4
    """
    distinct = set(exponents)
    choices = distinct | ({0} if identity else set())
    coded = selected(distinct, identity=identity)
    return {
        "exponents": len(distinct),
        "choices": len(choices),
        "span": max(choices) - min(choices),
        "left": max(0, *choices),
        "factored": int(len(coded) == BY_INDEX and coded[0] + coded[3] == coded[1] + coded[2]),
        "inner": sum(coded[-1] - e for e in coded[1:-1][2 - BY_INDEX :]),
    }
