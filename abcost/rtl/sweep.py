"""Which sizes of a unit are measured, and the forms of its laws: what a unit's file says beside its Verilog.

A full sweep and a quick one (--quick: about a third of the points) are in the same form.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from abcost.rtl.forms import LINEAR, Curve, DelayForm, Form, Interpolated, Split

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

MOST_CELL_BITS = 288
"""Of a popcount on standard cells: the mapping of 512 bits does not end within minutes."""

DELAY_WIDTHS, QUICK_DELAY_WIDTHS = (2, 4, 8, 16, 32), (4, 16, 32)
HELD_DELAY_WIDTHS, QUICK_HELD_DELAY_WIDTHS = (12, 24), (12,)

LEAVES, QUICK_LEAVES = (1, 3, 6, 9, 18, 36, 72, 144, 288, 576), (3, 9, 36, 144)
HELD_LEAVES, QUICK_HELD_LEAVES = (4, 15, 54, 216), (15,)


@dataclass(frozen=True, slots=True)
class Sample:
    """One size that is measured: in the variables of a cost table, and the parameters that the unit is built with.

    held_out: it tests the law, which is fitted without it.
    """

    size: Mapping[str, int]
    parameters: Mapping[str, Any]
    held_out: bool = False


@dataclass(frozen=True, slots=True)
class Sweep:
    """Samples of what a unit takes, and the form of its laws. energy: that of its energy on FPGAs, if another.

    drawn: samples of one size differ in random contents only; laws are of their mean.
    cells: the sweep on standard cells, where it is another.
    """

    form: Form
    samples: tuple[Sample, ...]
    energy: Form | None = None
    drawn: bool = False
    cells: Sweep | None = None


@dataclass(frozen=True, slots=True)
class DelaySweep:
    """Samples of a unit's delay, each placed with several seeds, and the form of its law.

    cells: the sweep on standard cells, where it is another: nothing is placed there, so more sizes are looked at.
    """

    form: DelayForm
    samples: tuple[Sample, ...]
    cells: DelaySweep | None = None


class Sweeps(Protocol):
    """Makes the sweep of a unit."""

    def __call__(self, *, quick: bool) -> Sweep:
        """The full sweep, or its quick subset."""
        ...


class DelaySweeps(Protocol):
    """Makes the sweep of a unit's delays. dsp: bits that one DSP of the target multiplies."""

    def __call__(self, dsp: int, *, quick: bool) -> DelaySweep:
        """The full sweep, or its quick subset."""
        ...


def marked(fit: Sequence[int], held_out: Sequence[int]) -> list[tuple[int, bool]]:
    """Sizes in rising order, each with whether it is held out."""
    return [(value, value in held_out) for value in sorted({*fit, *held_out})]


def widths(*, quick: bool) -> list[tuple[int, bool]]:
    """The widths of most sweeps, each with whether it is held out."""
    return marked(QUICK_WIDTHS, QUICK_HELD_WIDTHS) if quick else marked(WIDTHS, HELD_WIDTHS)


def by_width(form: Form = LINEAR, *, more: Sequence[int] = (), wide: bool = False) -> Sweeps:
    """A unit whose one parameter is its width. more: further widths; wide: WIDE, in the full sweep."""

    def sweep(*, quick: bool) -> Sweep:
        further = marked((*more, *(WIDE if wide and not quick else ())), ())
        found = sorted([*widths(quick=quick), *further])
        return Sweep(form, tuple(Sample({"width": w}, {"width": w}, out) for w, out in found))

    return sweep


def by_bits(most: int = BITS[-1]) -> Sweeps:
    """A popcount of up to `most` bits, which are its one parameter."""

    def sweep(*, quick: bool) -> Sweep:
        sizes = marked(QUICK_BITS, QUICK_HELD_BITS) if quick else marked(BITS, HELD_BITS)
        samples = tuple(Sample({"bits": n}, {"bits": n}, out) for n, out in sizes if n <= most)
        return Sweep(Interpolated("bits"), samples)

    return sweep


def delays_by_width(dsp: int, *, quick: bool) -> DelaySweep:
    """Delays of a unit whose one parameter is its width."""
    del dsp
    sizes = (
        marked(QUICK_DELAY_WIDTHS, QUICK_HELD_DELAY_WIDTHS)
        if quick
        else marked(DELAY_WIDTHS, HELD_DELAY_WIDTHS)
    )
    samples = tuple(Sample({"width": w}, {"width": w}, out) for w, out in sizes)
    return DelaySweep(Curve("width"), samples, cells_by_width(quick=quick))


def cells_by_width(*, quick: bool) -> DelaySweep:
    """Delays on standard cells at the widths at which areas are measured."""
    samples = tuple(Sample({"width": w}, {"width": w}, out) for w, out in widths(quick=quick))
    return DelaySweep(Curve("width"), samples)


def delays_by_bits(most: int) -> DelaySweeps:
    """Delays of a popcount of up to `most` bits: an engine cuts longer words into registered leaves."""

    def sweep(dsp: int, *, quick: bool) -> DelaySweep:
        del dsp
        sizes = marked(QUICK_LEAVES, QUICK_HELD_LEAVES) if quick else marked(LEAVES, HELD_LEAVES)
        samples = tuple(Sample({"bits": n}, {"bits": n}, out) for n, out in sizes if n <= most)
        on_cells = by_bits(MOST_CELL_BITS)(quick=quick).samples
        return DelaySweep(Curve("bits"), samples, DelaySweep(Curve("bits"), on_cells))

    return sweep


def dsp_widths(dsp: int, *, quick: bool) -> list[tuple[int, bool]]:
    """Both sides of the width that one DSP multiplies are among them, for there the delay jumps."""
    if quick:
        return marked((4, dsp, dsp + 1, 32), (12,))
    return marked((4, 16, dsp, dsp + 1, 32), (12, 24))


def delays_by_dsp(dsp: int, *, quick: bool) -> DelaySweep:
    """Delays of a multiplier whose one parameter is its width."""
    samples = tuple(Sample({"width": w}, {"width": w}, out) for w, out in dsp_widths(dsp, quick=quick))
    return DelaySweep(Split("width", dsp, Curve("width")), samples, cells_by_width(quick=quick))
