"""Burst: one flag becomes several, one a cycle, while values are shifted out."""

from __future__ import annotations

from abcost.core.lazy import torch
from abcost.errors import UsageError
from abcost.rtl.unit import Unit, Values, flag, template

MOST = 2**16


@template("burst", "one flag becomes as many as values are shifted out, one a cycle")
def burst(*, length: int) -> Unit:
    """active = start, and for length - 1 cycles after it; `start` comes again no earlier than `length` cycles later.

    Raises UsageError for a length below 2.
    """
    if not 2 <= length <= MOST:
        raise UsageError(f"a burst has 2 to {MOST} cycles, got {length}")
    bits = (length - 1).bit_length()

    def model(values: Values) -> dict[str, torch.Tensor]:
        left, rows = 0, []
        for start, reset in zip(values["start"].tolist(), values["reset"].tolist(), strict=True):
            left = 0 if reset else length - 1 if start else max(0, left - 1)
            rows.append(int(bool(start or left)))
        return {"active": torch.tensor(rows, dtype=torch.int64)}

    def protocol(rows: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        apart = torch.arange(len(rows["start"])) % length == 0
        return {"reset": rows["reset"], "start": rows["start"] * apart}

    span = f"[{bits - 1}:0] " if bits > 1 else ""
    return Unit(
        name=f"burst_n{length}",
        inputs=(flag("reset"), flag("start")),
        outputs=(flag("active"),),
        body=(
            f"    reg {span}left = 0;\n"
            "    wire more = |left;\n"
            "    always @(posedge clk)\n"
            "        if (reset) left <= 0;\n"
            f"        else if (start) left <= {bits}'d{length - 1};\n"
            f"        else if (more) left <= left - {bits}'d1;\n"
            "    assign active = start | more;"
        ),
        model=model,
        clocked=True,
        protocol=protocol,
    )
