"""Sweeps of units that select among shifts: which sets of exponents are measured, and the structures of their laws.

identity: the unit is a PReLU, whose positive branch is not shifted. Every set of a plain shift has 0, for what its
members share is wiring: without it they take fewer bits.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import replace

from abcost.core.exponents import sizes_of
from abcost.rtl.forms import Box, Boxes, Factors
from abcost.rtl.sweep import DelaySweep, DelaySweeps, Sample, Sweep, Sweeps

SPANS = ((4, 7), (8, 15), (16, 31))
"""Spans of exponents whose code has 3, 4 and 5 bits: barrel shifters of 2, 2 and 3 levels of multiplexers."""

_ANY = {"span": (0, 126), "left": (0, 63), "inner": (0, 252)}


FULL = "max(0, width - span)"
"""Bits whose choices all differ; those above have copies of the sign among them, which take less."""

MIDDLE = "max(0, (min(choices, 4) - 2) * width - inner)"
"""The same for each choice between the least and the largest, of up to four: bits that are no copy of the sign."""

_LEFT = "min(1, left)"


def boxes(*, identity: bool) -> tuple[Box, ...]:
    """Structures of a unit that selects a shift: multiplexers, and barrel shifters.

    Of a PReLU's three choices the sign selects one, unless the code can mean it and is gated. Without a left shift the
    sign bit needs no multiplexer; a barrel shifter is as much wider as its left shift.
    """
    three: tuple[dict[str, tuple[int, int]], ...]
    three = ({"exponents": (2, 2)}, {"exponents": (3, 3)}) if identity else ({},)
    return (
        Box({"choices": (1, 2), **_ANY}, (_LEFT,)),
        *(Box({"choices": (3, 3), **only, **_ANY}, (MIDDLE, _LEFT)) for only in three),
        *(Box({"choices": (4, 4), "factored": (yes, yes), **_ANY}, (MIDDLE, _LEFT)) for yes in (1, 0)),
        *(
            Box({"choices": (5, 64), "span": span, "left": (0, span[1]), "inner": _ANY["inner"]}, ("left",))
            for span in SPANS
        ),
    )


def _of_cells(box: Box) -> Box:
    """A barrel shifter takes no less for a wider span, though bits that are copies of the sign would make it cheaper.

    Neither does it take less than a choice of four, which spans three at least and has inner members one and two away.
    """
    least, most = box.ranges["choices"]
    if least > 4:
        return replace(box, growing=("span", "inner", "choices"))
    inner = sum(range(1, most - 1)) if box.ranges.get("exponents") != (2, 2) else 0
    return replace(box, terms=(FULL, *box.terms), least={"span": most - 1, "inner": inner, "choices": most})


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


def selecting(*, identity: bool) -> Sweeps:
    """A shift that leaves little but the sign is in no set (`DEEPEST`): it costs less than the laws say."""

    def sweep(*, quick: bool) -> Sweep:
        widths, held = ((8, 32), (20,)) if quick else ((8, 12, 16, 32), (10, 20))
        chosen = [
            (width, _members(exponents, identity=identity), False)
            for exponents in exponent_sets(quick=quick)
            for width in widths
            if min(exponents) >= DEEPEST - width
        ]
        chosen += [
            (width, _members(exponents, identity=identity), True)
            for width in held
            for exponents in _held_sets(width, quick=quick)
            if set(exponents) != {0}  # wiring
        ]
        once = {(width, members): out for width, members, out in reversed(chosen)}
        samples = [
            Sample(
                {"width": width, **sizes_of(members, identity=identity)},
                {"width": width, "exponents": members},
                out,
            )
            for (width, members), out in reversed(once.items())
        ]
        of_luts = Boxes(("width", FULL), boxes(identity=identity))
        on_cells = Boxes(("width",), tuple(map(_of_cells, boxes(identity=identity))))
        return Sweep(of_luts, tuple(samples), cells=Sweep(on_cells, tuple(samples)))

    return sweep


def _members(exponents: Iterable[int], *, identity: bool) -> tuple[int, ...]:
    return tuple(sorted({*exponents, *(() if identity else (0,))}))


DELAY_SETS: tuple[tuple[int, ...], ...] = (
    (-3, 0),
    (-2, -1, 0),
    (-6, -3, 0),
    (-5, -3, -1, 0),
    (-6, -4, -3, -1, 0),
    tuple(range(-12, 1)),
)
HELD_DELAY_SETS: tuple[tuple[int, ...], ...] = ((-4, 0), (-4, -1, 0), (-7, -5, -2, -1, 0))


_ON_CELLS = ("width", "width * log2(choices)", "ceil(log2(choices))", "log2(choices)", "log2(span + 1)", "1")
"""Nothing is buffered there, so what drives the selects of all bits takes as much longer as there are bits."""


def delays_selecting(*, identity: bool) -> DelaySweeps:
    """One level of multiplexers for up to four choices, a barrel shifter over the span for more."""

    def sweep(dsp: int, *, quick: bool) -> DelaySweep:
        del dsp
        widths, sets = ((32,), DELAY_SETS[::3]) if quick else ((8, 32), DELAY_SETS)
        chosen = [(width, exponents, False) for exponents in sets for width in widths]
        chosen += [(16, exponents, True) for exponents in (HELD_DELAY_SETS[:1] if quick else HELD_DELAY_SETS)]
        samples = []
        for width, exponents, out in chosen:
            members = _members(exponents, identity=identity)
            if min(members) < 3 - width:
                continue
            sizes = sizes_of(members, identity=identity)
            size = {"width": width, "choices": sizes["choices"], "span": sizes["span"]}
            samples.append(Sample(size, {"width": width, "exponents": members}, out))
        terms = ("log2(width)", "ceil(log2(choices))", "log2(choices)", "log2(span + 1)", "1")
        on_cells = DelaySweep(Factors(_ON_CELLS), tuple(samples))
        return DelaySweep(Factors(terms), tuple(samples), on_cells)

    return sweep
