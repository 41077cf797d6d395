"""Power-of-two PReLU: a multiplexer over shifted copies, whose select is gated by the sign."""

from __future__ import annotations

import torch

from abcost.core.integer import shift_prelu, wrap
from abcost.rtl.unit import Port, Unit, check_width, label, templates
from abcost.rtl.units.exponents import code_bits, distinct, prelu_choices
from abcost.rtl.units.shift import expression, select


@templates.add("qprelu")
def qprelu(*, width: int, exponents: tuple[int, ...]) -> Unit:
    """y = x where x >= 0, floor(x * 2**choices[code]) elsewhere, in width bits (wraps).

    choices: 0, then the other exponents in rising order; a code beyond the last takes the last. With one
    choice besides 0 and 0 not in the set there is no code: the sign alone selects.
    """
    check_width(width)
    allowed = distinct(exponents)
    name = f"qprelu_w{width}_" + "_".join(f"e{label(e)}" for e in allowed)
    x, y = Port("x", width), Port("y", width)
    if len(allowed) == 1:
        return Unit(
            name=name,
            inputs=(x,),
            outputs=(y,),
            body=f"    assign y = x[{width - 1}] ? {expression('x', allowed[0], width)} : x;",
            model=lambda v: {"y": wrap(shift_prelu(v["x"], allowed[0]), width)},
        )
    choices = prelu_choices(allowed)
    bits = code_bits(len(choices))
    padded = (*choices, *[choices[-1]] * (2**bits - len(choices)))
    table = torch.tensor(padded)
    gate = f"    wire [{bits - 1}:0] gated = code & {{{bits}{{x[{width - 1}]}}}};\n"
    return Unit(
        name=name,
        inputs=(x, Port("code", bits, signed=False)),
        outputs=(y,),
        body=gate + select("gated", padded, width),
        model=lambda v: {"y": wrap(shift_prelu(v["x"], table[v["code"]]), width)},
    )
