"""Reading few-valued weights off real ones: {p, q}, whole multiples of a step, powers of two, sums of bases.

Every reader takes a weight as rows, one for each output channel, and says nothing (None) of any other weight. Rounding
noise (`abcost.core.binary`) is forgiven, so that `a - c + c` and scales applied in single precision are seen through.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from abcost.core.binary import float_noise, noise

LARGEST_WHOLE = 255
"""Largest whole number of a weight; all together have at most 256 values, 8 bits."""
_CHANCE = 1e-6
FEWEST_TAPS = 4
"""Rows of fewer weights are whole multiples of some step by chance."""
_SAMPLE = 64
_MOST_BASES = 3


class Levels(NamedTuple):
    """rows = scale[:, None] * values, up to noise.

    values: int8 (int16 beyond it), or float where powers of two reach further.
    """

    values: Tensor
    scale: Tensor


class Bases(NamedTuple):
    """rows = sum over i of scales[i][:, None] * signs[i] + offset[:, None], up to noise; signs: int8, +-1."""

    signs: tuple[Tensor, ...]
    scales: tuple[Tensor, ...]
    offset: Tensor


def plainly_real(rows: Tensor) -> bool:
    """Whether no reader here could say anything of these weights, seen from numbers of the first row alone.

    Almost every row of trained real weights shows it, which saves hundreds of small operations on tensors. Twice the
    noise that readers forgive is forgiven here, so that rounding decides nothing; where it is close, they are asked.

        {p, q}:              some number is near neither the least nor the largest
        s * +-2**k:          mantissas differ
        n * s, n <= 255:     two magnitudes differ by less than s, which is the largest / 255 or more
        sums of bases:       more numbers than half the sample
    """
    sample = rows[0, :_SAMPLE].tolist()
    magnitudes = sorted({abs(value) for value in sample if value})
    if len({*sample}) <= _SAMPLE // 2 or not math.isfinite(sum(magnitudes)):
        return False
    low, high = min(sample), max(sample)
    allowed = 2 * float_noise(magnitudes[-1], rows.dtype)
    if all(min(value - low, high - value) <= allowed for value in sample):
        return False
    mantissas = [math.frexp(value)[0] for value in magnitudes]
    if max(mantissas) - min(mantissas) <= 2.0**-19:
        return False
    largest = float(rows.abs().max())
    allowed, step = 4 * float_noise(largest, rows.dtype), magnitudes[-1] / LARGEST_WHOLE
    return any(allowed < b - a < step - allowed for a, b in pairwise(magnitudes))


def two_valued(rows: Tensor) -> Bases | Levels | None:
    """Rows of two values each: {0, s} as whole numbers, any other {p, q} as (q - p) / 2 * b + (p + q) / 2."""
    if not _near_ends(rows[:1, :_SAMPLE]):
        return None
    low, high = torch.aminmax(rows, dim=1)
    allowed = noise(torch.maximum(low.abs(), high.abs()))[:, None]
    up = rows - low[:, None] > (high - low)[:, None] / 2
    nearest = torch.where(up, high[:, None], low[:, None])
    if not bool(((rows - nearest).abs() <= allowed).all()) or not bool((high > low).any()):
        return None
    low, high = _means(rows, ~up, low), _means(rows, up, high)
    zero = (low == 0) | (high == 0)
    if bool(zero.all()):
        values = torch.where(high[:, None] == 0, ~up, up) & (rows != 0)
        return Levels(values.to(torch.int8), torch.where(high == 0, low, high))
    signs = up.to(torch.int8) * 2 - 1
    flat = high == low  # one value throughout: its sign is in the scale
    signs[flat] = 1
    half, middle = (high - low) / 2, (high + low) / 2
    return Bases((signs,), (torch.where(flat, high, half),), torch.where(flat, 0.0, middle))


def _near_ends(rows: Tensor) -> bool:
    """Whether each element is the least or the largest of its row, up to noise."""
    low, high = torch.aminmax(rows, dim=1, keepdim=True)
    allowed = noise(torch.maximum(low.abs(), high.abs()))
    return bool((torch.minimum(rows - low, high - rows) <= allowed).all())


def _means(rows: Tensor, chosen: Tensor, fallback: Tensor) -> Tensor:
    """The mean of the chosen elements of each row, exactly the value where all are the same."""
    one = torch.where(chosen, rows, fallback[:, None])
    same = (one == fallback[:, None]).all(dim=1)
    count = chosen.sum(dim=1).clamp(min=1)
    return torch.where(same, fallback, torch.where(chosen, rows, 0.0).sum(dim=1) / count)


def powers_of_two(rows: Tensor) -> Levels | None:
    """Rows of s * +-2**k and 0, with at least two different k somewhere; s is 1 or the mantissa that a row shares."""
    sample = rows[:1, :_SAMPLE].abs()
    if not _shares_mantissa(sample).all():
        return None
    if not bool(_shares_mantissa(rows.abs()).all()):
        return None
    mantissa, exponent = torch.frexp(rows.abs().to(torch.float64))
    living = rows != 0
    if not bool(living.any()):
        return None
    scale = torch.where(living, mantissa, 0.0).amax(dim=1)
    scale = torch.where((scale == 0) | (scale - 0.5 <= 2.0**-20), 1.0, scale)  # a power of two throughout
    shift = torch.where(scale == 1.0, exponent.amax(dim=1) * 0 - 1, exponent.amax(dim=1) * 0)
    least = torch.where(living, exponent, torch.iinfo(torch.int32).max).amin()
    most = torch.where(living, exponent, torch.iinfo(torch.int32).min).amax()
    if least == most:
        return None
    powers = torch.where(living, torch.exp2((exponent + shift[:, None]).to(torch.float64)), 0.0)
    return Levels(powers * torch.sign(rows), scale)


def _shares_mantissa(magnitude: Tensor) -> Tensor:
    """Which rows have one mantissa, up to noise, in all that is not 0."""
    mantissa = torch.frexp(magnitude.to(torch.float64))[0]
    low = torch.where(magnitude > 0, mantissa, 2.0).amin(dim=1)
    high = mantissa.amax(dim=1)
    return (high == 0) | (high - low <= 2.0**-20)


def whole_multiples(rows: Tensor) -> Levels | None:
    """Rows of s * v, v whole numbers of up to 8 bits: of one s for the tensor, else of one for each row."""
    if rows.shape[1] < FEWEST_TAPS or not bool((rows != 0).any()):
        return None
    flat = rows.reshape(1, -1)
    found = _multiples(flat)
    if found is not None:
        return Levels(found.values.reshape(rows.shape), found.scale.expand(rows.shape[0]))
    return _multiples(rows)


def _multiples(rows: Tensor) -> Levels | None:
    """Row by row; the first rows are asked before the others."""
    steps = []
    limit = rows.abs().amax(dim=1).tolist()
    for row, most in zip(rows, limit, strict=True):
        step = _step(row, most)
        if step is None:
            return None
        steps.append(step)
    scale = torch.tensor(steps, dtype=torch.float64)
    values = torch.round(rows.to(torch.float64) / scale[:, None])
    low, high = int(values.min()), int(values.max())
    if high - low > LARGEST_WHOLE:
        return None
    return Levels(values.to(torch.int8 if low >= -128 and high <= 127 else torch.int16), scale)


def _step(row: Tensor, most: float) -> float | None:
    """The largest step of which all are whole multiples of at most 255, up to noise; None if there is none.

    The largest magnitude is n steps, so every n is tried; a chain of divisions (Euclid's) would add up
    the rounding errors of float32 products s * q.
    """
    if most == 0:
        return 1.0
    if not math.isfinite(most):
        return None
    allowed = float(noise(torch.tensor(most, dtype=row.dtype)))
    fitting = _fitting(row[:_SAMPLE].to(torch.float64), most, allowed)
    row = row.to(torch.float64) if fitting else row
    for n in fitting:
        step = most / n
        whole = torch.round(row / step)
        left = (row - whole * step).abs()
        if not bool((left <= allowed).all()) or _by_chance(row, step, allowed):
            continue
        exact = float((row[whole != 0] / whole[whole != 0]).mean())  # noise is averaged
        near = torch.round(row / exact)
        good = torch.equal(near, whole) and bool(((row - near * exact).abs() <= allowed).all())
        return exact if good and not bool((row == near * step).all()) else step
    return None


def _fitting(sample: Tensor, most: float, allowed: float) -> list[int]:
    """The n for which all of a sample are whole multiples of most / n, in rising order."""
    counts = torch.arange(1, LARGEST_WHOLE + 1, dtype=torch.float64)
    steps = most / counts[:, None]
    left = (sample - torch.round(sample / steps) * steps).abs()
    return [int(n) for n in counts[(left <= allowed).all(dim=1)]]


def _by_chance(row: Tensor, step: float, allowed: float) -> bool:
    """Whether so few real numbers would be whole multiples of one of all steps more often than once in a million."""
    share = min(1.0, 2 * allowed / step)
    others = min(int((row != 0).sum()) - 1, _SAMPLE)
    return LARGEST_WHOLE * share**others > _CHANCE


def sums_of_bases(rows: Tensor) -> Bases | None:
    """Rows of sums of two or three +-scales (and an offset): four or eight values, symmetric about their middle."""
    sample = torch.unique(rows[0, :_SAMPLE])
    if rows.shape[1] < FEWEST_TAPS or sample.numel() > _SAMPLE // 2:
        return None
    parts = []
    for row in rows:
        bases = _bases(row)
        if bases is None:  # most often the first
            return None
        parts.append(bases)
    count = len(parts[0][0])
    if any(len(scales) != count for scales, _, _ in parts):
        return None
    scales = tuple(torch.tensor([part[0][i] for part in parts], dtype=torch.float64) for i in range(count))
    signs = tuple(torch.stack([part[1][i] for part in parts]) for i in range(count))
    return Bases(signs, scales, torch.tensor([part[2] for part in parts], dtype=torch.float64))


def _bases(row: Tensor) -> tuple[list[float], list[Tensor], float] | None:
    """Scales (falling), signs of each, and offset of one row."""
    row = row.to(torch.float64)
    allowed = float(noise(row.abs().max().to(torch.float32)))
    levels = _clusters(row, allowed)
    count = len(levels).bit_length() - 1
    if not 2 <= count <= _MOST_BASES or len(levels) != 2**count:
        return None
    offset = (levels[0] + levels[-1]) / 2
    scales = _scales([level - offset for level in levels], 4 * allowed)
    if scales is None:
        return None
    left, signs = row - offset, []
    for scale in scales:
        signs.append(torch.where(left >= 0, 1, -1).to(torch.int8))
        left = left - signs[-1] * scale
    return (
        (scales, signs, offset if abs(offset) > allowed else 0.0)
        if bool((left.abs() <= 8 * allowed).all())
        else None
    )


def _clusters(row: Tensor, allowed: float) -> list[float]:
    """The distinct values of a row in rising order, each the mean of what noise made of it; [] if there are many."""
    ordered = torch.sort(row).values
    starts = torch.cat([torch.tensor([True]), ordered.diff() > 2 * allowed])
    if int(starts.sum()) > 2**_MOST_BASES:
        return []
    number = torch.cumsum(starts, 0) - 1
    sums = torch.zeros(int(number[-1]) + 1, dtype=torch.float64).index_add_(0, number, ordered)
    return (sums / torch.bincount(number)).tolist()


def _scales(levels: list[float], allowed: float) -> list[float] | None:
    """A > b > c > 0 of which the levels are all the sums +-a +-b +-c; each outweighs the sum of the smaller ones."""
    if len(levels) == 2:
        return [levels[1]] if abs(levels[0] + levels[1]) <= allowed else None
    half = len(levels) // 2
    scale = sum(levels[half:]) / half
    rest = [level - scale for level in levels[half:]]
    below = [level + scale for level in levels[:half]]
    if max(abs(a - b) for a, b in zip(rest, below, strict=True)) > allowed:
        return None
    smaller = _scales(rest, allowed)
    return None if smaller is None else [scale, *smaller]
