"""Scale of a binary dot product: the subtraction of K fits into the adder in front of a DSP's multiplier."""

from __future__ import annotations

from abcost.core.bits import popcount_bits
from abcost.core.integer import wrap
from abcost.errors import UsageError
from abcost.rtl.forms import LINE, Factors, Pieces, Split
from abcost.rtl.sweep import DelaySweep, Sample, Sweep, dsp_widths, widths
from abcost.rtl.unit import Port, Unit, check_width, template


def _sweep(*, quick: bool) -> Sweep:
    """The number of taps decides a handful of inverters; the law is over the width alone."""
    samples = [
        Sample({"width": width}, {"width": width, "bits": taps}, out)
        for width, out in widths(quick=quick)
        for taps in (72, 576, 4608)
        if popcount_bits(taps) + 2 <= width
    ]
    return Sweep(Pieces("width", (LINE,)), tuple(samples))


def _delays(dsp: int, *, quick: bool) -> DelaySweep:
    """The subtraction in front of the multiplier is as wide as the count, so taps matter beside the width."""
    samples = [
        Sample({"width": width, "bits": taps}, {"width": width, "bits": taps}, out)
        for width, out in dsp_widths(dsp, quick=quick)
        for taps in ((1152,) if quick or out else (72, 1152, 18432))
        if popcount_bits(taps) + 2 <= width
    ]
    terms = ("width", "1") if quick else ("width", "log2(bits)", "1")
    return DelaySweep(Split("width", dsp, Factors(terms)), tuple(samples))


@template(
    "scale_dot", "(2p - K) * factor of a binary dot product of K = `bits` taps", sweep=_sweep, delays=_delays
)
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
