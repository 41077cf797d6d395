"""Functions as hardware computes them here: one table in a ROM, reached by wiring, shifts and adds.

Format: two's complement of `width` bits, `fraction_bits` of them after the point; a table has 2**10 words.

bounded     y = T[floor((x - low) / step)], x clamped to [low, high); T holds f at the middle of each step
remainder   y = T[...] + max(x, 0), where f(x) - max(x, 0) vanishes on both sides (GELU, SiLU, softplus, Mish)
normalised  x = m * 2**e with m in [1, 2), or in [1, 4) and e even: y = T[m] * 2**-e, * 2**(e/2), ln(m) + e * ln(2)
reduced     exp(x) = T[fraction of x * log2(e)] * 2**(whole part);  sin, cos: T[fraction of x / (2 * pi)]

`approximate` computes these to the bit; `ABSOLUTE` and `RELATIVE` bound the error over all inputs of the stated
formats. The reference interpreter computes the functions themselves, cut to the grid: what a table loses comes on top.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch.nn import functional

from abcost.errors import GraphError

ADDRESS_BITS = 10
WORDS = 2**ADDRESS_BITS
"""Words of every table."""

Function = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True, slots=True)
class Bounded:
    """A table over [low, high); outside, the first or last word. remainder: the table holds f(x) - base(x)."""

    function: Function
    low: float
    high: float
    base: Function | None = None

    def at(self, x: torch.Tensor, grid: float) -> torch.Tensor:
        """Values on the grid, x on the grid."""
        step = (self.high - self.low) / WORDS
        middles = self.low + step * (torch.arange(WORDS, dtype=torch.float64) + 0.5) - 0.5 / grid
        base = self.base(middles) if self.base else 0.0
        table = torch.round((self.function(middles) - base) * grid) / grid
        address = torch.floor((x - self.low) / step).clamp(0, WORDS - 1).long()
        return table[address] + (self.base(x) if self.base else 0.0)


BOUNDED: Mapping[str, Bounded] = {
    "sigmoid": Bounded(torch.sigmoid, -8.0, 8.0),
    "tanh": Bounded(torch.tanh, -4.0, 4.0),
    "erf": Bounded(torch.erf, -4.0, 4.0),
    "erfc": Bounded(torch.erfc, -4.0, 4.0),
    "gelu": Bounded(functional.gelu, -4.0, 4.0, torch.relu),
    "silu": Bounded(functional.silu, -8.0, 8.0, torch.relu),
    "mish": Bounded(functional.mish, -8.0, 8.0, torch.relu),
    "softplus": Bounded(functional.softplus, -8.0, 8.0, torch.relu),
    "log_sigmoid": Bounded(functional.logsigmoid, -8.0, 8.0, lambda x: x.clamp(max=0.0)),
    "elu": Bounded(lambda x: functional.elu(x.clamp(max=0.0)), -8.0, 0.0),
    "exp of x <= 0": Bounded(torch.exp, -8.0, 0.0),
}
"""Functions of one clamped table, by name."""


def _table(function: Function, low: float, span: float, grid: float) -> torch.Tensor:
    middles = low + span * (torch.arange(WORDS, dtype=torch.float64) + 0.5) / WORDS
    return torch.round(function(middles) * grid) / grid


def _cut(y: torch.Tensor, width: int, grid: float) -> torch.Tensor:
    """Values cut towards minus infinity onto the grid, saturated at the largest and least value of the format."""
    largest = 2.0 ** (width - 1) - 1
    return torch.floor(y * grid).clamp(-largest - 1, largest) / grid


def _normalised(x: torch.Tensor, *, even: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """(m, e) with x = m * 2**e, x > 0; even: e is, and m in [1, 4)."""
    mantissa, exponent = torch.frexp(x)
    m, e = mantissa * 2, exponent.double() - 1
    if even:
        odd = torch.remainder(e, 2)
        m, e = m * 2**odd, e - odd
    return m, e


def _reciprocal(x: torch.Tensor, width: int, grid: float) -> torch.Tensor:
    m, e = _normalised(x.abs(), even=False)
    table = _table(torch.reciprocal, 1.0, 1.0, 2.0 ** (width - 1))
    y = table[torch.floor((m - 1) * WORDS).long()] * torch.exp2(-e)
    return torch.sign(x) * _cut(y, width, grid)


def _root(x: torch.Tensor, width: int, grid: float, *, power: float) -> torch.Tensor:
    """x**0.5 or x**-0.5, x > 0. Addresses are the first bits of m, two of them whole."""
    m, e = _normalised(x, even=True)
    table = _table(lambda v: v.clamp(min=1.0) ** power, 0.0, 4.0, 2.0 ** (width - 2))
    return _cut(table[torch.floor(m * WORDS / 4).long()] * torch.exp2(e * power), width, grid)


def _log(x: torch.Tensor, width: int, grid: float, *, base: float = math.e) -> torch.Tensor:
    m, e = _normalised(x, even=False)
    table = _table(lambda v: torch.log(v) / math.log(base), 1.0, 1.0, grid)
    whole = torch.round(e * math.log(2.0, base) * grid) / grid  # a table of its own, one word per e
    return _cut(table[torch.floor((m - 1) * WORDS).long()] + whole, width, grid)


def _exp(x: torch.Tensor, width: int, grid: float) -> torch.Tensor:
    return _exp2(x * (round(math.log2(math.e) * 2 ** (width - 2)) / 2 ** (width - 2)), width, grid)


def _exp2(y: torch.Tensor, width: int, grid: float) -> torch.Tensor:
    whole = torch.floor(y)
    table = _table(torch.exp2, 0.0, 1.0, 2.0 ** (width - 2))
    return _cut(table[torch.floor((y - whole) * WORDS).long()] * torch.exp2(whole), width, grid)


def _wave(x: torch.Tensor, width: int, grid: float, *, function: Function) -> torch.Tensor:
    turns = x * (round(2 ** (width + 1) / (2 * math.pi)) / 2 ** (width + 1))
    table = _table(lambda v: function(2 * math.pi * v), 0.0, 1.0, grid)
    return table[torch.floor((turns - torch.floor(turns)) * WORDS).long()]


Realised = Callable[[torch.Tensor, int, float], torch.Tensor]
_OTHERS: Mapping[str, Realised] = {
    "reciprocal": _reciprocal,
    "sqrt": lambda x, width, grid: _root(x, width, grid, power=0.5),
    "rsqrt": lambda x, width, grid: _root(x, width, grid, power=-0.5),
    "log": _log,
    "log2": lambda x, width, grid: _log(x, width, grid, base=2.0),
    "log10": lambda x, width, grid: _log(x, width, grid, base=10.0),
    "exp": _exp,
    "exp2": _exp2,
    "sin": lambda x, width, grid: _wave(x, width, grid, function=torch.sin),
    "cos": lambda x, width, grid: _wave(x, width, grid, function=torch.cos),
}
NAMES: tuple[str, ...] = (*BOUNDED, *_OTHERS)
"""Everything that `approximate` computes."""


ABSOLUTE: Mapping[str, float] = {
    "sigmoid": 0.0021,
    "tanh": 0.0040,
    "erf": 0.0044,
    "erfc": 0.0044,
    "gelu": 0.0020,
    "silu": 0.0040,
    "mish": 0.0047,
    "softplus": 0.0040,
    "log_sigmoid": 0.0040,
    "elu": 0.0040,
    "exp of x <= 0": 0.0040,
    "log": 0.00072,
    "log2": 0.00082,
    "log10": 0.00036,
    "sin": 0.0033,
    "cos": 0.0033,
}
"""Bounds of |approximate - exact|: 12 fraction bits, 16 or 20 bits of width, all inputs (tests/test_tables.py)."""

RELATIVE: Mapping[str, float] = {
    "reciprocal": 4.9e-4,
    "sqrt": 9.7e-4,
    "rsqrt": 9.8e-4,
    "exp": 3.4e-4,
    "exp2": 3.4e-4,
}
"""Bounds of (|approximate - exact| - one step of the grid) / |exact|, where the format holds the result; as above."""


def approximate(name: str, x: torch.Tensor, *, width: int, fraction_bits: int) -> torch.Tensor:
    """The function as the tables give it; x is float64 and on the grid, any shape; positive for sqrt, rsqrt, log.

    Raises GraphError for a name outside `NAMES`.
    """
    if name not in NAMES:
        raise GraphError(f"no table is stated for {name!r}; choose one of {', '.join(NAMES)}")
    grid = 2.0**fraction_bits
    if name in BOUNDED:
        return BOUNDED[name].at(x, grid)
    return _OTHERS[name](x, width, grid)
