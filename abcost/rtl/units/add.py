"""Adder and subtractor."""

from __future__ import annotations

from abcost.core.integer import wrap
from abcost.rtl.sweep import by_width, delays_by_width
from abcost.rtl.unit import Port, Unit, check_width, template


@template(
    "add",
    "width bits; also subtract and sign-controlled add",
    sweep=by_width(wide=True),
    delays=delays_by_width,
)
def add(*, width: int, subtract: bool = False) -> Unit:
    """s = a + b, or a - b, in width bits (two's complement, wraps)."""
    check_width(width)
    sign, name = ("-", "subtract") if subtract else ("+", "add")
    return Unit(
        name=f"{name}_w{width}",
        inputs=(Port("a", width), Port("b", width)),
        outputs=(Port("s", width),),
        body=f"    assign s = a {sign} b;",
        model=lambda v: {"s": wrap(v["a"] - v["b"] if subtract else v["a"] + v["b"], width)},
    )
