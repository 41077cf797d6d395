"""Which units an accelerator instantiates: area is what is built, not what is executed.

Organisation of this version: every node of the graph has its own lanes, each time-multiplexed over all
elements of the node's result. A lane holds one unit per primitive of the node: for a binary dot product
an XNOR-popcount of `simd` bits per cycle and an adder that accumulates and takes 2p - K; for a real one a
multiplier and an adder; for signed digits a selected shift and an adder, one digit per cycle.
"""

from __future__ import annotations

from dataclasses import dataclass

from abcost.classify.counts import Count
from abcost.core.kinds import OpKind
from abcost.core.node import OpNode
from abcost.core.primitives import FREE, Primitive
from abcost.errors import UsageError

_FUSED = {OpKind.PRELU: "prelu", OpKind.SHIFT_PRELU: "qprelu"}
_MOST = 2**20
"""Lanes, and bits per cycle of one lane: more than any chip has."""


@dataclass(frozen=True, slots=True)
class Lanes:
    """lanes: results per cycle of every node; simd: bits per cycle of a binary dot product in one lane."""

    lanes: int = 1
    simd: int = 64

    def __post_init__(self) -> None:
        for name, value in (("lanes", self.lanes), ("simd", self.simd)):
            if not 1 <= value <= _MOST:
                raise UsageError(f"--{name} must be between 1 and {_MOST}, got {str(value)[:20]}")


@dataclass(frozen=True, slots=True)
class Unit:
    """`count` instances of one hardware unit of a cost table, of this size."""

    op: str
    count: int
    width: int
    bits: int | None = None
    exponents: int | None = None
    choices: int | None = None


def units_of(node: OpNode, counts: tuple[Count, ...], organisation: Lanes) -> tuple[Unit, ...]:
    """Units that the lanes of `node` hold, given what the node performs."""
    if not counts:
        return ()
    if node.kind in _FUSED:
        width = max(count.width for count in counts)
        exponents = max((count.exponents or 1 for count in counts), default=1)
        choices = max((count.choices for count in counts if count.choices), default=None)
        return (Unit(_FUSED[node.kind], organisation.lanes, width, exponents=exponents, choices=choices),)
    found = []
    for count in counts:
        if count.primitive in (Primitive.XNOR, Primitive.MASK) or _is_wire(node, count):
            continue  # an XNOR is part of the popcount's unit
        found.append(_unit(node, count, organisation))
    return tuple(dict.fromkeys(found))


def _is_wire(node: OpNode, count: Count) -> bool:
    """Free primitives have no unit, except the digits of a time-multiplexed constant multiplication."""
    return count.primitive in FREE and "csd_fraction_bits" not in node.attrs


def _unit(node: OpNode, count: Count, organisation: Lanes) -> Unit:
    if count.primitive is Primitive.POPCOUNT:
        bits = min(organisation.simd, count.bits or organisation.simd)
        return Unit("xnor_popcount", organisation.lanes, count.width, bits=bits)
    if count.primitive is Primitive.SHIFT_CONSTANT:
        # signed digits of constants below 1; one position per cycle, chosen per constant
        positions = int(node.attrs["csd_fraction_bits"]) + 1
        return Unit("shift_select", organisation.lanes, count.width, exponents=positions)
    return Unit(
        count.primitive.value,
        organisation.lanes,
        count.width,
        exponents=count.exponents,
        choices=count.choices,
    )
