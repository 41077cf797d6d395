"""Sets of exponents, and the codes that select from them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from abcost.core.exponents import BY_INDEX, code_bits, selected
from abcost.core.lazy import torch
from abcost.errors import UsageError


def distinct(exponents: Iterable[int], width: int) -> tuple[int, ...]:
    """The exponents in rising order, each once; right shifts that leave only the sign are the same shift.

    Raises UsageError for none, or one beyond +-63.
    """
    found = sorted(set(exponents))
    if not found or found[0] < -63 or found[-1] > 63:
        raise UsageError(f"needs at least one exponent, each between -63 and 63, got {tuple(found)}")
    return tuple(sorted({max(e, 1 - width) for e in found}))


@dataclass(frozen=True, slots=True)
class Selection:
    """How a code says which of `choices` (exponents) is meant.

    Up to four choices: by index; a code beyond the last takes the last. More: code = largest exponent - exponent,
    the amount that a barrel shifter moves to the right, so that every exponent down to the least can be had.
    """

    choices: tuple[int, ...]

    @property
    def by_index(self) -> bool:
        """Whether the code is an index."""
        return len(self.choices) <= BY_INDEX

    @property
    def bits(self) -> int:
        """Bits of the code; 0 where there is nothing to choose."""
        return code_bits(self.choices)

    def code(self, exponent: int) -> int:
        """The code of one of the choices."""
        return self.choices.index(exponent) if self.by_index else max(self.choices) - exponent

    def exponent(self, codes: torch.Tensor) -> torch.Tensor:
        """The exponent that each code selects."""
        if not self.by_index:
            return max(self.choices) - codes
        return torch.tensor(self.choices)[codes.clamp(max=len(self.choices) - 1)]


def prelu_selection(exponents: Iterable[int], width: int) -> Selection:
    """How a code says which slope of a power-of-two PReLU is meant.

    >>> prelu_selection([-3, 1], 8).choices, prelu_selection([-3, 0], 8).choices
    ((-3, 1), (-3, 0))
    """
    return Selection(selected(distinct(exponents, width), identity=True))
