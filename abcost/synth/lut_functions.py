"""Boolean functions of FPGA cells on words of 64 independent bits: look-up tables by their INIT, and short formulas.

lut(init, (a, b, …)) = bit number a + 2 b + 4 c + … of init
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np

from abcost.synth.function import Function, Words

_ONES = np.uint64(2**64 - 1)


@lru_cache(maxsize=None)
def lut(init: int, names: tuple[str, ...]) -> Function:
    """The function whose truth table is `init`, its lowest bit for all inputs 0; names: lowest input first."""
    table = tuple(bool(init >> i & 1) for i in range(1 << len(names)))
    return Function(
        f"lut{len(names)}:{init:x}({','.join(names)})", names, lambda values: _at(table, names, values)
    )


@lru_cache(maxsize=None)
def formula(text: str) -> Function:
    """An expression in the notation of Liberty, kept."""
    return Function.parse(text)


def composed(text: str, inner: Mapping[str, Function]) -> Function:
    """A formula some of whose names are themselves functions of names."""
    outer = formula(text)
    names = dict.fromkeys(
        n for name in outer.names for n in (inner[name].names if name in inner else (name,))
    )
    label = f"{text}[{';'.join(f'{name}={function.text}' for name, function in sorted(inner.items()))}]"

    def evaluate(values: Mapping[str, Words]) -> Words:
        known = {name: inner[name].at(values) if name in inner else values[name] for name in outer.names}
        return outer.at(known)

    return Function(label, tuple(names), evaluate)


def _at(table: Sequence[bool], names: Sequence[str], values: Mapping[str, Words]) -> Words:
    """Halves of the table by the last input, which selects between them."""
    if all(table) or not any(table):
        like = values[names[0]] if names else np.zeros(1, dtype=np.uint64)
        return np.full_like(like, _ONES if table[0] else 0)
    half = len(table) // 2
    low, high = table[:half], table[half:]
    *others, last = names
    select = values[last]
    if low == high:
        return _at(low, others, values)
    if not any(low):
        return select if all(high) else select & _at(high, others, values)
    if not any(high):
        return ~select if all(low) else ~select & _at(low, others, values)
    if all(low):
        return ~select | _at(high, others, values)
    if all(high):
        return select | _at(low, others, values)
    first = _at(low, others, values)
    if all(a != b for a, b in zip(low, high, strict=True)):
        return select ^ first
    return first ^ (select & (first ^ _at(high, others, values)))
