"""Units that take less together than apart, what they are apart, and the ROMs of parameters.

    qprelu_add    the selects of a power-of-two PReLU fit in the LUTs of the adder behind it
    scale_dot     2p - K fits into the adder in front of a DSP's multiplier
    constant_popcount  lanes with constant weights share what they have in common
    counter, popcounts with a mask or without weights: no more than an accumulator, XNOR-popcounts and ANDs

A table that does not price them together prices them apart. A multiplier is no block on standard cells: it takes what
its factors need (`of_gates`).
"""

from __future__ import annotations

from dataclasses import replace

from abcost.core.adders.signed_digits import signed_digits
from abcost.core.bits import popcount_bits
from abcost.cost.organisation import Unit, masks
from abcost.cost.table import CostTable

MOST_WORDS = 1024
"""Deepest ROM that the laws of a unit reach; deeper ones are several."""

FEW_WORDS = 8
MOST_COLUMNS = 32
"""ROMs of few words that are read at once are one table of at most so many columns, or several."""


def rom(count: int, words: int, stored: int) -> Unit:
    """`count` ROMs of `words` words of `stored` bits, read with the same address in the same cycle.

    Each is cut into the fewest that the laws reach. With few words they share columns, of which there are no more than
    functions of the address: 2**(words - 1) - 1 without constants and inversions.
    """
    if words > FEW_WORDS:
        banks = -(-words // MOST_WORDS)
        return Unit("rom", count * banks, stored, depth=-(-words // banks))
    columns = min(count * stored, 2 ** (words - 1) - 1)
    tables = -(-columns // MOST_COLUMNS)
    return Unit("rom", tables, -(-columns // tables), depth=words)


def apart(unit: Unit) -> tuple[Unit, ...]:
    """The units that a fused one is made of; itself if it is none."""
    count, width = unit.count, unit.width
    if unit.op == "qprelu_add":
        return (replace(unit, op="qprelu"), Unit("add", count, width))
    if unit.op == "scale_dot" and unit.bits is not None:
        sums = popcount_bits(unit.bits) + 1  # behind which the DSP has its register
        return (
            Unit("add", count, sums),
            Unit("register", count, sums),
            Unit("multiply", count, width, gates=unit.gates),
        )
    if unit.op == "counter":
        return (replace(unit, op="accumulate"),)
    return _popcount_apart(unit)


def of_gates(unit: Unit, table: CostTable) -> tuple[Unit, ...]:
    """What a multiplier is made of where the table prices products of gates; else itself, as all other units."""
    if unit.op != "multiply" or unit.gates is None or not table.has("product"):
        return (unit,)
    return tuple(replace(part, count=part.count * unit.count) for part in unit.gates)


def product_of(width: int, other: int) -> tuple[Unit, ...]:
    """A product of two factors of these widths, of gates."""
    return (Unit("product", 1, max(2, width, other), bits=max(2, min(width, other))),)


def constant_product(width: int, constant: int) -> tuple[Unit, ...]:
    """A factor of that width times a constant, of gates: an addition less than it has signed digits.

    Where all of them are negative one more, for the first is subtracted too.
    """
    digits = signed_digits(constant)
    adds = len(digits) - any(digit > 0 for _, digit in digits)
    return (Unit("add", adds, width + 1),) if adds else ()


def _popcount_apart(unit: Unit) -> tuple[Unit, ...]:
    if unit.op in ("constant_popcount", "two_word_popcount") and unit.choices is not None:
        return (replace(unit, op="plain_popcount", count=unit.count * unit.choices, choices=None),)
    if unit.op == "masked_two_word_popcount" and unit.choices is not None:
        return (replace(unit, op="masked_popcount", count=unit.count * unit.choices, choices=None),)
    if unit.op == "plain_popcount":
        return (replace(unit, op="xnor_popcount"),)
    if unit.op == "masked_popcount" and unit.bits is not None:
        return (replace(unit, op="xnor_popcount"), masks(unit.count, unit.bits))
    return (unit,)
