"""Shifts: by one constant amount (wiring), or by one of several (multiplexers, or a barrel shifter)."""

from __future__ import annotations

from abcost.core.integer import shift as shifted
from abcost.core.integer import wrap
from abcost.rtl.exponent_sets import delays_selecting, selecting
from abcost.rtl.unit import Port, Unit, check_width, label, template
from abcost.rtl.units.exponents import Selection, distinct


def expression(value: str, exponent: int, width: int) -> str:
    """floor(value * 2**exponent) of a signed `width`-bit name, in Verilog."""
    if exponent == 0:
        return value
    return f"{value} <<< {exponent}" if exponent > 0 else f"{value} >>> {min(-exponent, width - 1)}"


def select(code: str, selection: Selection, width: int, result: str) -> str:
    """Body with result = floor(x * 2**selection.exponent(code)), in `width` bits.

    Up to four choices are one level of multiplexers; more are a barrel shifter over the whole span, whose cost
    does not depend on which members the set has.
    """
    if selection.by_index:
        shifts = [expression("x", e, width) for e in selection.choices]
        return f"    assign {result} = {_multiplexer(code, shifts, selection.bits, 0)};"
    largest = max(selection.choices)
    wide = width + max(0, largest)  # a left shift must not lose bits before the right shift behind it
    lines = [f"    wire signed [{wide - 1}:0] level0 = {expression('x', largest, width)};"]
    level = 0
    for low in range(0, selection.bits, 2):
        bits = min(2, selection.bits - low)
        shifts = [expression(f"level{level}", -(i << low), wide) for i in range(1 << bits)]
        level += 1
        lines.append(
            f"    wire signed [{wide - 1}:0] level{level} = {_multiplexer(code, shifts, bits, low)};"
        )
    return "\n".join([*lines, f"    assign {result} = level{level};"])


def _multiplexer(code: str, inputs: list[str], bits: int, low: int) -> str:
    """One of up to four inputs by `bits` bits of the code from bit `low` on; the last stands for all beyond."""
    if bits == 1:
        chosen = f"{code}[{low}]" if low else code
        return f"{chosen} ? {inputs[1]} : {inputs[0]}"
    a, b, c, d = [*inputs, inputs[-1]][:4]
    return f"{code}[{low + 1}] ? ({code}[{low}] ? {d} : {c}) : ({code}[{low}] ? {b} : {a})"


@template("shift_constant", "by one amount")
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


@template(
    "shift_select",
    "width bits, by one of `exponents` amounts",
    sweep=selecting(identity=False),
    delays=delays_selecting(identity=False),
)
def shift_select(*, width: int, exponents: tuple[int, ...]) -> Unit:
    """y = floor(x * 2**e) in width bits (wraps), e out of a set by its code (`Selection` of the rising set)."""
    check_width(width)
    selection = Selection(distinct(exponents, width))
    if len(selection.choices) == 1:
        return shift_constant(width=width, exponent=selection.choices[0])
    return Unit(
        name=f"shift_select_w{width}_" + "_".join(f"e{label(e)}" for e in selection.choices),
        inputs=(Port("x", width), Port("code", selection.bits, signed=False)),
        outputs=(Port("y", width),),
        body=select("code", selection, width, "y"),
        model=lambda v: {"y": wrap(shifted(v["x"], selection.exponent(v["code"])), width)},
    )
