"""Accumulator of partial sums over the folds of a dot product."""

from __future__ import annotations

import torch

from abcost.rtl.unit import Port, Unit, Values, check_width, flag, templates


@templates.add("accumulate")
def accumulate(*, width: int, input_width: int | None = None) -> Unit:
    """total <= first ? x : total + x, in width bits; x is unsigned (a popcount) of `input_width` bits."""
    check_width(width)
    narrow = input_width or width

    def model(values: Values) -> dict[str, torch.Tensor]:
        total, rows = 0, []
        for x, first in zip(values["x"].tolist(), values["first"].tolist(), strict=True):
            total = (x if first else total + x) % (1 << width)  # long sums would leave int64
            rows.append(total - (1 << width) if total >> (width - 1) else total)
        return {"total": torch.tensor(rows, dtype=torch.int64)}

    return Unit(
        name=f"accumulate_w{width}_i{narrow}",
        inputs=(Port("x", narrow, signed=False), flag("first")),
        outputs=(Port("total", width),),
        body=(
            f"    reg [{width - 1}:0] kept;\n"
            f"    always @(posedge clk) kept <= x + (first ? {width}'d0 : kept);\n"
            "    assign total = kept;"
        ),
        model=model,
        clocked=True,
    )
