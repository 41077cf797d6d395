"""Signed multiplier of factors of two widths, which standard cells take without a block of fixed size."""

from __future__ import annotations

from abcost.core.integer import wrap
from abcost.errors import UsageError
from abcost.rtl.forms import Terms
from abcost.rtl.sweep import Sample, Sweep
from abcost.rtl.unit import Port, Unit, check_width, template

_SIZES = (
    (2, 2), (4, 2), (4, 4), (6, 4), (8, 2), (8, 4), (8, 6), (8, 8), (9, 9), (10, 5), (12, 4), (12, 8), (12, 12),
    (16, 2), (16, 4), (16, 6), (16, 8), (16, 12), (16, 16), (24, 6), (24, 12), (24, 24), (32, 8), (32, 16), (32, 32),
)  # fmt: skip
_HELD = ((7, 5), (9, 6), (10, 8), (14, 10), (16, 10), (20, 7))
_QUICK = ((2, 2), (4, 4), (8, 2), (8, 8), (16, 4), (16, 12), (24, 6), (32, 32))
_QUICK_HELD = ((12, 6), (16, 8))


def _sweep(*, quick: bool) -> Sweep:
    """The sweep on standard cells only: a row of adders for each bit of the narrower factor, as wide as the other."""
    sizes = [(size, False) for size in (_QUICK if quick else _SIZES)]
    sizes += [(size, True) for size in (_QUICK_HELD if quick else _HELD)]
    samples = tuple(
        Sample({"width": width, "bits": bits}, {"width": width, "bits": bits}, out)
        for (width, bits), out in sizes
    )
    form = Terms(("width * bits", "width", "bits", "1"))
    return Sweep(form, (), cells=Sweep(form, samples))


@template("product", "width x `bits` bits, the narrower factor last, of gates", sweep=_sweep)
def product(*, width: int, bits: int) -> Unit:
    """p = a * b, signed, width + bits bits. Raises UsageError where the second factor is the wider one."""
    check_width(width, most=32)
    check_width(bits, most=32)
    if bits > width:
        raise UsageError(
            f"the second factor of a product is the narrower one, got {bits} beside {width} bits"
        )
    return Unit(
        name=f"product_w{width}_n{bits}",
        inputs=(Port("a", width), Port("b", bits)),
        outputs=(Port("p", width + bits),),
        body="    assign p = a * b;",
        model=lambda v: {"p": wrap(v["a"] * v["b"], width + bits)},
    )
