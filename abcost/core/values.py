"""What a tensor can hold: the lattice of value sets.

A set is an interval of real numbers, and where more is known a grid in it:

    value = factor * (scale * k + offset),   k a whole number of `low` … `high`, or one of `members`

`scale` and `offset` are constants, one for the tensor or broadcast over some of its axes (one per channel); `factor` is
a computed tensor of which only the axes along which it varies are known (a mean per image). Sets are meant with
hardware's signs: a sign of 0 is one of its two values.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

MOST_MEMBERS = 16
"""Sets of up to so many values are kept value by value."""
UNBOUNDED = 2**62
"""Largest whole number of a grid without limits (a rounded real number)."""
NOISE = 2.0**-40
"""Relative distance at which two float64 numbers that come from different sums are taken for one."""

INFINITY = math.inf


@dataclass(frozen=True, eq=False)
class Grid:
    """scale * k + offset, times a computed factor where `varies` is not None.

    scale, offset: float64, broadcastable to the tensor's shape. low, high: least and largest k. members: the k that
    occur, in rising order, where they are fewer than all. padded: 0 occurs besides, where a tensor was padded with it.
    varies: axes, counted from the last (-1), along which the computed factor differs; None where there is none.
    """

    scale: Tensor
    offset: Tensor
    low: int
    high: int
    members: tuple[int, ...] | None = None
    padded: bool = False
    varies: frozenset[int] | None = None

    @cached_property
    def levels(self) -> int:
        """Number of values, at one place of the tensor, of the uncomputed part."""
        return self.high - self.low + 1 if self.members is None else len(self.members)

    @cached_property
    def bits(self) -> int:
        """Bits of one element as hardware codes it: ceil(log2(levels)) where levels are equally spaced.

        Other sets are held as their whole numbers without a common factor, in two's complement if some are negative.
        """
        if self.members is not None and self.levels > 2:
            gaps = {b - a for a, b in zip(self.members, self.members[1:], strict=False)}
            if len(gaps) > 1:
                step = math.gcd(*self.members)  # a factor of all is a part of the scale
                reach = max(self.high // step, -self.low // step - 1)
                return reach.bit_length() + (self.low < 0)
        return max(1, (self.levels - 1).bit_length())

    @cached_property
    def uniform(self) -> bool:
        """Whether scale and offset are one number each, and nothing is computed."""
        return self.scale.numel() == 1 and self.offset.numel() == 1 and self.varies is None

    @cached_property
    def whole(self) -> bool:
        """Whether the values are whole numbers as they stand: scale 1, offset a whole number."""
        return (
            self.uniform
            and float(self.scale) in (1.0, -1.0)
            and float(self.offset).is_integer()
            and not self.padded
        )

    @cached_property
    def ternary(self) -> bool:
        """Whether the whole numbers are -1, 0 and 1."""
        return (self.low, self.high) == (-1, 1) and self.levels == 3

    def ks(self) -> range | tuple[int, ...]:
        """The whole numbers, in rising order."""
        return range(self.low, self.high + 1) if self.members is None else self.members

    def values(self) -> tuple[float, ...] | None:
        """All values in rising order, if they are few and the same everywhere."""
        if not self.uniform or self.levels > MOST_MEMBERS:
            return None
        scale, offset = float(self.scale), float(self.offset)
        found = {scale * k + offset for k in self.ks()}
        return tuple(sorted(found | {0.0} if self.padded else found))

    def contains(self, values: Tensor, tolerance: float = 1e-9) -> bool:
        """Whether every element of a tensor of the right shape is in the set; nothing is asked of a computed factor."""
        if self.varies is not None:
            return True
        k = (values.to(torch.float64) - self.offset) / torch.where(self.scale == 0, 1.0, self.scale)
        near = torch.round(k)
        inside = (k - near).abs() <= tolerance * (1 + k.abs())
        inside &= (near >= self.low) & (near <= self.high)
        if self.members is not None:
            inside &= torch.isin(near, torch.tensor(self.members, dtype=torch.float64))
        if self.padded:
            inside |= values == 0
        return bool(inside.all())


@dataclass(frozen=True, eq=False)
class Values:
    """The values of a tensor: all between `least` and `most`, and on `grid` where there is one."""

    least: float = -INFINITY
    most: float = INFINITY
    grid: Grid | None = None

    @property
    def code(self) -> Grid | None:
        """The grid if its elements are the same everywhere and nothing is computed."""
        return self.grid if self.grid is not None and self.grid.uniform else None

    def contains(self, values: Tensor) -> bool:
        """Whether a tensor could be of this set, up to rounding."""
        if not values.numel():
            return True
        low, high = float(values.min()), float(values.max())
        slack = 1e-9 * (1 + max(abs(low), abs(high)))
        inside = self.least - slack <= low and high <= self.most + slack
        return inside and (self.grid is None or self.grid.contains(values))


ANY = Values()
"""Nothing is known."""


def scalar(value: float) -> Tensor:
    """A number as a scale or offset."""
    return torch.tensor(value, dtype=torch.float64)


ONE, ZERO = scalar(1.0), scalar(0.0)


def of_grid(grid: Grid) -> Values:
    """A grid with the interval that it spans."""
    if grid.varies is not None:
        return Values(grid=grid)
    ends = [grid.scale * k + grid.offset for k in (grid.low, grid.high)]
    least = min(float(end.min()) for end in ends) if ends[0].numel() else 0.0
    most = max(float(end.max()) for end in ends) if ends[0].numel() else 0.0
    if grid.padded:
        least, most = min(least, 0.0), max(most, 0.0)
    if grid.low <= -UNBOUNDED or grid.high >= UNBOUNDED:
        rising = bool((grid.scale > 0).all())
        least = least if rising and grid.low > -UNBOUNDED else -INFINITY
        most = most if rising and grid.high < UNBOUNDED else INFINITY
    return Values(least, most, grid)


def whole_numbers(low: int, high: int) -> Values:
    """All whole numbers from `low` to `high`."""
    return of_grid(Grid(ONE, ZERO, max(low, -UNBOUNDED), min(high, UNBOUNDED)))


def interval(least: float, most: float) -> Values:
    """Real numbers between two limits."""
    return Values(least, most)


def two_values(low: float, high: float) -> Values:
    """One of two numbers; +-1 and 0/1 are held as the whole numbers that they are."""
    return from_values([low, high])


def from_values(values: Iterable[float]) -> Values:
    """The set of these numbers: a grid if they are few whole multiples of one step, else the interval they span."""
    found = sorted({float(v) for v in values})
    if not found or any(math.isnan(v) for v in found):
        return ANY
    if math.isinf(found[0]) or math.isinf(found[-1]) or len(found) > MOST_MEMBERS:
        return Values(found[0], found[-1])
    if all(v.is_integer() and abs(v) < UNBOUNDED for v in found):
        return of_grid(grid_of([int(v) for v in found], ONE, ZERO))
    step = _common_step([b - found[0] for b in found[1:]] or [found[0]])
    if step is None:
        return Values(found[0], found[-1])
    multiple = found[0] / step
    base = found[0] if abs(multiple - round(multiple)) > NOISE * (1 + abs(multiple)) else 0.0
    return of_grid(grid_of([round((v - base) / step) for v in found], scalar(step), scalar(base)))


def grid_of(ks: Sequence[int], scale: Tensor, offset: Tensor) -> Grid:
    """A grid of these whole numbers, in rising order."""
    full = ks[-1] - ks[0] + 1 == len(ks)
    return Grid(scale, offset, ks[0], ks[-1], None if full else tuple(ks))


def _common_step(distances: Sequence[float]) -> float | None:
    """The largest number of which all are whole multiples of at most 2**20, up to noise; None if there is none."""
    step = 0.0
    largest = max(abs(d) for d in distances)
    if largest == 0:
        return None
    for distance in distances:
        a, b = max(step, abs(distance)), min(step, abs(distance))
        while b > largest * NOISE * 2**10:
            a, b = b, math.remainder(a, b)
            b = abs(b)
        step = a
        if step < largest * 2.0**-20:
            return None
    return step
