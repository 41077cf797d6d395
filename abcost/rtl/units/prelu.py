"""PReLU with a real slope: multiplier and select."""

from __future__ import annotations

from abcost.core.integer import prelu as model_of
from abcost.core.integer import wrap
from abcost.errors import UsageError
from abcost.rtl.forms import LINE, Curve, Pieces, Split, Terms
from abcost.rtl.sweep import DelaySweep, Sample, Sweep, dsp_widths, widths
from abcost.rtl.unit import Port, Unit, check_width, template

_FORMS = (
    LINE,
    Terms(("width", "fraction_bits", "1")),
    Terms(("width ** 2", "width", "fraction_bits", "1")),
)


def _sample(width: int, fraction_bits: int, *, out: bool) -> Sample:
    size = {"width": width, "fraction_bits": fraction_bits}
    return Sample(size, size, out)


def _sweep(*, quick: bool) -> Sweep:
    """The sweep; above 18 bits a fraction of 10 or more: with fewer some DSPs of the product are not needed at all."""
    samples = [
        _sample(width, fraction, out=out)
        for width, out in widths(quick=quick)
        if width >= 4
        for fraction in sorted({4 if width <= 18 else 10, width - width // 4, width})
    ]
    return Sweep(Pieces("width", _FORMS), tuple(samples))


def _delays(dsp: int, *, quick: bool) -> DelaySweep:
    samples = [
        _sample(width, fraction, out=out)
        for width, out in dsp_widths(dsp, quick=quick)
        for fraction in ((width // 2,) if quick or out else sorted({width // 2, width - width // 4}))
    ]
    on_cells = tuple(_sample(w, w - w // 4, out=out) for w, out in widths(quick=quick) if w >= 4)
    cells = DelaySweep(Curve("width"), on_cells)
    return DelaySweep(Split("width", dsp, Curve("width")), tuple(samples), cells)


@template("prelu", "multiplier and select, width bits", sweep=_sweep, delays=_delays)
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
