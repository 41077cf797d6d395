"""The two arithmetics of the interpreter: how constants are held, and what a stored value is cut to."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from abcost.core.node import Constant
from abcost.errors import GraphError


def is_power_of_two(values: torch.Tensor) -> torch.Tensor:
    """Whether |value| is exactly 2**k for an integer k, value by value. Any shape in, bool out.

    >>> is_power_of_two(torch.tensor([0.25, -4.0, 0.0, 3.0])).tolist()
    [True, True, False, False]
    """
    mantissa, _ = torch.frexp(values.to(torch.float64).abs())
    return mantissa == 0.5


def _one_bit(constant: Constant) -> torch.Tensor:
    """Binary constants as hardware stores them: 0, which torch.sign can leave, is +1."""
    values = constant.real()
    return torch.where(values == 0, 1.0, values)


@dataclass(frozen=True, slots=True)
class Floating:
    """Float64, no rounding. `hardware_sign`: x >= 0 -> +1 instead of torch's sign(0) = 0."""

    hardware_sign: bool = False

    def constant(self, constant: Constant) -> torch.Tensor:
        """The constant as it is."""
        return _one_bit(constant) if constant.binary and self.hardware_sign else constant.real()

    def settle(self, values: torch.Tensor) -> torch.Tensor:
        """The value as it is stored: unchanged."""
        return values


@dataclass(slots=True)
class FixedPoint:
    """Multiples of 2**-fraction_bits; `largest` is the largest magnitude that was met.

    width: bits of a register that holds a real value, in two's complement; what does not fit wraps, as in the hardware
    units, and is counted. None: as wide as needed. Sums inside a dot product are as wide as they need to be, and so are
    constants.
    """

    fraction_bits: int
    hardware_sign: bool = True
    width: int | None = None
    largest: float = field(default=0.0)
    lowest: float = field(default=0.0)  # of the real values, before they wrapped
    highest: float = field(default=0.0)
    overflows: int = field(default=0)  # values that wrapped

    def constant(self, constant: Constant) -> torch.Tensor:
        """Rounded to the grid, powers of two and +-1 exact; as the constant says, where it does."""
        if constant.fixed is not None:
            return constant.fixed
        if constant.binary:
            return _one_bit(constant)
        values = constant.real()
        grid = 2.0**self.fraction_bits
        return torch.where(is_power_of_two(values), values, torch.round(values * grid) / grid)

    def settle(self, values: torch.Tensor) -> torch.Tensor:
        """Cut to the grid, towards minus infinity. Raises GraphError where float64 could not be exact."""
        grid = 2.0**self.fraction_bits
        self.met(float(values.abs().max()) if values.numel() else 0.0)
        return torch.floor(values * grid) / grid

    def met(self, largest: float) -> None:
        """Note the largest magnitude of some values before they are cut. Raises GraphError as `settle`."""
        grid = 2.0**self.fraction_bits
        if not largest * grid * grid < 2.0**52:  # also refuses NaN
            raise GraphError(
                f"fixed-point execution met {largest:.3g}, too large for {self.fraction_bits} fraction bits"
            )
        self.largest = max(self.largest, largest)

    def store(self, values: torch.Tensor) -> torch.Tensor:
        """Real values as a register of `width` bits holds them.

        y = (x + 2**(width-1-F)) mod 2**(width-F) - 2**(width-1-F)
        """
        if values.numel():
            low, high = torch.aminmax(values)
            self.lowest, self.highest = min(self.lowest, float(low)), max(self.highest, float(high))
        if self.width is None:
            return values
        half = 2.0 ** (self.width - 1 - self.fraction_bits)
        held = torch.remainder(values + half, 2 * half) - half
        self.overflows += int((held != values).sum())
        return held

    @property
    def needed_width(self) -> int:
        """Bits that hold every real value that was met, sign and fraction bits included."""
        grid = 2**self.fraction_bits
        above, below = int(self.highest * grid), max(0, int(-self.lowest * grid) - 1)  # -2**n needs n bits
        return 1 + max(above.bit_length(), below.bit_length())


Arithmetic = Floating | FixedPoint
