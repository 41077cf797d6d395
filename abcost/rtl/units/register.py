"""Pipeline register."""

from __future__ import annotations

from abcost.rtl.forms import Curve
from abcost.rtl.sweep import DelaySweep, Sample, by_width, marked
from abcost.rtl.unit import Port, Unit, check_width, template


def _delays(dsp: int, *, quick: bool) -> DelaySweep:
    """Delays from one flip-flop to the next: what no engine is faster than."""
    del dsp
    widths = marked((1, 32), (8,)) if quick else marked((1, 16, 32), (8,))
    samples = tuple(Sample({"width": w}, {"width": w}, out) for w, out in widths)
    return DelaySweep(Curve("width"), samples)


@template("register", "width bits", sweep=by_width(more=(1,), wide=True), delays=_delays)
def register(*, width: int) -> Unit:
    """q <= d."""
    check_width(width, least=1)
    span = f"[{width - 1}:0] " if width > 1 else ""
    return Unit(
        name=f"register_w{width}",
        inputs=(Port("d", width),),
        outputs=(Port("q", width),),
        body=f"    reg {span}kept;\n    always @(posedge clk) kept <= d;\n    assign q = kept;",
        model=lambda v: {"q": v["d"]},
        clocked=True,
    )
