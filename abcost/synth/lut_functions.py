"""Boolean functions of FPGA cells on words of 64 independent bits: look-up tables by their INIT, and short formulas.

lut(init, (a, b, …)) = bit number a + 2 b + 4 c + … of init
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np

from abcost.synth.function import Function, Words

_ONES = np.uint64(2**64 - 1)


@cache
def lut(init: int, names: tuple[str, ...]) -> Function:
    """The function whose truth table is `init`, its lowest bit for all inputs 0; names: lowest input first."""
    table = tuple(bool(init >> i & 1) for i in range(1 << len(names)))
    return Function(
        f"lut{len(names)}:{init:x}({','.join(names)})", names, lambda values: _at(table, names, values)
    )


@cache
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
    """Halves of the table by the last input, which selects between them; a half of equal bits costs no look-up."""
    if len(set(table)) == 1:
        like = values[names[0]] if names else np.zeros(1, dtype=np.uint64)
        return np.full_like(like, _ONES if table[0] else 0)
    half = len(table) // 2
    low, high = table[:half], table[half:]
    *others, last = names
    if low == high:
        return _at(low, others, values)
    select = values[last]
    if len(set(low)) == len(set(high)) == 1:
        return select if high[0] else ~select
    if len(set(low)) == 1:
        rest = _at(high, others, values)
        return ~select | rest if low[0] else select & rest
    rest = _at(low, others, values)
    if len(set(high)) == 1:
        return select | rest if high[0] else ~select & rest
    return rest ^ (select & _at(tuple(a != b for a, b in zip(low, high, strict=True)), others, values))
