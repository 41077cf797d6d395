"""Power-of-two PReLU: a selected shift whose select is gated by the sign, so that x >= 0 passes unshifted."""

from __future__ import annotations

from abcost.core.integer import shift_prelu, wrap
from abcost.rtl.unit import Port, Unit, check_width, label, templates
from abcost.rtl.units.exponents import Selection, distinct, prelu_choices
from abcost.rtl.units.shift import expression, select


@templates.add("qprelu")
def qprelu(*, width: int, exponents: tuple[int, ...]) -> Unit:
    """y = x where x >= 0, floor(x * 2**e) elsewhere, in width bits (wraps); e by its code.

    The code is that of `Selection(prelu_choices(exponents, width))`. A single exponent has no code: the sign
    alone selects.
    """
    check_width(width)
    allowed = distinct(exponents, width)
    name = f"qprelu_w{width}_" + "_".join(f"e{label(e)}" for e in allowed)
    x, y = Port("x", width), Port("y", width)
    sign = f"x[{width - 1}]"
    if len(allowed) == 1:
        return Unit(
            name=name,
            inputs=(x,),
            outputs=(y,),
            body=f"    assign y = {sign} ? {expression('x', allowed[0], width)} : x;",
            model=lambda v: {"y": wrap(shift_prelu(v["x"], allowed[0]), width)},
        )
    selection = Selection(prelu_choices(allowed, width))
    bits, identity = selection.bits, selection.code(0)
    span = f"[{bits - 1}:0] " if bits > 1 else ""
    gate = f"    wire {span}gated = {sign} ? code : {bits}'d{identity};\n"
    return Unit(
        name=name,
        inputs=(x, Port("code", bits, signed=False)),
        outputs=(y,),
        body=gate + select("gated", selection, width),
        model=lambda v: {"y": wrap(shift_prelu(v["x"], selection.exponent(v["code"])), width)},
    )
