"""Which sizes of which units a sweep measures: points to fit, and points held out to test the fit.

A `Sweep` names the unit, its points, and the form of its law. The full plan and the quick one (--quick: about a
third of the points) are in the same form.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from abcost.calibrate.fit import Box, Boxes, Each, Interpolated, Pieces, Terms
from abcost.calibrate.laws import Form
from abcost.calibrate.point import Point, Role
from abcost.core.exponents import sizes_of
from abcost.core.precision import popcount_bits

_LINE = Terms(("width", "1"))
_PAIRS = Terms(("ceil(width / 2)", "width", "1"))
LINEAR = Pieces("width", (_LINE, _PAIRS))  # ECP5 has two carries in one cell
QUADRATIC = Pieces("width", (_LINE, Terms(("width ** 2", "width", "1"))))
BOOTH = Pieces(
    "width", (Terms(("width * ceil(width / 2)", "width", "1")), Terms(("width ** 2", "width", "1")))
)
COMPARED = Pieces("width", (Terms(("ceil(width / 3)",)), _LINE, _PAIRS))  # 7-series: three bits per two LUTs

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


def plan(ops: Iterable[str], *, quick: bool, longest: int = BITS[-1]) -> list[Sweep]:
    """The sweeps of these units, in the order of SWEEPS; words of popcounts up to `longest` bits."""
    wanted = set(ops)
    sweeps = [make(quick=quick) for op, make in SWEEPS.items() if op in wanted]
    return [replace(sweep, points=_up_to(longest, sweep)) for sweep in sweeps]


def _up_to(longest: int, sweep: Sweep) -> tuple[Point, ...]:
    if sweep.op != "xnor_popcount":
        return sweep.points
    return tuple(point for point in sweep.points if point.size["bits"] <= longest)


def _role(*, held_out: bool) -> Role:
    return "held out" if held_out else "fit"


def _by_width(op: str, form: Form = LINEAR) -> Maker:
    def make(*, quick: bool) -> Sweep:
        fit, held = (QUICK_WIDTHS, QUICK_HELD_WIDTHS) if quick else (WIDTHS, HELD_WIDTHS)
        fit = (*fit, *WIDE) if op in CARRIED and not quick else fit
        fit = (1, *fit) if op == "register" else fit
        widths = [(w, w in held) for w in sorted((*fit, *held))]
        points = tuple(Point(op, {"width": w}, {"width": w}, _role(held_out=out)) for w, out in widths)
        return Sweep(op, points, form)

    return make


def _accumulate(*, quick: bool) -> Sweep:
    """The input is a popcount, some bits narrower than the sum."""
    sweep = _by_width("accumulate")(quick=quick)
    points = tuple(
        Point(p.op, p.size, {**p.parameters, "input_width": max(1, p.size["width"] - 3)}, p.role)
        for p in sweep.points
    )
    return Sweep(sweep.op, points, sweep.form)


def _prelu(*, quick: bool) -> Sweep:
    """Above 18 bits a fraction of 10 or more: with fewer some DSPs of the product are not needed at all."""
    fit, held = (QUICK_WIDTHS, QUICK_HELD_WIDTHS) if quick else (WIDTHS, HELD_WIDTHS)
    points = []
    for width in sorted((*fit, *held)):
        if width < 4:
            continue
        for fraction in sorted({4 if width <= 18 else 10, width - width // 4, width}):
            size = {"width": width, "fraction_bits": fraction}
            points.append(Point("prelu", size, size, _role(held_out=width in held)))
    forms = (
        _LINE,
        Terms(("width", "fraction_bits", "1")),
        Terms(("width ** 2", "width", "fraction_bits", "1")),
    )
    return Sweep("prelu", tuple(points), Pieces("width", forms))


SPANS = ((4, 7), (8, 15), (16, 31))
"""Spans of exponents whose code has 3, 4 and 5 bits: barrel shifters of 2, 2 and 3 levels of multiplexers."""

_ANY = {"span": (0, 126), "left": (0, 63), "inner": (0, 252)}


FULL = "max(0, width - span)"
"""Bits whose choices all differ; those above have copies of the sign among them, which take less."""

MIDDLE = "max(0, (min(choices, 4) - 2) * width - inner)"
"""The same for each choice between the least and the largest, of up to four: bits that are no copy of the sign."""

_LEFT = "min(1, left)"


def boxes(op: str) -> tuple[Box, ...]:
    """Structures of a unit that selects a shift: multiplexers, and barrel shifters.

    Of a PReLU's three choices the sign selects one, unless the code can mean it and is gated. Without a left shift the
    sign bit needs no multiplexer; a barrel shifter is as much wider as its left shift.
    """
    three = ({},) if op == "shift_select" else ({"exponents": (2, 2)}, {"exponents": (3, 3)})
    return (
        Box({"choices": (1, 2), **_ANY}, (_LEFT,)),
        *(Box({"choices": (3, 3), **only, **_ANY}, (MIDDLE, _LEFT)) for only in three),
        *(Box({"choices": (4, 4), "factored": (yes, yes), **_ANY}, (MIDDLE, _LEFT)) for yes in (1, 0)),
        *(
            Box({"choices": (5, 64), "span": span, "left": (0, span[1]), "inner": _ANY["inner"]}, ("left",))
            for span in SPANS
        ),
    )


DEEPEST = 6
"""Bits of a value that every right shift of a measured set leaves, its sign included."""


def exponent_sets(*, quick: bool) -> tuple[tuple[int, ...], ...]:
    """Sets for every structure: close together and spread, with and without 0, with and without left shifts."""
    few = (
        (-1, 0),
        (-3, 0),
        (0, 1),
        (-6,),
        (-2, -1),
        (-6, -3),
        (-1, 1),
        (-9, -2),
        (-2, -1, 0),
        (-6, -3, 0),
        (-1, 0, 1),
        (-9, -2, 0),
        (-3, -2, -1, 0),
        (-9, -5, -2, 0),
        (-10, -7, -3, 0),
        (-2, -1, 0, 1),
        (-4, -2, 0, 1),
        (-7, -1, 0, 2),
        (-5, -3, 1),
        (-8, -4, -1),
        (-6, -4, -2, 0),
        (-7, -6, -1, 0),
        (-3, 0, 1, 2),
        (-5, -1, 0, 1),
        (-6, -5, -4, 0),
        (-8, -7, -5, 0),
        (-9, -6, -5, 0),
        (-10, -8, -6, 0),
        (-10, -9, -7, 0),
        (-12, -9, -8, 0),
        (-5, -4, -2, 0),
        (-4, -3, 0, 2),
        (-3, -2, 0, 2),
        (-6, -5, 0),
        (-9, -8, 0),
        (-4, 0, 2),
    )
    many = tuple(
        (left - span, left - span + 1, -1, 0, left or -2)
        for low, high in SPANS
        for span in ((high,) if quick else (low, high))
        for left in (0, 2, high // 2)
    )
    return (*(few[::2] if quick else few), *many)


def _held_sets(width: int, *, quick: bool) -> tuple[tuple[int, ...], ...]:
    """Random sets between 2**-11 and 2**2, in the sizes of every structure."""
    generator = random.Random(f"sets of {width} bits")
    sizes = (1, 2, 3, 4, 5, 8) if quick else (1, 2, 2, 2, 3, 3, 3, 4, 4, 4, 4, 5, 5, 6, 7, 8, 10, 12)
    possible = range(max(-11, DEEPEST - width), 3)
    return tuple(tuple(generator.sample(possible, min(size, len(possible)))) for size in sizes)


def _selecting(op: str) -> Maker:
    """A shift that leaves little but the sign is in no set (`DEEPEST`): it costs less than the laws say.

    Every set of a plain shift has 0, for what its members share is wiring: without it they take fewer bits.
    """

    def make(*, quick: bool) -> Sweep:
        widths, held = ((8, 32), (20,)) if quick else ((8, 12, 16, 32), (10, 20))
        points = [
            _select(op, width, chosen)
            for chosen in exponent_sets(quick=quick)
            for width in widths
            if min(chosen) >= DEEPEST - width
        ]
        points += [
            _select(op, width, chosen, held_out=True)
            for width in held
            for chosen in _held_sets(width, quick=quick)
            if set(chosen) != {0}  # wiring
        ]
        once = {point.unit.name: point for point in reversed(points)}
        return Sweep(op, tuple(reversed(once.values())), Boxes(("width", FULL), boxes(op)))

    return make


def _select(op: str, width: int, exponents: Sequence[int], *, held_out: bool = False) -> Point:
    chosen = tuple(sorted({*exponents, *((0,) if op == "shift_select" else ())}))
    size = {"width": width, **sizes_of(chosen, identity=op != "shift_select")}
    return Point(op, size, {"width": width, "exponents": chosen}, _role(held_out=held_out))


def _by_bits(op: str, most: int = BITS[-1]) -> Maker:
    def make(*, quick: bool) -> Sweep:
        fit, held = (QUICK_BITS, QUICK_HELD_BITS) if quick else (BITS, HELD_BITS)
        points = tuple(
            Point(op, {"bits": n}, {"bits": n}, _role(held_out=n in held))
            for n in sorted((*fit, *held))
            if n <= most
        )
        return Sweep(op, points, Interpolated("bits"))

    return make


CONSTANT_BITS = (4, 8, 9, 16, 24, 32, 36, 64)
QUICK_CONSTANT_BITS = (4, 16, 36)
CONSTANT_LANES = (1, 2, 4, 8, 16, 32, 64)
HELD_CONSTANT = ((12, 4), (18, 16), (20, 1), (30, 8), (27, 2))
MOST_CONSTANT = 1200
"""Most bits times lanes that are measured but of 36 bits: larger ones take minutes each."""


DRAWS, MOST_DRAWN = 3, 300
"""Sets of words of each size, and the most bits times lanes of which there are so many: few words vary by a tenth."""


def constant_words(bits: int, lanes: int, draw: int = 0) -> tuple[int, ...]:
    """Random words, as weights of a trained layer look to synthesis."""
    generator = random.Random(f"constant {bits} {lanes}" + (f" {draw}" if draw else ""))
    return tuple(generator.getrandbits(bits) for _ in range(lanes))


def _constant_popcount(*, quick: bool) -> Sweep:
    """LUTs of a lane rise with its bits and fall with the lanes that share; priced in such groups of lanes."""
    grid = [
        (n, lanes)
        for n in (QUICK_CONSTANT_BITS if quick else CONSTANT_BITS)
        for lanes in CONSTANT_LANES
        if n * lanes <= MOST_CONSTANT or n == 36
    ]
    points = [
        Point("constant_popcount", {"bits": n, "choices": lanes},
              {"bits": n, "words": constant_words(n, lanes, draw)}, _role(held_out=out))
        for sizes, out in ((grid, False), (HELD_CONSTANT, True))
        for n, lanes in sizes
        for draw in range(DRAWS if n * lanes <= MOST_DRAWN else 1)
    ]  # fmt: skip
    return Sweep("constant_popcount", tuple(points), Each("choices", Interpolated("bits")))


TWO_WORD_BITS = (8, 16, 24, 32, 36)
HELD_TWO_WORD = ((12, 4), (20, 16), (30, 8), (18, 2))


def _two_words(op: str) -> Maker:
    """As constant popcounts, of two random words a lane."""

    def make(*, quick: bool) -> Sweep:
        bits = TWO_WORD_BITS[::2] if quick else TWO_WORD_BITS
        grid = [(n, lanes) for n in bits for lanes in CONSTANT_LANES if n * lanes <= MOST_CONSTANT]
        points = [
            Point(
                op, {"bits": n, "choices": lanes}, {"bits": n, "words": _pairs(n, lanes)}, _role(held_out=out)
            )
            for sizes, out in ((grid, False), (HELD_TWO_WORD, True))
            for n, lanes in sizes
        ]
        return Sweep(op, tuple(points), Each("choices", Interpolated("bits")))

    return make


def _pairs(bits: int, lanes: int) -> tuple[tuple[int, int], ...]:
    first, second = (constant_words(bits, lanes, draw) for draw in range(2))
    return tuple(zip(first, second, strict=True))


def modulus(width: int) -> int:
    """A modulus of so many bits that is no power of two, for which a counter has a comparison."""
    return (5 << width) // 7


def _counter(*, quick: bool) -> Sweep:
    """Beyond the modulus nothing matters but its bits; a power of two takes no comparison, and less."""
    fit, held = (QUICK_WIDTHS, QUICK_HELD_WIDTHS) if quick else (WIDTHS, HELD_WIDTHS)
    points = [
        Point("counter", {"width": w}, {"modulus": modulus(w)}, _role(held_out=w in held))
        for w in sorted((*fit, *held))
        if w <= 24
    ]
    return Sweep("counter", tuple(points), LINEAR)


def _signed_sum(*, quick: bool) -> Sweep:
    fit = [(n, w) for n in ((2, 9, 27) if quick else (1, 2, 4, 9, 16, 27, 64)) for w in (8, 16, 24, 32)]
    held = [(5, 12), (18, 16)] if quick else [(3, 12), (12, 20), (36, 10), (50, 16)]
    points = [
        Point("signed_sum", {"bits": n, "width": w}, {"bits": n, "width": w}, _role(held_out=out))
        for sizes, out in ((fit, False), (held, True))
        for n, w in sizes
    ]
    return Sweep(
        "signed_sum",
        tuple(points),
        Terms(("bits * width * log2(bits)", "bits * width", "bits", "width", "1")),
    )


def _scale_dot(*, quick: bool) -> Sweep:
    """The number of taps decides a handful of inverters; the law is over the width alone."""
    fit, held = (QUICK_WIDTHS, QUICK_HELD_WIDTHS) if quick else (WIDTHS, HELD_WIDTHS)
    points = [
        Point("scale_dot", {"width": width}, {"width": width, "bits": taps}, _role(held_out=width in held))
        for width in sorted((*fit, *held))
        for taps in (72, 576, 4608)
        if popcount_bits(taps) + 2 <= width
    ]
    return Sweep("scale_dot", tuple(points), Pieces("width", (_LINE,)))


DEPTHS = (2, 3, 4, 5, 6, 8, 12, 16, 32, 64, 96, 128, 192, 256, 320, 512, 640, 1024)
HELD_DEPTHS = (7, 10, 28, 56, 112, 232, 448, 900)
SMALL = 8
QUICK_DEPTHS = (2, 4, 8, 16, 64, 128, 256)
QUICK_HELD_DEPTHS = (28, 112)


def random_words(bits: int, depth: int) -> tuple[int, ...]:
    """Random words; of a small ROM, words whose columns are neither equal nor inverted, as far as there are so many."""
    if depth > SMALL:
        generator = random.Random(f"{depth} {bits}")
        return tuple(generator.randrange(-(1 << (bits - 1)), 1 << (bits - 1)) for _ in range(depth))
    columns = [
        1 + 11 * i % ((1 << depth - 1) - 1) for i in range(bits)
    ]  # 11 divides no 2**(depth - 1) - 1 up to there
    words = [sum((column >> row & 1) << i for i, column in enumerate(columns)) for row in range(depth)]
    return tuple(word - (word >> (bits - 1) << bits) for word in words)


def _rom(*, quick: bool) -> Sweep:
    """From codes of 1 bit to words of 32. One LUT6 holds 64 words of a bit; LUT4s and cells select word by word."""
    fit, held = (QUICK_DEPTHS, QUICK_HELD_DEPTHS) if quick else (DEPTHS, HELD_DEPTHS)
    points = []
    for depth in sorted((*fit, *held)):
        for width in (1, 8, 32) if quick else (1, 2, 4, 8, 16, 32):
            size = {"width": width, "depth": depth}
            parameters = {"width": width, "contents": random_words(width, depth)}
            points.append(Point("rom", size, parameters, _role(held_out=depth in held)))
    banks, rest = "ceil(depth / 256)", "(depth - 256 * floor(depth / 256))"  # see the template
    blocks = f"4 * floor(depth / 256) + min(1, {rest}) * 2 ** ceil(log2(max(1, {rest} / 64)))"  # of one LUT6 per bit
    forms = (
        Terms(("min(width, 2 ** min(depth - 1, 9) - 1)",)),  # so many columns differ
        Terms((f"width * ({blocks} + min(1, {banks} - 1))",)),
        Terms((f"width * {banks}", f"ceil(log2({banks}))")),
        Terms(("width", "1")),
        Terms(("width * 2 ** ceil(log2(depth))", "width", "1")),
        Terms(("width * depth", "width", "1")),
    )
    return Sweep("rom", tuple(points), Pieces("depth", forms, covering=True))


SWEEPS: dict[str, Maker] = {
    "multiply": _by_width("multiply", QUADRATIC),
    "add": _by_width("add"),
    "compare": _by_width("compare", COMPARED),
    "mux": _by_width("mux"),
    "max": _by_width("max"),
    "accumulate": _accumulate,
    "register": _by_width("register"),
    "prelu": _prelu,
    "shift_select": _selecting("shift_select"),
    "qprelu": _selecting("qprelu"),
    "xnor_popcount": _by_bits("xnor_popcount"),
    "signed_sum": _signed_sum,
    "qprelu_add": _selecting("qprelu_add"),
    "scale_dot": _scale_dot,
    "rom": _rom,
    "masked_popcount": _by_bits("masked_popcount", 288),
    "plain_popcount": _by_bits("plain_popcount", 288),
    "constant_popcount": _constant_popcount,
    "two_word_popcount": _two_words("two_word_popcount"),
    "masked_two_word_popcount": _two_words("masked_two_word_popcount"),
    "counter": _counter,
    "multiply_lut": _by_width("multiply_lut", BOOTH),
}
"""Unit of a cost table -> its sweep."""
