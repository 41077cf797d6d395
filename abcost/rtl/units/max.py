"""Larger of two values: one step of a max pool."""

from __future__ import annotations

from abcost.core.lazy import torch
from abcost.rtl.sweep import by_width, delays_by_width
from abcost.rtl.unit import Port, Unit, check_width, template


@template("max", "larger of two values of width bits", sweep=by_width(wide=True), delays=delays_by_width)
def maximum(*, width: int) -> Unit:
    """y = max(a, b), signed."""
    check_width(width)
    return Unit(
        name=f"max_w{width}",
        inputs=(Port("a", width), Port("b", width)),
        outputs=(Port("y", width),),
        body=(  # the sign of the difference: a comparison inside the multiplexer maps worse on some fabrics
            f"    wire signed [{width}:0] difference = a - b;\n    assign y = difference[{width}] ? b : a;"
        ),
        model=lambda v: {"y": torch.maximum(v["a"], v["b"])},
    )


@template("min", "smaller of two values of width bits")
def minimum(*, width: int) -> Unit:
    """y = min(a, b), signed: the upper bound of a clamp."""
    check_width(width)
    return Unit(
        name=f"min_w{width}",
        inputs=(Port("a", width), Port("b", width)),
        outputs=(Port("y", width),),
        body=f"    wire signed [{width}:0] difference = a - b;\n    assign y = difference[{width}] ? a : b;",
        model=lambda v: {"y": torch.minimum(v["a"], v["b"])},
    )
