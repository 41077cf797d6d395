"""Prices of bits from the measured unit that holds them: one XNOR, one bit of a popcount.

    xnor           = E(1)                                             (the unit of one bit is one XNOR)
    popcount(n)    = E(n) / n - xnor                                  n <= N, the largest word measured
    popcount(n)    = (E(N) + add) / N - xnor                          n > N: words of N bits, their sums added up

E(n) is `xnor_popcount` of n bits, so n XNORs and n bits of popcount together cost what was measured.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from abcost.calibrate.laws import Curve, Fitted, Law
from abcost.cost.formula import Formula

JOIN_WIDTH = 16
"""Bits of the adder that joins the counts of long words: enough for words of LONGEST bits."""
LONGEST = 2**JOIN_WIDTH - 1


@dataclass(frozen=True, slots=True)
class Derived:
    """An entry that is computed from measured ones, with the derivation."""

    op: str
    fitted: Fitted
    note: str


def per_bit(entries: Sequence[tuple[str, Fitted]]) -> list[Derived]:
    """Entries `xnor` and `popcount`; none where xnor_popcount from 1 bit on, or add, was not measured."""
    words = next((fitted for op, fitted in entries if op == "xnor_popcount"), None)
    join = next(
        (f for op, f in entries if op == "add" and f.valid["width"][0] <= JOIN_WIDTH <= f.valid["width"][1]),
        None,
    )
    if words is None or join is None or words.valid["bits"][0] != 1:
        return []
    longest = words.valid["bits"][1]
    xnor, within, beyond = {}, {}, {}
    for name, law in words.laws.items():
        one = _value(law.value, 1)
        xnor[name] = Law(_text(one))
        within[name] = Law(_share(law.value, one), _bound(law.low, one), _bound(law.high, one))
        adder = join.laws[name]
        beyond[name] = Law(
            _long(law.value, adder.value, longest, one),
            law.low and _long(law.low, adder.low or adder.value, longest, one),
            law.high and _long(law.high, adder.high or adder.value, longest, one),
        )
    return [
        Derived("xnor", Fitted({}, xnor), "the measured unit xnor_popcount of one bit, which is one XNOR"),
        Derived(
            "popcount",
            Fitted({"bits": (1, longest)}, within, "bits"),
            "one bit of the word: measured xnor_popcount of the word / bits, less one XNOR",
        ),
        Derived(
            "popcount",
            Fitted({"bits": (longest + 1, LONGEST)}, beyond),
            f"longer words are counted {longest} bits at a time: (measured xnor_popcount of {longest} bits "
            f"+ add of {JOIN_WIDTH} bits) / {longest}, less one XNOR",
        ),
    ]


def _share(form: str | Curve, one: float) -> str | Curve:
    """The price per bit, without the XNOR; a bound that smoothing moved below it stops at 0."""
    if isinstance(form, str):  # a constant, which only a sweep without any growth gives
        return f"max(0, {form} / bits - {_text(one)})"
    return tuple((bits, max(0.0, value / bits - one)) for bits, value in form)


def _bound(form: str | Curve | None, one: float) -> str | Curve | None:
    return None if form is None else _share(form, one)


def _long(words: str | Curve, join: str | Curve, longest: int, one: float) -> str:
    """The price per bit of a word longer than any measured."""
    return _text(max(0.0, (_value(words, longest) + _value(join, JOIN_WIDTH)) / longest - one))


def _value(form: str | Curve, size: int) -> float:
    """A law at one size: of the points the one there, of a formula its value for any variable."""
    if isinstance(form, str):
        law = Formula.parse(form)
        return law.at(dict.fromkeys(law.variables, size))
    return dict(form)[size]


def _text(value: float) -> str:
    """Six places, or as many as four digits need."""
    places = 6 if value >= 1e-3 or value <= 0 else 3 - math.floor(math.log10(value))
    return f"{value:.{places}f}"
