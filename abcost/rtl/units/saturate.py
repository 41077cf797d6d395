"""Saturation: a number in fewer bits, held at the least or the largest where it does not fit."""

from __future__ import annotations

from abcost.errors import UsageError
from abcost.rtl.forms import Box, Boxes
from abcost.rtl.sweep import Sample, Sweep, marked
from abcost.rtl.unit import Port, Unit, check_width, template

_LAW = Boxes(("width", "bits"), (Box({"bits": (2, 47)}, ()),))
"""Two gates for each bit of the result, and the bits that are cut off compared with the sign."""


def _sweep(*, quick: bool) -> Sweep:
    """From almost all bits cut off to one."""
    widths = (
        marked((4, 8, 16, 32), (12,)) if quick else marked((4, 6, 8, 12, 16, 20, 24, 32, 48), (10, 14, 28))
    )
    samples = [
        Sample(size, size, out)
        for width, out in widths
        for bits in sorted({2, width // 2, width * 3 // 4, width - 1})
        for size in [{"width": width, "bits": bits}]
    ]
    return Sweep(_LAW, tuple(samples))


@template("saturate", "width bits, clamped to `bits` bits, which are fewer", sweep=_sweep)
def saturate(*, width: int, bits: int) -> Unit:
    """y = min(max(x, -2**(bits - 1)), 2**(bits - 1) - 1), of `width` bits in, `bits` bits out.

    Raises UsageError unless 2 <= bits < width.
    """
    check_width(width, least=3)
    if not 2 <= bits < width:
        raise UsageError(f"{width} bits are clamped to 2 to {width - 1} bits, got {bits}")
    sign, above = f"x[{width - 1}]", f"x[{width - 2}:{bits - 1}]"  # above: equal to the sign where x fits
    return Unit(
        name=f"saturate_w{width}_n{bits}",
        inputs=(Port("x", width),),
        outputs=(Port("y", bits),),
        body=(
            f"    wire over = ~{sign} & |{above};\n"
            f"    wire under = {sign} & ~&{above};\n"
            f"    assign y = {{{sign}, x[{bits - 2}:0] & ~{{{bits - 1}{{under}}}} | {{{bits - 1}{{over}}}}}};"
        ),
        model=lambda v: {"y": v["x"].clamp(-(1 << bits - 1), (1 << bits - 1) - 1)},
    )
