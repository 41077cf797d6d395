"""Which units an accelerator instantiates: area is what is built, not what is executed.

Organisation of this version: every node of the graph has its own lanes, each time-multiplexed over all
elements of the node's result. A lane holds one unit per primitive of the node: for a binary dot product
an XNOR-popcount of `simd` bits per cycle and an adder that accumulates and takes 2p - K; for a real one a
multiplier and an adder; for signed digits a selected shift and an adder, one digit per cycle.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from abcost.classify.counts import Count, exponents_of
from abcost.core.exponents import sizes_of
from abcost.core.kinds import OpKind
from abcost.core.node import OpNode
from abcost.core.primitives import FREE, Primitive
from abcost.core.unit_size import UnitSize, sizes_given
from abcost.errors import UsageError

_MOST = 2**20
"""Lanes, and bits per cycle of one lane: more than any chip has."""

_AND_WORD = 32
"""ANDs side by side that are priced as one unit: selects of more bits are in no table."""


@dataclass(frozen=True, slots=True)
class Lanes:
    """lanes: results per cycle of every node; simd: bits per cycle of a binary dot product in one lane.

    fraction_bits: of a real PReLU's slope.
    """

    lanes: int = 1
    simd: int = 64
    fraction_bits: int = 12

    def __post_init__(self) -> None:
        for name, value in (("lanes", self.lanes), ("simd", self.simd)):
            if not 1 <= value <= _MOST:
                raise UsageError(f"--{name} must be between 1 and {_MOST}, got {str(value)[:20]}")


@dataclass(frozen=True, slots=True)
class Unit(UnitSize):
    """`count` instances of one hardware unit of a cost table, of this size.

    lone: 1 of a register whose input is no LUT's result: a cell of its own where each LUT has one flip-flop beside it.
    No size, and the same price.
    gates: what one multiplier is where it is made of gates, which its factors' own widths or a constant factor decide
    (a block of an FPGA has one size); None: as wide as it says.
    """

    op: str
    count: int
    width: int
    lone: int = field(default=0, compare=False, kw_only=True)
    gates: tuple[Unit, ...] | None = field(default=None, kw_only=True)

    @property
    def size(self) -> dict[str, int]:
        """The sizes that are given, by the variables of a cost table."""
        return sizes_given(self)


def units_of(node: OpNode, counts: tuple[Count, ...], organisation: Lanes) -> tuple[Unit, ...]:
    """Units that the lanes of `node` hold, given what the node performs."""
    if not counts:
        return ()
    if node.kind in (OpKind.PRELU, OpKind.SHIFT_PRELU):
        width = max(count.width for count in counts)
        if node.kind is OpKind.PRELU:
            return (
                Unit(
                    "prelu", organisation.lanes, width, fraction_bits=min(organisation.fraction_bits, width)
                ),
            )
        sizes = sizes_of(exponents_of(node).at(width), identity=True)
        return (Unit("qprelu", organisation.lanes, width, **sizes),)
    found = []
    for count in counts:
        if count.primitive in (Primitive.XNOR, Primitive.MASK) or _is_wire(node, count):
            continue  # an XNOR is part of the popcount's unit
        found.append(_unit(node, count, organisation))
    return tuple(dict.fromkeys(found))


def cycles_of(counts: tuple[Count, ...], organisation: Lanes) -> int:
    """Cycles of one inference in the lanes of a node: of its operations those that take longest, one a cycle.

    words * ceil(bits / simd) / lanes     for words of `bits` bits (XNOR, AND, popcount)
    count / (lanes * each)                for all else
    """
    return max((_cycles(count, organisation) for count in counts), default=0)


def _cycles(count: Count, organisation: Lanes) -> int:
    steps = count.count
    if count.bits is not None:
        steps = count.count // count.bits * -(-count.bits // organisation.simd)
    return -(-steps // (organisation.lanes * count.each))


def masks(lanes: int, bits: int) -> Unit:
    """ANDs over `bits` products in each of so many lanes, in words as wide as the laws reach."""
    words = -(-bits // _AND_WORD)
    return Unit("and", lanes * words, -(-bits // words))


def _is_wire(node: OpNode, count: Count) -> bool:
    """Free primitives have no unit, except the digits of a time-multiplexed constant multiplication."""
    return count.primitive in FREE and "csd_fraction_bits" not in node.attrs


def _unit(node: OpNode, count: Count, organisation: Lanes) -> Unit:
    if count.primitive is Primitive.POPCOUNT:
        bits = min(organisation.simd, count.bits or organisation.simd)
        return Unit("xnor_popcount", organisation.lanes, count.width, bits=bits)
    if count.primitive is Primitive.AND:  # in front of a popcount of as many bits
        return masks(organisation.lanes, min(organisation.simd, count.bits or organisation.simd))
    if count.primitive is Primitive.SHIFT_CONSTANT:
        # signed digits of constants below 1; one position per cycle, chosen per constant
        positions = int(node.attrs["csd_fraction_bits"]) + 1
        sizes = sizes_of(range(-positions + 1, 1), identity=False)
        return Unit("shift_select", organisation.lanes, count.width, **sizes)
    return Unit(count.primitive.value, organisation.lanes * count.each, **sizes_given(count))
