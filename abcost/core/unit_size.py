"""What the cost of a hardware unit depends on: every variable of a law is declared here, once.

Formulas, cost tables, points, counts and the command line read these declarations.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any


@dataclass(frozen=True, slots=True)
class Variable:
    """One size of a unit. least: its least value; option: how the command line gives it, as an example."""

    help: str
    least: int = 1
    option: str = ""


def _size(text: str, *, least: int = 1, option: str) -> Any:
    return field(default=None, metadata={"variable": Variable(text, least, option)})


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitSize:
    """The sizes of a unit besides its width, which every unit has; None where one does not matter.

    Those of a set of exponents are computed by `abcost.core.exponents`.
    """

    bits: int | None = _size(
        "word length of a popcount or binary dot product, or what a saturation cuts off, in bits",
        option="--bits 288",
    )
    exponents: int | None = _size("number of distinct slope exponents, |E|", option="--exponents -3,0")
    choices: int | None = _size(
        "shifts a unit selects from; a power-of-two PReLU: |E with the 0 of the positive branch|",
        option="--exponents -3,0",
    )
    span: int | None = _size("largest minus least of these exponents", least=0, option="--exponents -3,0")
    left: int | None = _size(
        "largest of these exponents, 0 if none is above 0: bits of the left shift",
        least=0,
        option="--exponents -3,0",
    )
    factored: int | None = _size(
        "1 if four selected shifts are two two-way shifts in a row (a, a + b, a + c, a + b + c), else 0",
        least=0,
        option="--exponents -3,0",
    )
    inner: int | None = _size(
        "how far the middle ones of these are below the largest, summed; of more than four: of the largest four",
        least=0,
        option="--exponents -3,0",
    )
    fraction_bits: int | None = _size("bits after the binary point", least=0, option="--fraction-bits 8")
    depth: int | None = _size("words of a ROM", option="--depth 64")


SIZES: dict[str, Variable] = {
    "width": Variable("operand width in bits", option="--width 16"),
    **{size.name: size.metadata["variable"] for size in fields(UnitSize)},
}
"""All sizes by name, in the order of tables and points; the first is the width."""


def sizes_given(sized: UnitSize) -> dict[str, Any]:
    """The sizes that are not None, whole numbers by name; the width where it has one."""
    values = {name: getattr(sized, name, None) for name in SIZES}
    return {name: value for name, value in values.items() if value is not None}
