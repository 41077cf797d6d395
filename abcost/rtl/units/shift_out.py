"""Shift register with parallel load: PE results become a stream of fewer lanes."""

from __future__ import annotations

from abcost.core.lazy import torch
from abcost.errors import UsageError
from abcost.rtl.unit import Port, Unit, Values, begins_with, check_width, flag, template


@template("shift_out", "shift register of width bits a word, with parallel load")
def shift_out(*, width: int, inputs: int, outputs: int) -> Unit:
    """held <= load ? x : held moved down by `outputs` elements; y = the lowest `outputs` elements of held.

    Elements `outputs` * j + i of x are at y[i] in the j-th cycle after `load`; zeros follow the last.
    Raises UsageError unless `outputs` divides `inputs` and is less.
    """
    check_width(width, least=1)
    if not 1 <= outputs < inputs or inputs % outputs:
        raise UsageError(f"{inputs} values cannot be shifted out {outputs} at a time")
    bits, low = inputs * width, outputs * width

    def model(values: Values) -> dict[str, torch.Tensor]:
        x = values["x"].reshape(len(values["x"]), inputs)
        held = torch.zeros(inputs, dtype=torch.int64)
        rows = []
        for row, load in zip(x, values["load"].tolist(), strict=True):
            held = row.clone() if load else torch.cat([held[outputs:], held.new_zeros(outputs)])
            rows.append(held[:outputs])
        found = torch.stack(rows)
        return {"y": found.squeeze(1) if outputs == 1 else found}

    return Unit(
        name=f"shift_out_w{width}_i{inputs}_o{outputs}",
        inputs=(Port("x", width, inputs), flag("load")),
        outputs=(Port("y", width, outputs),),
        body=(
            f"    reg [{bits - 1}:0] held;\n"
            f"    always @(posedge clk) held <= load ? x : {{{low}'d0, held[{bits - 1}:{low}]}};\n"
            f"    assign y = held[{low - 1}:0];"
        ),
        model=model,
        clocked=True,
        protocol=begins_with("load"),
    )
