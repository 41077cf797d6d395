"""Power-of-two PReLU: a selected shift, by the sign only where x < 0."""

from __future__ import annotations

from abcost.core.integer import shift_prelu, wrap
from abcost.rtl.exponent_sets import delays_selecting, selecting
from abcost.rtl.unit import Port, Unit, check_width, label, template
from abcost.rtl.units.exponents import Selection, distinct, prelu_selection
from abcost.rtl.units.shift import expression, select


@template(
    "qprelu",
    "slope one of `exponents` powers of two, width bits",
    sweep=selecting(identity=True),
    delays=delays_selecting(identity=True),
)
def qprelu(*, width: int, exponents: tuple[int, ...]) -> Unit:
    """y = x where x >= 0, floor(x * 2**e) elsewhere, in width bits (wraps); e by its code.

    The code is that of `prelu_selection(exponents, width)`; a single exponent has none. If it can mean 0, the sign
    gates the code, for that is done once for all bits; else it selects between the shifted value and x.
    """
    check_width(width)
    allowed = distinct(exponents, width)
    selection = prelu_selection(allowed, width)
    x, y = Port("x", width), Port("y", width)
    code = [Port("code", selection.bits, signed=False)] if len(allowed) > 1 else []
    return Unit(
        name=f"qprelu_w{width}_" + "_".join(f"e{label(e)}" for e in allowed),
        inputs=(x, *code),
        outputs=(y,),
        body=(_gated if code and 0 in selection.choices else _behind)(selection, width),
        model=lambda v: {
            "y": wrap(shift_prelu(v["x"], selection.exponent(v["code"]) if code else allowed[0]), width)
        },
    )


def _gated(selection: Selection, width: int) -> str:
    """A value that is not negative is shifted by 0."""
    span = f"[{selection.bits - 1}:0] " if selection.bits > 1 else ""
    identity = f"{selection.bits}'d{selection.code(0)}"
    gate = f"    wire {span}gated = x[{width - 1}] ? code : {identity};\n"
    return gate + select("gated", selection, width, "y")


def _behind(selection: Selection, width: int) -> str:
    """The value is shifted, and then used if x is negative."""
    if len(selection.choices) == 1:
        return f"    assign y = x[{width - 1}] ? {expression('x', selection.choices[0], width)} : x;"
    shifted = f"    wire signed [{width - 1}:0] shifted;\n{select('code', selection, width, 'shifted')}\n"
    return shifted + f"    assign y = x[{width - 1}] ? shifted : x;"
