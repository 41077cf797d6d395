"""Scale of a binary dot product: the subtraction of K fits into the adder in front of a DSP's multiplier."""

from __future__ import annotations

from abcost.core.integer import wrap
from abcost.core.precision import popcount_bits
from abcost.errors import UsageError
from abcost.rtl.unit import Port, Unit, check_width, templates


@templates.add("scale_dot")
def scale_dot(*, width: int, bits: int) -> Unit:
    """y = (2 * p - bits) * factor in width bits (wraps); p counts 0 to `bits`, more wraps."""
    check_width(width, most=32)
    count = popcount_bits(bits)
    if bits < 1 or count + 1 > width:
        raise UsageError(f"a dot product over {bits} taps needs {count + 1} bits, the width is {width}")
    return Unit(
        name=f"scale_dot_w{width}_n{bits}",
        inputs=(Port("p", count, signed=False), Port("factor", width)),
        outputs=(Port("y", width),),
        body=(
            f"    wire signed [{count}:0] twice = {{p, 1'b0}};\n"
            f"    wire signed [{count}:0] sum = twice - {count + 1}'sd{bits};\n"
            f"    wire signed [{width - 1}:0] wide = sum;\n"
            f"    wire signed [{2 * width - 1}:0] product = wide * factor;\n"
            f"    assign y = product[{width - 1}:0];"
        ),
        model=lambda v: {"y": wrap(wrap(2 * v["p"] - bits, count + 1) * v["factor"], width)},
    )
