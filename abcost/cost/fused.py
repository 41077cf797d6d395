"""Units that take less together than apart, and what they are apart.

    add_rom, compare_rom    a small ROM disappears in the LUTs of what it feeds
    qprelu_add              the selects of a power-of-two PReLU fit in the LUTs of the adder behind it
    scale_dot               2p - K fits into the adder in front of a DSP's multiplier

A table that does not price them together prices them apart.
"""

from __future__ import annotations

from dataclasses import replace

from abcost.core.precision import popcount_bits
from abcost.cost.organisation import Unit

MOST_WORDS = 1024
"""Deepest ROM that the laws of a unit reach; deeper ones are several."""

_WITH_ROM = {"add": "add_rom", "compare": "compare_rom"}
_WITHOUT_ROM = {fused: op for op, fused in _WITH_ROM.items()}


def with_parameter(unit: Unit, words: int, stored: int) -> tuple[Unit, ...]:
    """`unit` with one operand out of `words` constants that need `stored` bits; a single one is built in."""
    if words < 2:
        return (unit,)
    if unit.op in _WITH_ROM and words <= MOST_WORDS:
        return (replace(unit, op=_WITH_ROM[unit.op], depth=words, stored=stored),)
    return (unit, rom(unit.count, words, stored))


def rom(count: int, words: int, stored: int) -> Unit:
    """`count` ROMs of so many words, each cut into the fewest that the laws reach."""
    banks = -(-words // MOST_WORDS)
    return Unit("rom", count * banks, stored, depth=-(-words // banks))


def without_rom(unit: Unit) -> Unit:
    """The same operation on an operand from elsewhere."""
    return replace(unit, op=_WITHOUT_ROM.get(unit.op, unit.op), depth=None, stored=None)


def apart(unit: Unit) -> tuple[Unit, ...]:
    """The units that a fused one is made of; itself if it is none."""
    count, width = unit.count, unit.width
    if unit.op in _WITHOUT_ROM and unit.depth is not None and unit.stored is not None:
        return (Unit(_WITHOUT_ROM[unit.op], count, width), rom(count, unit.depth, unit.stored))
    if unit.op == "qprelu_add":
        return (replace(unit, op="qprelu"), Unit("add", count, width))
    if unit.op == "scale_dot" and unit.bits is not None:
        return (Unit("add", count, popcount_bits(unit.bits) + 1), Unit("multiply", count, width))
    return (unit,)
