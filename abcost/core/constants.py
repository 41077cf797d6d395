"""Which values a constant holds."""

from __future__ import annotations

from weakref import WeakKeyDictionary

import torch

from abcost.core.node import Constant
from abcost.core.value_algebra import affine
from abcost.core.values import (
    ANY,
    MOST_MEMBERS,
    ZERO,
    Values,
    from_values,
    interval,
    two_values,
    whole_numbers,
)

_FEW_ELEMENTS = 2**16
"""Real constants of more elements are not searched for few distinct values."""

_known: WeakKeyDictionary[Constant, Values] = WeakKeyDictionary()


def constant_values(constant: Constant) -> Values:
    """What a constant holds: +-1 if it is binary (a 0 is stored as +1), whole numbers, few reals, an interval."""
    found = _known.get(constant)
    if found is None:
        found = _known[constant] = _read(constant)
    return found


def _read(constant: Constant) -> Values:
    if constant.binary:
        plain = two_values(-1.0, 1.0)
    elif constant.scale is not None:  # as tracing holds +-s: signs, and 0 where the weight is 0
        plain = whole_numbers(-1, 1)
    else:
        plain = _of_tensor(constant.values)
    return plain if constant.scale is None else affine(plain, constant.scale, ZERO)


def _of_tensor(values: torch.Tensor) -> Values:
    if not values.numel() or values.is_complex():
        return ANY
    if values.dtype is torch.bool:
        return two_values(0.0, 1.0)
    least, most = (float(v) for v in torch.aminmax(values))
    if not values.is_floating_point() and most - least < MOST_MEMBERS:
        return from_values(v for v in range(int(least), int(most) + 1) if bool((values == v).any()))
    if values.numel() <= _FEW_ELEMENTS:
        few = torch.unique(values)
        if few.numel() <= MOST_MEMBERS:
            return from_values(few.to(torch.float64).tolist())
    return interval(least, most) if values.is_floating_point() else whole_numbers(int(least), int(most))
