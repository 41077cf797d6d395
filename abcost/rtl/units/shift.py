"""Shifts: by one constant amount (wiring), or by one of several (a multiplexer)."""

from __future__ import annotations

import torch

from abcost.core.integer import shift as shifted
from abcost.core.integer import wrap
from abcost.rtl.unit import Port, Unit, check_width, label, templates
from abcost.rtl.units.exponents import code_bits, distinct


def expression(value: str, exponent: int, width: int) -> str:
    """floor(value * 2**exponent) of a signed `width`-bit name, in Verilog."""
    if exponent == 0:
        return value
    return f"{value} <<< {exponent}" if exponent > 0 else f"{value} >>> {min(-exponent, width - 1)}"


@templates.add("shift_constant")
def shift_constant(*, width: int, exponent: int) -> Unit:
    """y = floor(x * 2**exponent) in width bits (wraps)."""
    check_width(width)
    return Unit(
        name=f"shift_constant_w{width}_e{label(exponent)}",
        inputs=(Port("x", width),),
        outputs=(Port("y", width),),
        body=f"    assign y = {expression('x', exponent, width)};",
        model=lambda v: {"y": wrap(shifted(v["x"], exponent), width)},
    )


@templates.add("shift_select")
def shift_select(*, width: int, exponents: tuple[int, ...]) -> Unit:
    """y = floor(x * 2**E[code]) in width bits, E in rising order; a code beyond the last takes the last."""
    check_width(width)
    allowed = distinct(exponents)
    if len(allowed) == 1:
        return shift_constant(width=width, exponent=allowed[0])
    bits = code_bits(len(allowed))
    *first, last = list(enumerate(allowed))
    cases = "".join(f"            {bits}'d{code}: y = {expression('x', e, width)};\n" for code, e in first)
    table = torch.tensor([*allowed, *[allowed[-1]] * (2**bits - len(allowed))])
    return Unit(
        name=f"shift_select_w{width}_" + "_".join(f"e{label(e)}" for e in allowed),
        inputs=(Port("x", width), Port("code", bits, signed=False)),
        outputs=(Port("y", width),),
        body=(
            f"    reg signed [{width - 1}:0] chosen;\n"
            "    always @* begin\n        case (code)\n"
            f"{cases.replace('y =', 'chosen =')}"
            f"            default: chosen = {expression('x', last[1], width)};\n"
            "        endcase\n    end\n    assign y = chosen;"
        ),
        model=lambda v: {"y": wrap(shifted(v["x"], table[v["code"]]), width)},
    )
