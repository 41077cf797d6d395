"""Comparison of two values, or of one with a constant: the threshold behind a residual path."""

from __future__ import annotations

from abcost.core.integer import at_least
from abcost.rtl.forms import LINEAR, Pieces, Terms
from abcost.rtl.sweep import by_width, delays_by_width
from abcost.rtl.unit import Port, Unit, check_width, flag, label, template

COMPARED = Pieces("width", (Terms(("ceil(width / 3)",)), *LINEAR.forms))  # 7-series: three bits per two LUTs


@template(
    "compare",
    "width bits, with a constant or another value",
    sweep=by_width(COMPARED, wide=True),
    delays=delays_by_width,
)
def compare(*, width: int) -> Unit:
    """y = a >= b, signed."""
    check_width(width)
    return Unit(
        name=f"compare_w{width}",
        inputs=(Port("a", width), Port("b", width)),
        outputs=(flag("y"),),
        body="    assign y = a >= b;",
        model=lambda v: {"y": at_least(v["a"], v["b"])},
    )


@template("compare_constant", "width bits, with a constant")
def compare_constant(*, width: int, level: int) -> Unit:
    """y = x >= level, signed."""
    check_width(width)
    literal = f"{'-' if level < 0 else ''}{width}'sd{abs(level)}"
    return Unit(
        name=f"compare_constant_w{width}_l{label(level)}",
        inputs=(Port("x", width),),
        outputs=(flag("y"),),
        body=f"    assign y = x >= {literal};",
        model=lambda v: {"y": at_least(v["x"], level)},
    )
