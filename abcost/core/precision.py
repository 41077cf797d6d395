"""How many bits a tensor's elements have, and what they mean."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from abcost.errors import GraphError


class Encoding(Enum):
    """What the bits of an element stand for."""

    SIGN = "sign"  # +1 or -1, one bit
    FLAG = "flag"  # 1 or 0, one bit
    INTEGER = "integer"  # signed integer of known width
    REAL = "real"  # fixed point as wide as the residual path (`--width`)


@dataclass(frozen=True, slots=True)
class Precision:
    """Encoding and, for integers, width in bits.

    >>> Precision.dot(576).bits   # popcount 0..576 in 10 bits, plus the sign of 2p - K
    11
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

    @classmethod
    def dot(cls, taps: int) -> Precision:
        """Result 2p - K of a binary dot product over K taps: a popcount p of ceil(log2(K+1)) bits, and a sign."""
        return cls(Encoding.INTEGER, popcount_bits(taps) + 1)


BINARY = Precision(Encoding.SIGN)
FLAG = Precision(Encoding.FLAG)
REAL = Precision(Encoding.REAL)


def popcount_bits(taps: int) -> int:
    """Bits that hold a count of 0..taps: ceil(log2(taps + 1)).

    >>> popcount_bits(576), popcount_bits(1)
    (10, 1)
    """
    return taps.bit_length()
