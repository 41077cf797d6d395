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


def select(code: str, exponents: tuple[int, ...], width: int) -> str:
    """Body with y = floor(x * 2**exponents[code]): a binary tree of two-input multiplexers, one level per code bit.

    len(exponents) is a power of two. A tree maps to the wide multiplexers of a fabric (4:1 in one LUT6) better
    than a case statement does.
    """
    span = f"signed [{width - 1}:0] "
    lines = [f"    wire {span}m0_{i} = {expression('x', e, width)};" for i, e in enumerate(exponents)]
    level, live, bits = 0, [f"m0_{i}" for i in range(len(exponents))], code_bits(len(exponents))
    while len(live) > 1:
        bit = f"{code}[{level}]" if bits > 1 else code
        level += 1
        lines += [
            f"    wire {span}m{level}_{i // 2} = {bit} ? {live[i + 1]} : {live[i]};"
            for i in range(0, len(live), 2)
        ]
        live = [f"m{level}_{i}" for i in range(len(live) // 2)]
    return "\n".join([*lines, f"    assign y = {live[0]};"])


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
    padded = (*allowed, *[allowed[-1]] * (2**bits - len(allowed)))
    table = torch.tensor(padded)
    return Unit(
        name=f"shift_select_w{width}_" + "_".join(f"e{label(e)}" for e in allowed),
        inputs=(Port("x", width), Port("code", bits, signed=False)),
        outputs=(Port("y", width),),
        body=select("code", padded, width),
        model=lambda v: {"y": wrap(shifted(v["x"], table[v["code"]]), width)},
    )
