"""Signed multiplier without the `*` that a synthesizer would give to a DSP: radix-4 Booth, rows added one by one.

Written out, because Yosys maps a `*` that may not be a DSP to four times as many LUTs (16 x 16 bits on LUT6: 614
against 145, on LUT4: 788 against 409): here every row is one adder, whose carry the fabric has for nothing.
"""

from __future__ import annotations

from abcost.core.integer import wrap
from abcost.rtl.forms import Pieces, Terms
from abcost.rtl.sweep import by_width
from abcost.rtl.unit import Port, Unit, check_width, template

BOOTH = Pieces(
    "width", (Terms(("width * ceil(width / 2)", "width", "1")), Terms(("width ** 2", "width", "1")))
)


@template("multiply_lut", "width x width bits, of LUTs where no DSP is left", sweep=by_width(BOOTH))
def multiply_lut(*, width: int) -> Unit:
    """p = a * b, signed, 2 * width bits.

    Row j adds a times the digit -2 … 2 of bits 2j - 1, 2j and 2j + 1 of b; a negative digit is the complement and a
    carry in, which is one more bit below. Two bits of the product are done with each row.
    """
    check_width(width, most=32)
    rows = (width + 1) // 2
    sign = f"{{{2 * rows - width}{{b[{width - 1}]}}}}, " if 2 * rows > width else ""
    lines = [f"    wire [{2 * rows}:0] digits = {{{sign}b, 1'b0}};"]
    for j in range(rows):
        kept = f"{{s{j - 1}[{width + 1}:2], 1'b1}}" if j else f"{{{width}'d0, 1'b1}}"
        lines += [
            f"    wire [2:0] d{j} = digits[{2 * j + 2}:{2 * j}];",
            f"    wire n{j} = d{j}[2] & ~(d{j}[1] & d{j}[0]);",
            f"    wire [{width}:0] m{j} = (d{j}[1] ^ d{j}[0]) ? {{a[{width - 1}], a}} : "
            f"(d{j}[2] ^ d{j}[1]) ? {{a, 1'b0}} : {width + 1}'d0;",
            f"    wire [{width}:0] x{j} = m{j} ^ {{{width + 1}{{n{j}}}}};",
            f"    wire signed [{width}:0] k{j} = {kept};",
            f"    wire signed [{width + 1}:0] r{j} = {{x{j}, n{j}}};",
            f"    wire signed [{width + 2}:0] c{j} = k{j} + r{j};",
            f"    wire signed [{width + 1}:0] s{j} = c{j}[{width + 2}:1];",
        ]
    low = "".join(f", s{j}[1:0]" for j in reversed(range(rows - 1)))
    lines += [
        f"    wire [{width + 2 * rows - 1}:0] whole = {{s{rows - 1}{low}}};",
        f"    assign p = whole[{2 * width - 1}:0];",
    ]
    return Unit(
        name=f"multiply_lut_w{width}",
        inputs=(Port("a", width), Port("b", width)),
        outputs=(Port("p", 2 * width),),
        body="\n".join(lines),
        model=lambda v: {"p": wrap(v["a"] * v["b"], 2 * width)},
    )
