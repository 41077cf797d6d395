"""Two-input multiplexer."""

from __future__ import annotations

import torch

from abcost.rtl.unit import Port, Unit, check_width, flag, templates


@templates.add("mux")
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
