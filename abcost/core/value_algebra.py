"""Operations on value sets: images, joins, sums and products, as exact as the lattice can hold them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from abcost.core.values import (
    ANY,
    INFINITY,
    MOST_MEMBERS,
    NOISE,
    ONE,
    UNBOUNDED,
    ZERO,
    Grid,
    Values,
    from_values,
    grid_of,
    of_grid,
    scalar,
)

_LARGEST_CONSTANT = 2**16
"""Elements of a scale or offset that are kept; of more, only the interval is."""


def affine(values: Values, factor: Tensor, offset: Tensor) -> Values:
    """The set of factor * value + offset, both constants broadcast over the tensor."""
    factor, offset = factor.to(torch.float64), offset.to(torch.float64)
    if not factor.numel() or not offset.numel():
        return ANY
    ends = [_times(float(f), end) for f in torch.aminmax(factor) for end in (values.least, values.most)]
    least, most = min(ends) + float(offset.min()), max(ends) + float(offset.max())
    if math.isnan(least) or math.isnan(most):
        least, most = -INFINITY, INFINITY
    grid = values.grid
    if grid is None:
        return Values(least, most)
    padded = grid.padded
    if grid.varies is not None and bool((offset != 0).any()):
        return Values(least, most)
    if padded and bool((offset != 0).any()):
        grid = unpadded(values).grid
        padded = False
        if grid is None:
            return Values(least, most)
    scale, moved = grid.scale * factor, grid.offset * factor + offset
    if max(scale.numel(), moved.numel()) > _LARGEST_CONSTANT:
        return Values(least, most)
    return Values(least, most, canonical(replace(grid, scale=scale, offset=moved, padded=padded)))


def _times(factor: float, end: float) -> float:
    return 0.0 if factor == 0 or end == 0 else factor * end


def canonical(grid: Grid) -> Grid:
    """The same values with whole numbers at scale 1, where they are: 2 * {0, 1} - 1 is {-1, 1}."""
    if not grid.uniform or grid.padded or (float(grid.scale), float(grid.offset)) == (1.0, 0.0):
        return grid
    few = grid.values()
    if few is not None and all(v.is_integer() and abs(v) < UNBOUNDED for v in few):
        return grid_of([int(v) for v in few], ONE, ZERO)
    grid = _positive(grid)
    if float(grid.scale) == 1 and float(grid.offset).is_integer() and grid.members is None:
        shift = int(grid.offset)
        return Grid(ONE, ZERO, grid.low + shift, grid.high + shift)
    return grid


def _positive(grid: Grid) -> Grid:
    """The grid with a positive scale: -s * k is s * -k."""
    if float(grid.scale) >= 0:
        return grid
    members = None if grid.members is None else tuple(sorted(-k for k in grid.members))
    return replace(grid, scale=-grid.scale, low=-grid.high, high=-grid.low, members=members)


def mapped(values: Values, function: Callable[[Tensor], Tensor]) -> Values | None:
    """The image of few values under a function of single elements; None if they are many or not the same everywhere."""
    few = None if values.grid is None else values.grid.values()
    if few is None:
        return None
    image = function(torch.tensor(few, dtype=torch.float64)).to(torch.float64)
    return from_values(image.flatten().tolist())


def unpadded(values: Values) -> Values:
    """The values with the 0 that padding brought in as an ordinary value."""
    if values.grid is None or not values.grid.padded:
        return values
    return join(Values(values.least, values.most, replace(values.grid, padded=False)), from_values([0.0]))


def join(*sets: Values) -> Values:
    """What is in any of them: the grid that holds all, else the interval."""
    if len({id(s) for s in sets}) == 1:
        return sets[0]
    sets = tuple(unpadded(s) for s in sets)
    least, most = min(s.least for s in sets), max(s.most for s in sets)
    codes = [s.code for s in sets]
    if any(code is None for code in codes):
        return Values(least, most, _same_grid([s.grid for s in sets]))
    few = [code.values() for code in codes if code is not None]
    if all(f is not None for f in few):
        together = {v for f in few if f is not None for v in f}
        if len(together) <= MOST_MEMBERS:
            return from_values(together)
    grid = codes[0]
    for other in codes[1:]:
        grid = None if grid is None or other is None else _joined(grid, other)
    return Values(least, most, grid)


def _same_grid(grids: Sequence[Grid | None]) -> Grid | None:
    """The grid that all of them are, if scales and offsets are the same tensors."""
    first = grids[0]
    if first is None or first.varies is not None:
        return None
    for grid in grids[1:]:
        if grid is None or grid.varies is not None or grid.scale.shape != first.scale.shape:
            return None
        if not torch.equal(grid.scale, first.scale) or not torch.equal(grid.offset, first.offset):
            return None
    low, high = min(g.low for g in grids if g), max(g.high for g in grids if g)
    return Grid(first.scale, first.offset, low, high)


def aligned(a: Grid, b: Grid) -> tuple[Grid, Grid] | None:
    """Both uniform grids on the finer of their scales, if the coarser one is a whole multiple of it."""
    small = min(abs(float(a.scale)), abs(float(b.scale)))
    if small == 0:
        return None
    found = []
    for grid in (a, b):
        ratio = float(grid.scale) / small
        if abs(ratio - round(ratio)) > NOISE * abs(ratio) or abs(ratio) > 2**20:
            return None
        r = round(ratio)
        ends = sorted((r * grid.low, r * grid.high))
        members: tuple[int, ...] | None = None
        if abs(r) != 1 or grid.members is not None:
            members = None if grid.levels > MOST_MEMBERS else tuple(sorted(r * k for k in grid.ks()))
        found.append(Grid(scalar(small), grid.offset, ends[0], ends[1], members))
    return found[0], found[1]


def _joined(a: Grid, b: Grid) -> Grid | None:
    pair = aligned(a, b)
    if pair is None:
        return None
    a, b = pair
    shift = (float(b.offset) - float(a.offset)) / float(a.scale)
    if abs(shift - round(shift)) > NOISE * (1 + abs(shift)):
        return None
    s = round(shift)
    return canonical(Grid(a.scale, a.offset, min(a.low, b.low + s), max(a.high, b.high + s)))


def total(a: Values, b: Values) -> Values:
    """The set of sums of a value of each."""
    a, b = unpadded(a), unpadded(b)
    least, most = a.least + b.least, a.most + b.most
    left, right = a.code, b.code
    if left is None or right is None:
        return Values(least, most)
    pair = aligned(left, right)
    if pair is None:
        few = left.values(), right.values()
        if few[0] is None or few[1] is None:
            return Values(least, most)
        sums = {x + y for x in few[0] for y in few[1]}
        return from_values(sums) if len(sums) <= MOST_MEMBERS else Values(least, most)
    left, right = pair
    members: tuple[int, ...] | None = None
    if left.levels * right.levels <= MOST_MEMBERS**2:
        sums_of_k = sorted({x + y for x in left.ks() for y in right.ks()})
        full = sums_of_k[-1] - sums_of_k[0] + 1 == len(sums_of_k)
        members = None if full or len(sums_of_k) > MOST_MEMBERS else tuple(sums_of_k)
    grid = Grid(
        left.scale,
        left.offset + right.offset,
        max(left.low + right.low, -UNBOUNDED),
        min(left.high + right.high, UNBOUNDED),
        members,
    )
    return Values(least, most, canonical(grid))


def repeated(values: Values, times: int, *, padded: bool = False) -> Values:
    """The set of sums of `times` values of the set; `padded`: some of them may be missing."""
    values = unpadded(values)
    ends = [_times(times, values.least), _times(times, values.most)]
    least, most = (min(ends[0], 0.0), max(ends[1], 0.0)) if padded else (ends[0], ends[1])
    grid = values.code
    if grid is None:
        return Values(least, most)
    based = without_offset(grid)
    if based is None:
        if padded:
            return Values(least, most)
        return Values(
            least, most, canonical(Grid(grid.scale, grid.offset * times, times * grid.low, times * grid.high))
        )
    low, high = times * based.low, times * based.high
    if padded:
        low, high = min(low, 0), max(high, 0)
    return of_grid(canonical(Grid(based.scale, ZERO, low, high)))


def without_offset(grid: Grid) -> Grid | None:
    """The same values as whole multiples of the scale; None if the offset is none."""
    if not grid.uniform or float(grid.scale) == 0:
        return None
    shift = float(grid.offset) / float(grid.scale)
    if abs(shift - round(shift)) > NOISE * (1 + abs(shift)):
        return None
    s = round(shift)
    members = None if grid.members is None else tuple(k + s for k in grid.members)
    return replace(grid, offset=ZERO, low=grid.low + s, high=grid.high + s, members=members)


def product(a: Values, b: Values) -> Values:
    """The set of products of a value of each, both the same everywhere."""
    a, b = unpadded(a), unpadded(b)
    ends = [_times(x, y) for x in (a.least, a.most) for y in (b.least, b.most)]
    least, most = min(ends), max(ends)
    few = [None if v.code is None else v.code.values() for v in (a, b)]
    if few[0] is not None and few[1] is not None:
        found = {x * y for x in few[0] for y in few[1]}
        if len(found) <= MOST_MEMBERS:
            return from_values(found)
    grids = [None if v.code is None else without_offset(v.code) for v in (a, b)]
    left, right = grids
    if left is None or right is None:
        return Values(least, most)
    corners = [x * y for x in (left.low, left.high) for y in (right.low, right.high)]
    if max(map(abs, corners)) >= UNBOUNDED:
        return Values(least, most)
    return of_grid(canonical(Grid(left.scale * right.scale, ZERO, min(corners), max(corners))))


def clamped(values: Values, low: float | None, high: float | None) -> Values:
    """The set of min(max(value, low), high)."""
    values = unpadded(values)
    few = mapped(values, lambda v: torch.clamp(v, low, high))
    if few is not None:
        return few
    bottom, top = -INFINITY if low is None else low, INFINITY if high is None else high
    least, most = max(min(values.least, top), bottom), min(max(values.most, bottom), top)
    grid = values.code
    if grid is None or float(grid.scale) <= 0:
        return Values(least, most)
    ends = [grid.low, grid.high]
    scale, offset = float(grid.scale), float(grid.offset)
    for side, limit in ((0, low), (1, high)):
        if limit is None:
            continue
        k = (limit - offset) / scale
        outside = k > ends[0] if side == 0 else k < ends[1]
        if outside and abs(k - round(k)) > NOISE * (1 + abs(k)):
            return Values(least, most)  # the limit itself is no value of the grid
        if outside:
            ends[side] = round(k)
    if ends[0] > ends[1]:
        return Values(least, most)
    return of_grid(canonical(replace(grid, low=ends[0], high=ends[1], members=None)))
