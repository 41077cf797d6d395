"""An adder of a graph: the sum or difference of two shifted numbers."""

from __future__ import annotations

from abcost.core.integer import wrap
from abcost.core.lazy import torch
from abcost.errors import UsageError
from abcost.rtl.unit import Port, Unit, Values, check_width, template


@template("shift_add", "sum or difference of two numbers, either shifted by one amount")
def shift_add(
    *, left: int, left_shift: int, right: int, right_shift: int, width: int, subtract: bool = False
) -> Unit:
    """s = (a << left_shift) +- (b << right_shift), in width bits (two's complement, wraps).

    left, right: bits of a and b; of left 0 there is no a, which is 0 then: s is b or -b.
    """
    for bits in (right, width, *([left] if left else [])):
        check_width(bits)
    if min(left_shift, right_shift) < 0 or max(left_shift, right_shift) >= width:
        raise UsageError(
            f"shifts must be between 0 and the width less one, {width - 1}, got {left_shift} and {right_shift}"
        )
    wires = [f"    wire signed [{width - 1}:0] {name} = {port};" for name, port in (("p", "a"), ("q", "b"))]
    first = f"(p <<< {left_shift})" if left else f"{width}'sd0"
    sign, name = ("-", "minus") if subtract else ("+", "plus")

    def model(v: Values) -> dict[str, torch.Tensor]:
        a, b = v["a"] << left_shift if left else torch.zeros_like(v["b"]), v["b"] << right_shift
        return {"s": wrap(a - b if subtract else a + b, width)}

    return Unit(
        name=f"shift_add_{left}_{left_shift}_{name}_{right}_{right_shift}_w{width}",
        inputs=(*([Port("a", left)] if left else []), Port("b", right)),
        outputs=(Port("s", width),),
        body="\n".join(
            [*(wires if left else wires[1:]), f"    assign s = {first} {sign} (q <<< {right_shift});"]
        ),
        model=model,
    )
