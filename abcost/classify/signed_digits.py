"""Canonical signed digits: a constant as the fewest +-2**k."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from abcost.core.interpret import is_power_of_two


def nonzero_digits(values: torch.Tensor, fraction_bits: int) -> NDArray[np.int64]:
    """Nonzero digits of the canonical signed digit form of values that are multiples of 2**-fraction_bits.

    For an integer n the nonadjacent form has popcount(n XOR 3n) nonzero digits (Reitwiesner 1960).
    A power of two below the grid has one.

    >>> nonzero_digits(torch.tensor([0.0, 1.0, 7.0, 0.5, -7.0, 11.0]), 4).tolist()   # 7 = 8 - 1, 11 = 8 + 4 - 1
    [0, 1, 2, 1, 2, 3]
    """
    scaled = torch.round(values.to(torch.float64).abs() * 2.0**fraction_bits)
    n = scaled.to(torch.int64).numpy()
    digits = np.bitwise_count(n ^ (3 * n)).astype(np.int64)
    return np.where(is_power_of_two(values).numpy(), 1, digits)
