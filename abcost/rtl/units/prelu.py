"""PReLU with a real slope: multiplier and select."""

from __future__ import annotations

from abcost.core.integer import prelu as model_of
from abcost.core.integer import wrap
from abcost.errors import UsageError
from abcost.rtl.unit import Port, Unit, check_width, templates


@templates.add("prelu")
def prelu(*, width: int, fraction_bits: int) -> Unit:
    """y = x where x >= 0, floor(x * slope / 2**fraction_bits) elsewhere, in width bits (wraps)."""
    check_width(width, most=32)
    if not 0 <= fraction_bits <= width:
        raise UsageError(f"--fraction-bits must be between 0 and the width {width}, got {fraction_bits}")
    high = fraction_bits + width - 1
    return Unit(
        name=f"prelu_w{width}_f{fraction_bits}",
        inputs=(Port("x", width), Port("slope", width)),
        outputs=(Port("y", width),),
        body=(
            f"    wire signed [{2 * width - 1}:0] product = x * slope;\n"
            f"    assign y = x[{width - 1}] ? product[{high}:{fraction_bits}] : x;"
        ),
        model=lambda v: {"y": wrap(model_of(v["x"], v["slope"], fraction_bits), width)},
    )
