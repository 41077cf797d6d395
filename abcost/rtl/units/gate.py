"""Register that is held at 0: what is outside the image adds nothing."""

from __future__ import annotations

from abcost.rtl.unit import Port, Unit, check_width, flag, template


@template("gate", "register of width bits that is held at 0")
def gate(*, width: int) -> Unit:
    """q <= keep ? d : 0; unsigned. The synchronous reset of the register takes no LUT."""
    check_width(width, least=1)
    span = f"[{width - 1}:0] " if width > 1 else ""
    return Unit(
        name=f"gate_w{width}",
        inputs=(Port("d", width, signed=False), flag("keep")),
        outputs=(Port("q", width, signed=False),),
        body=(
            f"    reg {span}kept;\n"
            "    always @(posedge clk)\n        if (!keep) kept <= 0;\n        else kept <= d;\n"
            "    assign q = kept;"
        ),
        model=lambda v: {"q": v["d"] * v["keep"]},
        clocked=True,
    )
