"""Two-input multiplexer."""

from __future__ import annotations

from abcost.core.lazy import torch
from abcost.rtl.sweep import by_width, delays_by_width
from abcost.rtl.unit import Port, Unit, check_width, flag, template


@template("mux", "width bits, two inputs", sweep=by_width(wide=True), delays=delays_by_width)
def mux(*, width: int) -> Unit:
    """y = s ? b : a."""
    check_width(width)
    return Unit(
        name=f"mux_w{width}",
        inputs=(Port("a", width), Port("b", width), flag("s")),
        outputs=(Port("y", width),),
        body="    assign y = s ? b : a;",
        model=lambda v: {"y": torch.where(v["s"] == 1, v["b"], v["a"])},
    )
