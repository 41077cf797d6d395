"""Two-way logical shift: a value, or the same value moved right with zeros behind it."""

from __future__ import annotations

from abcost.core.lazy import torch
from abcost.errors import UsageError
from abcost.rtl.unit import Port, Unit, check_width, flag, template


@template("shift_two_way", "width bits, by one amount or not at all")
def shift_two_way(*, width: int, amount: int) -> Unit:
    """y = s ? floor(x / 2**amount) : x, unsigned, so that a shift fills up with zeros.

    `shift_select` is the arithmetic one, which keeps the sign bit and so needs no logic for it.
    """
    check_width(width, most=32)
    if not 1 <= amount < width:
        raise UsageError(f"amount must be between 1 and the width less one, {width - 1}, got {amount}")
    return Unit(
        name=f"shift_two_way_w{width}_a{amount}",
        inputs=(Port("x", width, signed=False), flag("s")),
        outputs=(Port("y", width, signed=False),),
        body=f"    assign y = s ? x >> {amount} : x;",
        model=lambda v: {"y": torch.where(v["s"] == 1, v["x"] // 2**amount, v["x"])},
    )
