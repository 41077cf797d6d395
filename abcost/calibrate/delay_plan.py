"""Which units are placed and routed at which sizes, for their delays; the most asked for come first.

Like the plan of areas: points to fit, points held out to test the fit, and the form of the law. Every point
is measured with each of SEEDS under both mappings.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from abcost.calibrate.delay_fit import Curve, Factors, Form, Split
from abcost.calibrate.delay_point import DelayPoint
from abcost.calibrate.plan import modulus, random_words
from abcost.core.exponents import sizes_of
from abcost.core.precision import popcount_bits

SEEDS = (1, 2, 3)

WIDTHS = (2, 4, 8, 16, 32)
HELD_WIDTHS = (12, 24)
QUICK_WIDTHS = (4, 16, 32)
QUICK_HELD = (12,)

LEAVES = (1, 3, 6, 9, 18, 36, 72, 144, 288, 576)
HELD_LEAVES = (4, 15, 54, 216)
QUICK_LEAVES = (3, 9, 36, 144)
QUICK_HELD_LEAVES = (15,)

SETS: tuple[tuple[int, ...], ...] = (
    (-3, 0),
    (-2, -1, 0),
    (-6, -3, 0),
    (-5, -3, -1, 0),
    (-6, -4, -3, -1, 0),
    tuple(range(-12, 1)),
)
HELD_SETS: tuple[tuple[int, ...], ...] = ((-4, 0), (-4, -1, 0), (-7, -5, -2, -1, 0))


@dataclass(frozen=True, slots=True)
class DelaySweep:
    """All points of one unit, and the form of its law."""

    op: str
    points: tuple[DelayPoint, ...]
    form: Form


class Maker(Protocol):
    """Makes the sweep of one unit. dsp: bits that one DSP of the target multiplies."""

    def __call__(self, dsp: int, *, quick: bool) -> DelaySweep:
        """The full sweep, or its quick subset."""
        ...


def delay_plan(ops: Iterable[str], *, dsp: int, quick: bool) -> list[DelaySweep]:
    """The sweeps of these units, in the order of DELAYS."""
    wanted = set(ops)
    return [make(dsp, quick=quick) for op, make in DELAYS.items() if op in wanted]


def _point(op: str, size: Mapping[str, int], parameters: Mapping[str, Any], *, out: bool) -> DelayPoint:
    return DelayPoint(op, dict(size), dict(parameters), "held out" if out else "fit")


def _marked(fit: Sequence[int], held: Sequence[int]) -> list[tuple[int, bool]]:
    return [(value, value in held) for value in sorted({*fit, *held})]


def _by_width(op: str) -> Maker:
    def make(dsp: int, *, quick: bool) -> DelaySweep:
        del dsp
        widths = _marked(QUICK_WIDTHS, QUICK_HELD) if quick else _marked(WIDTHS, HELD_WIDTHS)
        points = [_point(op, {"width": w}, {"width": w}, out=out) for w, out in widths]
        return DelaySweep(op, tuple(points), Curve("width"))

    return make


def _register(dsp: int, *, quick: bool) -> DelaySweep:
    """From one flip-flop to the next: what no engine is faster than."""
    del dsp
    widths = _marked((1, 32), (8,)) if quick else _marked((1, 16, 32), (8,))
    points = [_point("register", {"width": w}, {"width": w}, out=out) for w, out in widths]
    return DelaySweep("register", tuple(points), Curve("width"))


def _accumulate(dsp: int, *, quick: bool) -> DelaySweep:
    """The input is a popcount, some bits narrower than the sum."""
    sweep = _by_width("accumulate")(dsp, quick=quick)
    points = [
        DelayPoint(p.op, p.size, {**p.parameters, "input_width": max(1, p.size["width"] - 3)}, p.role)
        for p in sweep.points
    ]
    return DelaySweep("accumulate", tuple(points), sweep.form)


def _by_bits(op: str, most: int) -> Maker:
    """Popcounts of up to `most` bits: an engine cuts longer words into registered leaves."""

    def make(dsp: int, *, quick: bool) -> DelaySweep:
        del dsp
        sizes = _marked(QUICK_LEAVES, QUICK_HELD_LEAVES) if quick else _marked(LEAVES, HELD_LEAVES)
        points = [_point(op, {"bits": n}, {"bits": n}, out=out) for n, out in sizes if n <= most]
        return DelaySweep(op, tuple(points), Curve("bits"))

    return make


def _counter(dsp: int, *, quick: bool) -> DelaySweep:
    """Of a modulus that is no power of two, for which the counter has a comparison."""
    del dsp
    widths = _marked((2, 16), (8,)) if quick else _marked((2, 4, 16, 24), (8,))
    points = [_point("counter", {"width": w}, {"modulus": modulus(w)}, out=out) for w, out in widths]
    return DelaySweep("counter", tuple(points), Curve("width"))


def _dsp_widths(dsp: int, *, quick: bool) -> list[tuple[int, bool]]:
    """Both sides of the width that one DSP multiplies are among them, for there the delay jumps."""
    if quick:
        return _marked((4, dsp, dsp + 1, 32), (12,))
    return _marked((4, 16, dsp, dsp + 1, 32), (12, 24))


def _multiply(dsp: int, *, quick: bool) -> DelaySweep:
    points = [
        _point("multiply", {"width": w}, {"width": w}, out=out) for w, out in _dsp_widths(dsp, quick=quick)
    ]
    return DelaySweep("multiply", tuple(points), Split("width", dsp, Curve("width")))


def _scale_dot(dsp: int, *, quick: bool) -> DelaySweep:
    """The subtraction in front of the multiplier is as wide as the count, so taps matter beside the width."""
    points = [
        _point("scale_dot", {"width": w, "bits": taps}, {"width": w, "bits": taps}, out=out)
        for w, out in _dsp_widths(dsp, quick=quick)
        for taps in ((1152,) if quick or out else (72, 1152, 18432))
        if popcount_bits(taps) + 2 <= w
    ]
    terms = ("width", "1") if quick else ("width", "log2(bits)", "1")
    return DelaySweep("scale_dot", tuple(points), Split("width", dsp, Factors(terms)))


def _prelu(dsp: int, *, quick: bool) -> DelaySweep:
    points = [
        _point("prelu", {"width": w, "fraction_bits": f}, {"width": w, "fraction_bits": f}, out=out)
        for w, out in _dsp_widths(dsp, quick=quick)
        for f in ((w // 2,) if quick or out else sorted({w // 2, w - w // 4}))
    ]
    return DelaySweep("prelu", tuple(points), Split("width", dsp, Curve("width")))


def _signed_sum(dsp: int, *, quick: bool) -> DelaySweep:
    del dsp
    fit = [(n, w) for n in ((2, 4, 16) if quick else (1, 2, 3, 4, 8, 16)) for w in (8, 16)]
    fit += [] if quick else [(2, 4), (9, 4), (4, 24)]
    held = [(8, 12)] if quick else [(8, 12), (5, 10), (14, 16)]
    points = [
        _point("signed_sum", {"bits": n, "width": w}, {"bits": n, "width": w}, out=out)
        for sizes, out in ((fit, False), (held, True))
        for n, w in sizes
    ]
    terms = ("ceil(log2(bits))", "log2(bits)", "ceil(log2(bits)) * width", "width", "1")
    return DelaySweep("signed_sum", tuple(points), Factors(terms))


def _selecting(op: str) -> Maker:
    """One level of multiplexers for up to four choices, a barrel shifter over the span for more."""

    def make(dsp: int, *, quick: bool) -> DelaySweep:
        del dsp
        widths, sets = ((32,), SETS[::3]) if quick else ((8, 32), SETS)
        chosen = [(width, exponents, False) for exponents in sets for width in widths]
        chosen += [(16, exponents, True) for exponents in (HELD_SETS[:1] if quick else HELD_SETS)]
        points = []
        for width, exponents, out in chosen:
            members = tuple(sorted({*exponents, *((0,) if op == "shift_select" else ())}))
            if min(members) < 3 - width:
                continue
            sizes = sizes_of(members, identity=op != "shift_select")
            size = {"width": width, "choices": sizes["choices"], "span": sizes["span"]}
            points.append(_point(op, size, {"width": width, "exponents": members}, out=out))
        terms = ("log2(width)", "ceil(log2(choices))", "log2(choices)", "log2(span + 1)", "1")
        return DelaySweep(op, tuple(points), Factors(terms))

    return make


def _rom(dsp: int, *, quick: bool) -> DelaySweep:
    """Words in LUTs, whose own registers are behind them: address register -> LUTs -> register.

    Of 16 bits: narrow ones are faster (1 bit of 256 words 4.7 instead of 7.2 ns, mapped for area), wider ones
    read more columns side by side with the same address.
    """
    del dsp
    fit, held = ((2, 16, 256), (64,)) if quick else ((2, 8, 16, 32, 256, 512, 1024), (64,))
    points = [
        _point(
            "rom",
            {"width": width, "depth": depth},
            {"width": width, "contents": random_words(width, depth)},
            out=out,
        )
        for depth, out in _marked(fit, held)
        for width in (16,)
    ]
    return DelaySweep("rom", tuple(points), Curve("depth"))


def _block_read(dsp: int, *, quick: bool) -> DelaySweep:
    """From one block to eight, side by side and behind each other."""
    del dsp
    sizes = [(8, 512), (16, 1024), (8, 4096)]
    sizes += [] if quick else [(2, 2048), (36, 512), (64, 512), (8, 2048), (16, 4096)]
    points = [
        _point(
            "block_read",
            {"width": w, "depth": d},
            {"bits": w, "words": tuple(word % (1 << w) for word in random_words(w, d))},
            out=(w, d) == (8, 2048),
        )
        for w, d in sizes
    ]
    return DelaySweep("block_read", tuple(points), Factors(("log2(width)", "log2(depth)", "1")))


DELAYS: dict[str, Maker] = {
    "register": _register,
    "add": _by_width("add"),
    "compare": _by_width("compare"),
    "accumulate": _accumulate,
    "mux": _by_width("mux"),
    "xnor_popcount": _by_bits("xnor_popcount", 576),
    "qprelu": _selecting("qprelu"),
    "multiply": _multiply,
    "scale_dot": _scale_dot,
    "rom": _rom,
    "block_read": _block_read,
    "signed_sum": _signed_sum,
    "max": _by_width("max"),
    "counter": _counter,
    "masked_popcount": _by_bits("masked_popcount", 144),
    "plain_popcount": _by_bits("plain_popcount", 144),
    "shift_select": _selecting("shift_select"),
    "qprelu_add": _selecting("qprelu_add"),
    "prelu": _prelu,
}
"""Unit -> its sweep of delays, the most asked for first."""
