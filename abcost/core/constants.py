"""Which values a constant holds."""

from __future__ import annotations

from weakref import WeakKeyDictionary

import torch

from abcost.core.node import Constant
from abcost.core.values import (
    ANY,
    MOST_MEMBERS,
    ZERO,
    Grid,
    Values,
    affine,
    canonical,
    from_values,
    interval,
    of_grid,
    two_values,
)

_FEW_ELEMENTS = 2**16
"""Real constants of more elements are not searched for few distinct values."""

_known: WeakKeyDictionary[Constant, Values] = WeakKeyDictionary()


def constant_values(constant: Constant) -> Values:
    """The set of a constant's values: +-1 for binary ones (a 0 is stored as +1), whole numbers, few reals, an interval."""
    found = _known.get(constant)
    if found is None:
        found = _known[constant] = _read(constant)
    return found


def _read(constant: Constant) -> Values:
    if constant.binary:
        plain = two_values(-1.0, 1.0)
    else:
        plain = _of_tensor(constant.values)
    return plain if constant.scale is None else affine(plain, constant.scale, ZERO)


def _of_tensor(values: torch.Tensor) -> Values:
    if not values.numel() or values.is_complex():
        return ANY
    if values.dtype is torch.bool:
        return two_values(0.0, 1.0)
    least, most = (float(v) for v in torch.aminmax(values))
    if values.is_floating_point():
        few = values.numel() <= _FEW_ELEMENTS and torch.unique(values)
        if few is not False and few.numel() <= MOST_MEMBERS:
            return from_values(few.to(torch.float64).tolist())
        return interval(least, most)
    if most - least < MOST_MEMBERS:
        return from_values(torch.unique(values).tolist())
    if values.numel() <= _FEW_ELEMENTS and (few := torch.unique(values)).numel() <= MOST_MEMBERS:
        return from_values(few.tolist())
    return of_grid(canonical(Grid(torch.ones((), dtype=torch.float64), ZERO, int(least), int(most))))
