"""Register with an enable: what belongs to values that are shifted out one after another."""

from __future__ import annotations

from abcost.core.lazy import torch
from abcost.rtl.unit import Port, Unit, Values, begins_with, check_width, flag, template


@template("hold", "register of width bits with an enable")
def hold(*, width: int) -> Unit:
    """q <= load ? d : q; unsigned."""
    check_width(width, least=1)

    def model(values: Values) -> dict[str, torch.Tensor]:
        kept, rows = 0, []
        for d, load in zip(values["d"].tolist(), values["load"].tolist(), strict=True):
            kept = d if load else kept
            rows.append(kept)
        return {"q": torch.tensor(rows, dtype=torch.int64)}

    span = f"[{width - 1}:0] " if width > 1 else ""
    return Unit(
        name=f"hold_w{width}",
        inputs=(Port("d", width, signed=False), flag("load")),
        outputs=(Port("q", width, signed=False),),
        body=f"    reg {span}kept;\n    always @(posedge clk) if (load) kept <= d;\n    assign q = kept;",
        model=model,
        clocked=True,
        protocol=begins_with("load"),
    )
