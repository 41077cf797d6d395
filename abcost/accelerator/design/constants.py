"""Constants of a chain as whole numbers: rounded as the reference interpreter rounds them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from abcost.accelerator.design.net import NumberFormat
from abcost.classify.counts import exponents_of
from abcost.core.exponents import code_bits, selected
from abcost.core.interpret import FixedPoint, is_power_of_two
from abcost.core.kinds import OpKind
from abcost.core.node import Constant, OpNode
from abcost.errors import UsageError


def on_grid(
    constant: Constant, number: NumberFormat, cut: Callable[[Tensor], Tensor] | None = None
) -> list[int]:
    """The constant's values as multiples of 2**-fraction_bits, rounded to the nearest.

    The interpreter holds powers of two exactly, also below the grid. cut: rounds such a scaled value to what it acts
    as on values on the grid. Raises UsageError for such a value without `cut`, and for one beyond the width.
    """
    values = (constant.real() if constant.fixed is None else constant.fixed).flatten()
    scaled = values * 2.0**number.fraction_bits
    fine = (scaled != torch.floor(scaled)) & (is_power_of_two(values) | (constant.fixed is not None))
    if cut is None and bool(fine.any()):
        raise UsageError(
            f"a factor of {float(values[fine][0])} is below {number.fraction_bits} fraction bits; "
            "give a larger --fraction-bits"
        )
    rounded = [int(v) for v in torch.where(fine, (cut or torch.round)(scaled), torch.round(scaled)).tolist()]
    check_fits(rounded, number)
    return rounded


def weight_fraction(weight: Constant, number: NumberFormat) -> int:
    """Bits of a stored weight behind the point: none of whole numbers."""
    whole = not weight.values.is_floating_point() and weight.scale is None
    return 0 if whole else number.fraction_bits


def weight_numbers(weight: Constant, number: NumberFormat) -> list[int]:
    """Weights of a real dot product as they are stored: multiples of 2**-`weight_fraction`. Raises UsageError."""
    return on_grid(weight, NumberFormat(number.width, weight_fraction(weight, number)))


def check_fits(values: list[int], number: NumberFormat) -> None:
    """Raises UsageError if one does not fit the width."""
    limit = 1 << (number.width - 1)
    if any(not -limit <= v < limit for v in values):
        raise UsageError(
            f"a parameter needs more than {number.width} bits at {number.fraction_bits} fraction bits; "
            "give a larger --width or a smaller --fraction-bits"
        )


def levels(node: OpNode, number: NumberFormat, fraction_bits: int) -> list[int]:
    """The least x, as a whole number at so many fraction bits, from which on the comparison of a threshold holds.

    Where the gain of a channel is negative the comparison is the other one's inverse: +1 where not x >= level. Where
    it is 0 all x are above. Sign of 0: -1 means that x has to exceed the level.
    """
    exact = FixedPoint(number.fraction_bits).constant(node.consts["level"]).flatten() * 2.0**fraction_bits
    above = node.attrs["at_zero"] == -1
    at_least = torch.floor(exact) + 1 if above else torch.ceil(exact)
    found = [int(v) for v in at_least.tolist()]
    if "gain" in node.consts:
        gains = node.consts["gain"].real().flatten().expand(len(found)).tolist()
        inverse = torch.ceil(exact) if above else torch.floor(exact) + 1
        for i, (gain, level) in enumerate(zip(gains, inverse.tolist(), strict=True)):
            if gain < 0:
                found[i] = int(level)
            elif gain == 0:
                found[i] = (1 << 62) if above else -(1 << 62)
    return found


def flips(node: OpNode) -> list[int]:
    """1 for the channels whose comparison is inverted."""
    return [int(gain < 0) for gain in node.consts["gain"].real().flatten().tolist()]


def stored_bits(constant: Constant, width: int, fraction_bits: int) -> int:
    """Bits of a two's complement that holds all its values at so many fraction bits, at most `width`."""
    scaled = torch.round(constant.real() * 2.0**fraction_bits)
    magnitude = torch.maximum(scaled, -scaled - 1).max()
    return min(width, int(magnitude).bit_length() + 1)


def varies(node: OpNode, role: str) -> bool:
    """Whether a parameter is not the same number everywhere, and thus stored.

    A level is stored one step further where the gain is negative, so gains that differ are levels that differ.
    """
    if role == "level" and "gain" in node.consts and node.consts["gain"].distinct > 1:
        return True
    return (len(exponents_of(node)) if role == "exponent" else node.consts[role].distinct) > 1


def parameter_bits(node: OpNode, role: str, width: int, fraction_bits: int) -> int:
    """Bits of one stored parameter: the code of an exponent, or what its values need."""
    if role != "exponent":
        constant = node.consts[role]
        return 1 if constant.binary else stored_bits(constant, width, fraction_bits)
    exponents = exponents_of(node).at(width)
    return max(1, code_bits(selected(exponents, identity=node.kind is OpKind.SHIFT_PRELU)))
