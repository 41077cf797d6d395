"""Weights in canonical signed digits, worked off one digit of every weight per clock cycle.

    x * w = sum over the digits of w of +-x * 2**place

A stored word of a digit is, from the lowest bit on: the code that selects its place, its sign (1 is +), and whether it
is there; a weight with fewer digits than the longest of its layer has some that are not.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from abcost.accelerator.design.constants import weight_numbers
from abcost.accelerator.design.net import NumberFormat
from abcost.accelerator.engine import Engine
from abcost.core.adders.signed_digits import signed_digits
from abcost.errors import UsageError
from abcost.rtl.units.exponents import Selection


@dataclass(frozen=True, slots=True)
class Digits:
    """How the digits of a layer are coded. places: 0 to that of the highest digit."""

    selection: Selection

    @property
    def places(self) -> tuple[int, ...]:
        """Exponents that a digit may have."""
        return self.selection.choices

    @property
    def bits(self) -> int:
        """Bits of a stored digit: code of its place, sign, presence."""
        return self.selection.bits + 2

    def word(self, place: int, sign: int) -> int:
        """A digit as it is stored."""
        return self.selection.code(place) | (sign > 0) << self.selection.bits | 2 << self.selection.bits


def digits_of(word: int) -> Digits:
    """Digits of weights of `word` bits: the highest digit of such a number is at most at its sign bit.

    >>> digits_of(4).places, digits_of(4).bits   # 7 = 8 - 1
    ((0, 1, 2, 3), 4)
    """
    return Digits(Selection(tuple(range(word))))


def digit_words(engine: Engine, number: NumberFormat, word: int) -> Tensor:
    """Stored digits of all weights, (digits, *shape of the weights). word: bits of a weight.

    Raises UsageError where a weight has more digits at this number format than the graph was lowered for.
    """
    weight, coded = engine.dot.consts["weight"], digits_of(word)
    known: dict[int, list[int]] = {0: []}
    found = []
    for value in weight_numbers(weight, number):
        if value not in known:
            known[value] = [coded.word(place, sign) for place, sign in signed_digits(value)]
            if len(known[value]) > engine.digits:
                raise UsageError(
                    f"layer {engine.name}: a weight has more than {engine.digits} signed digits at "
                    f"{number.fraction_bits} fraction bits; give the --fraction-bits that it was lowered with"
                )
        found.append(known[value] + [0] * (engine.digits - len(known[value])))
    return torch.tensor(found).t().reshape(engine.digits, *weight.values.shape)
