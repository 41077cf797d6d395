"""Which sizes of which units a sweep measures: points to fit, and points held out to test the fit.

A `Sweep` names the unit, its points, and the form of its law. The full plan and the quick one (--quick: about a
quarter of the points) are in the same form.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from abcost.calibrate.fit import Form, Interpolated, Lines, Pieces, Ranges, Terms
from abcost.calibrate.point import Point
from abcost.core.exponents import sizes_of

_LINE = Terms(("width", "1"))
LINEAR = Pieces("width", (_LINE,))
QUADRATIC = Pieces("width", (_LINE, Terms(("width ** 2", "width", "1"))))
COMPARED = Pieces(
    "width", (Terms(("ceil(width / 3)", "width")), _LINE)
)  # 7-series compares three bits per two LUTs

WIDTHS = (2, 3, 4, 5, 6, 8, 9, 10, 12, 14, 16, 17, 18, 19, 20, 22, 24, 25, 26, 28, 30, 32)
HELD_WIDTHS = (7, 11, 13, 15, 21, 23, 27, 29, 31)
QUICK_WIDTHS = (2, 4, 5, 8, 12, 16, 18, 19, 24, 25, 26, 32)
QUICK_HELD_WIDTHS = (10, 14, 22, 28)
WIDE = (40, 48, 64)  # only for units that a datapath may hold wider than its operands

BITS = (
    1, 2, 3, 4, 6, 8, 9, 12, 16, 18, 24, 27, 32, 36, 48, 54, 64, 72, 96, 108, 128, 144, 192, 256, 288, 384, 512, 576,
    768, 1024, 1152,
)  # fmt: skip
HELD_BITS = (5, 14, 25, 40, 60, 81, 112, 160, 225, 320, 441, 640, 900)
QUICK_BITS = (1, 2, 3, 4, 8, 9, 16, 18, 32, 36, 64, 72, 128, 256, 288)
QUICK_HELD_BITS = (12, 25, 48, 100, 160)


CARRIED = ("add", "compare", "mux", "max", "accumulate", "register")
"""Units that are measured at the widths of WIDE too."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """All points of one unit, and the forms that its laws may take."""

    op: str
    points: tuple[Point, ...]
    form: Form


class Maker(Protocol):
    """Makes the sweep of one unit."""

    def __call__(self, *, quick: bool) -> Sweep:
        """The full sweep, or its quick subset."""
        ...


def plan(ops: Iterable[str], *, quick: bool) -> list[Sweep]:
    """The sweeps of these units, in the order of SWEEPS."""
    wanted = set(ops)
    return [make(quick=quick) for op, make in SWEEPS.items() if op in wanted]


def _by_width(op: str, form: Form = LINEAR) -> Maker:
    def make(*, quick: bool) -> Sweep:
        fit, held = (QUICK_WIDTHS, QUICK_HELD_WIDTHS) if quick else (WIDTHS, HELD_WIDTHS)
        fit = (*fit, *WIDE) if op in CARRIED and not quick else fit
        widths = [(w, w in held) for w in sorted((*fit, *held))]
        points = tuple(Point(op, {"width": w}, {"width": w}, out) for w, out in widths)
        return Sweep(op, points, form)

    return make


def _accumulate(*, quick: bool) -> Sweep:
    """The input is a popcount, some bits narrower than the sum."""
    sweep = _by_width("accumulate")(quick=quick)
    points = tuple(
        Point(p.op, p.size, {**p.parameters, "input_width": max(1, p.size["width"] - 3)}, p.held_out)
        for p in sweep.points
    )
    return Sweep(sweep.op, points, sweep.form)


def _prelu(*, quick: bool) -> Sweep:
    """Above 25 bits a fraction of 10 or more: with fewer the top of the product is not needed at all."""
    fit, held = (QUICK_WIDTHS, QUICK_HELD_WIDTHS) if quick else (WIDTHS, HELD_WIDTHS)
    points = []
    for width in sorted((*fit, *held)):
        if width < 4:
            continue
        for fraction in sorted({4 if width < 26 else 10, width - width // 4, width}):
            size = {"width": width, "fraction_bits": fraction}
            points.append(Point("prelu", size, size, width in held))
    forms = (
        _LINE,
        Terms(("width", "fraction_bits", "1")),
        Terms(("width ** 2", "width", "fraction_bits", "1")),
    )
    return Sweep("prelu", tuple(points), Pieces("width", forms))


SPANS = ((4, 7), (8, 15), (16, 31))
"""Spans of exponents whose code has 3, 4 and 5 bits: barrel shifters of 2, 2 and 3 levels of multiplexers."""

BOXES: tuple[Ranges, ...] = (
    {"choices": (1, 2)},
    {"choices": (3, 3)},
    {"choices": (4, 4)},
    *({"choices": (5, 64), "span": span} for span in SPANS),
)
"""Structures of a unit that selects a shift: two-way and four-way multiplexer, barrel shifters."""


def exponent_sets(*, quick: bool) -> tuple[tuple[int, ...], ...]:
    """Sets for every structure: close together and spread, with and without left shifts."""
    few = (
        (-1, 0),
        (-3, 0),
        (0, 1),
        (-2, -1, 0),
        (-6, -3, 0),
        (-1, 0, 1),
        (-3, -2, -1, 0),
        (-9, -5, -2, 0),
        (-2, -1, 0, 1),
    )
    many = tuple(
        (left - span, left - span + 1, -1, 0, left or -2)
        for low, high in SPANS
        for span in ((high,) if quick else (low, high))
        for left in (0, 2)
    )
    return (*(few[::2] if quick else few), *many)


def _held_sets(*, quick: bool) -> tuple[tuple[int, ...], ...]:
    """Random sets between 2**-11 and 2**2, in the sizes of every structure."""
    generator = random.Random(0)
    sizes = (2, 3, 4, 5, 8) if quick else (2, 2, 3, 3, 4, 4, 5, 5, 6, 7, 8, 10, 12)
    return tuple((0, *generator.sample([e for e in range(-11, 3) if e], size - 1)) for size in sizes)


def _selecting(op: str) -> Maker:
    """Sets with 0, so that a PReLU and a plain shift select from the same choices."""

    def make(*, quick: bool) -> Sweep:
        widths, held = ((8, 16, 32), (20,)) if quick else ((8, 12, 16, 24, 32), (10, 20))
        points = [_select(op, w, chosen) for chosen in exponent_sets(quick=quick) for w in widths]
        points += [_select(op, w, chosen, held_out=True) for chosen in _held_sets(quick=quick) for w in held]
        once: dict[str, Point] = {}  # sets that clip to the same hardware are one point
        for point in points:
            once.setdefault(point.unit.name, point)
        return Sweep(op, tuple(once.values()), Lines("width", BOXES))

    return make


def _select(op: str, width: int, exponents: Sequence[int], *, held_out: bool = False) -> Point:
    chosen = tuple(sorted({max(e, 1 - width) for e in exponents}))  # further right is the same shift
    size = {"width": width, **sizes_of(chosen, identity=True)}
    return Point(op, size, {"width": width, "exponents": chosen}, held_out)


def _xnor_popcount(*, quick: bool) -> Sweep:
    fit, held = (QUICK_BITS, QUICK_HELD_BITS) if quick else (BITS, HELD_BITS)
    points = tuple(Point("xnor_popcount", {"bits": n}, {"bits": n}, n in held) for n in sorted((*fit, *held)))
    return Sweep("xnor_popcount", points, Interpolated("bits"))


def _signed_sum(*, quick: bool) -> Sweep:
    fit = [(n, w) for n in ((2, 9, 27) if quick else (1, 2, 4, 9, 16, 27, 64)) for w in (8, 16, 24)]
    held = [(5, 12), (18, 16)] if quick else [(3, 12), (12, 20), (36, 10), (50, 16)]
    points = [
        Point("signed_sum", {"bits": n, "width": w}, {"bits": n, "width": w}, out)
        for sizes, out in ((fit, False), (held, True))
        for n, w in sizes
    ]
    return Sweep("signed_sum", tuple(points), Terms(("bits * width", "bits", "width", "1")))


def _rom(*, quick: bool) -> Sweep:
    """Random words: trained parameters share few bits."""
    fit = (16, 64, 128, 256) if quick else (8, 16, 32, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
    held = (48, 200) if quick else (24, 56, 112, 232, 448, 900)
    points = []
    for depth in sorted((*fit, *held)):
        for width in (8, 16):
            generator = random.Random(f"{depth} {width}")
            words = tuple(generator.randrange(-(1 << (width - 1)), 1 << (width - 1)) for _ in range(depth))
            size = {"width": width, "depth": depth}
            points.append(Point("rom", size, {"width": width, "contents": words}, depth in held))
    return Sweep(
        "rom",
        tuple(points),
        Pieces(
            "depth", (Terms(("width * ceil(depth / 64)",)), Terms(("width * ceil(depth / 64)", "width", "1")))
        ),
    )


SWEEPS: dict[str, Maker] = {
    "multiply": _by_width("multiply", QUADRATIC),
    "add": _by_width("add"),
    "compare": _by_width("compare", COMPARED),
    "mux": _by_width("mux"),
    "max": _by_width("max", COMPARED),
    "accumulate": _accumulate,
    "register": _by_width("register"),
    "prelu": _prelu,
    "shift_select": _selecting("shift_select"),
    "qprelu": _selecting("qprelu"),
    "xnor_popcount": _xnor_popcount,
    "signed_sum": _signed_sum,
    "rom": _rom,
}
"""Unit of a cost table -> its sweep."""
