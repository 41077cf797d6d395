"""Pipeline register."""

from __future__ import annotations

from abcost.rtl.unit import Port, Unit, check_width, templates


@templates.add("register")
def register(*, width: int) -> Unit:
    """q <= d."""
    check_width(width, least=1)
    span = f"[{width - 1}:0] " if width > 1 else ""
    return Unit(
        name=f"register_w{width}",
        inputs=(Port("d", width),),
        outputs=(Port("q", width),),
        body=f"    reg {span}kept;\n    always @(posedge clk) kept <= d;\n    assign q = kept;",
        model=lambda v: {"q": v["d"]},
        clocked=True,
    )
