"""How many bits a tensor's elements have, and what they mean."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from abcost.core.values import Values
from abcost.errors import GraphError

MOST_BITS = 24
"""Whole numbers of more bits are held as fixed-point numbers."""


class Encoding(Enum):
    """What the bits of an element stand for."""

    SIGN = "sign"  # one of two values, one bit: +1 or -1, or these times a scale that is known
    FLAG = "flag"  # 1 or 0, one bit
    INTEGER = "integer"  # signed integer of known width
    REAL = "real"  # fixed point as wide as the residual path (`--width`)


@dataclass(frozen=True, slots=True)
class Precision:
    """Encoding and, for integers, width in bits.

    >>> Precision(Encoding.INTEGER, 11).width(16), REAL.width(16), FLAG.width(16)
    (11, 16, 1)
    """

    encoding: Encoding
    bits: int | None = None  # bits, for INTEGER only

    def __post_init__(self) -> None:
        if (self.encoding is Encoding.INTEGER) != (self.bits is not None) or (self.bits or 1) < 1:
            raise GraphError(f"bits >= 1 belong to integers and only to them, got {self}")

    def width(self, real_width: int) -> int:
        """Bits of one element where a real element has `real_width` bits."""
        match self.encoding:
            case Encoding.SIGN | Encoding.FLAG:
                return 1
            case Encoding.INTEGER:
                return self.bits or real_width
            case Encoding.REAL:
                return real_width


BINARY = Precision(Encoding.SIGN)
FLAG = Precision(Encoding.FLAG)
REAL = Precision(Encoding.REAL)


def precision_of(values: Values) -> Precision:
    """How a tensor of these values is held: two values in one bit, whole numbers in theirs, all else as real numbers.

    >>> from abcost.core.values import interval, two_values, whole_numbers
    >>> precision_of(two_values(-0.7, 0.7)).encoding.value, precision_of(interval(-1.0, 1.0)).encoding.value
    ('sign', 'real')
    >>> precision_of(whole_numbers(-576, 576)).bits   # a binary dot product 2p - K over 576 taps
    11
    """
    grid = values.grid
    if grid is None or grid.varies is not None:
        return REAL
    if grid.levels <= 2:
        return FLAG if grid.values() == (0.0, 1.0) else BINARY
    return Precision(Encoding.INTEGER, grid.bits) if grid.whole and grid.bits <= MOST_BITS else REAL
