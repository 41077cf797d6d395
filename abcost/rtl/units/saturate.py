"""Saturation: a number in fewer bits, held at the least or the largest where it does not fit."""

from __future__ import annotations

from abcost.errors import UsageError
from abcost.rtl.forms import Box, Boxes, Terms
from abcost.rtl.sweep import Sample, Sweep, marked
from abcost.rtl.unit import Port, Unit, check_width, template

_OF_LUT4 = "min(1, max(0, bits - 2)) * ceil(bits / 3)"
_OF_LUT6 = "min(1, max(0, bits - 4)) * ceil(bits / 5)"
"""A flag over the bits that are cut off; where they are few they fit into the LUT of each bit of the result."""

_LAW = Boxes(("width", _OF_LUT4, _OF_LUT6), (Box({"bits": (1, 46)}, ()),))


_ON_CELLS = Terms(("width", "bits", "width * min(1, bits - 1)"))
"""Of one bit that is cut off, the flags are part of the gates of each bit of the result."""


def _sweep(*, quick: bool) -> Sweep:
    """The sweep from almost all bits of the operand cut off to one."""
    operands = (
        marked((4, 8, 16, 32), (12,)) if quick else marked((4, 6, 8, 12, 16, 20, 24, 32, 48), (10, 14, 28))
    )
    samples = [
        Sample(size, size, out)
        for operand, out in operands
        for width in sorted({2, operand // 2, operand * 3 // 4, operand - 1})
        for size in [{"width": width, "bits": operand - width}]
    ]
    return Sweep(_LAW, tuple(samples), cells=Sweep(_ON_CELLS, tuple(samples)))


@template("saturate", "width bits of a number of `bits` bits more, clamped", sweep=_sweep)
def saturate(*, width: int, bits: int) -> Unit:
    """y = min(max(x, -2**(width - 1)), 2**(width - 1) - 1), in width bits; x has `bits` bits more."""
    check_width(width)
    operand = width + bits
    if bits < 1 or operand > 64:
        raise UsageError(f"saturation to {width} bits cuts off 1 to {64 - width} bits, got {bits}")
    sign = f"x[{operand - 1}]"
    above = f"x[{operand - 2}:{width - 1}]"  # equal to the sign where x fits
    return Unit(
        name=f"saturate_w{operand}_n{width}",
        inputs=(Port("x", operand),),
        outputs=(Port("y", width),),
        body=(
            f"    wire over = ~{sign} & |{above};\n"
            f"    wire under = {sign} & ~&{above};\n"
            f"    assign y = {{{sign}, x[{width - 2}:0] & ~{{{width - 1}{{under}}}} | {{{width - 1}{{over}}}}}};"
        ),
        model=lambda v: {"y": v["x"].clamp(-(1 << width - 1), (1 << width - 1) - 1)},
    )
