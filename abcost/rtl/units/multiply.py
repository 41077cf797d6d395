"""Signed multiplier: full product, or its low half."""

from __future__ import annotations

from abcost.core.integer import wrap
from abcost.rtl.forms import LINE, Pieces, Terms
from abcost.rtl.sweep import by_width, delays_by_dsp
from abcost.rtl.unit import Port, Unit, check_width, template

QUADRATIC = Pieces("width", (LINE, Terms(("width ** 2", "width", "1"))))


@template("multiply", "width x width bits", sweep=by_width(QUADRATIC), delays=delays_by_dsp, stepped=True)
def multiply(*, width: int, full: bool = True) -> Unit:
    """p = a * b, signed: 2 * width bits, or the low width bits if not `full`."""
    check_width(width, most=32)
    out = 2 * width if full else width
    return Unit(
        name=f"multiply_w{width}" + ("" if full else "_low"),
        inputs=(Port("a", width), Port("b", width)),
        outputs=(Port("p", out),),
        body="    assign p = a * b;",
        model=lambda v: {"p": wrap(v["a"] * v["b"], out)},
    )
