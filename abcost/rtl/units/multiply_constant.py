"""Multiplication by one constant, as shifts and adds in canonical signed digits."""

from __future__ import annotations

from abcost.core.adders.signed_digits import signed_digits
from abcost.core.integer import wrap
from abcost.rtl.unit import Port, Unit, check_width, label, template


@template("multiply_constant", "width bits by one constant, as shifts and adds")
def multiply_constant(*, width: int, constant: int) -> Unit:
    """p = x * constant = sum over the nonzero digits d_i of d_i * (x << i); p wide enough for every x."""
    check_width(width, most=32)
    out = width + max(1, abs(constant).bit_length())
    terms = [f"{'-' if digit < 0 else '+'} (wide <<< {place})" for place, digit in signed_digits(constant)]
    return Unit(
        name=f"multiply_constant_w{width}_c{label(constant)}",
        inputs=(Port("x", width),),
        outputs=(Port("p", out),),
        body=f"    wire signed [{out - 1}:0] wide = x;\n    assign p = {' '.join(terms) or '0'};",
        model=lambda v: {"p": wrap(v["x"] * constant, out)},
    )
