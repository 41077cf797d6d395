"""Modulo counter: steps through the folds, channels and columns of an engine."""

from __future__ import annotations

from collections.abc import Iterable

from abcost.core.lazy import torch
from abcost.errors import UsageError
from abcost.rtl.forms import LINEAR, Curve
from abcost.rtl.sweep import DelaySweep, Sample, Sweep, marked, widths
from abcost.rtl.unit import Port, Unit, Values, begins_with, flag, template

MOST = 2**32


def _samples(sizes: Iterable[tuple[int, bool]]) -> tuple[Sample, ...]:
    """Samples with a modulus that is no power of two: such a counter has a comparison; else only its bits matter."""
    return tuple(Sample({"width": w}, {"modulus": (5 << w) // 7}, out) for w, out in sizes)


def _sweep(*, quick: bool) -> Sweep:
    return Sweep(LINEAR, _samples((w, out) for w, out in widths(quick=quick) if w <= 24))


def _delays(dsp: int, *, quick: bool) -> DelaySweep:
    del dsp
    sizes = marked((2, 16), (8,)) if quick else marked((2, 4, 16, 24), (8,))
    return DelaySweep(Curve("width"), _samples(sizes))


@template(
    "counter",
    "width bits with enable and reset, back to 0 after its last value",
    sweep=_sweep,
    delays=_delays,
    stepped=True,
)
def counter(*, modulus: int) -> Unit:
    """count <= (count + enable) mod `modulus`, 0 after `reset`; wrap = enable and count = modulus - 1.

    `wrap` says in the cycle itself that the count starts again at the next edge. Raises UsageError for a modulus
    below 2.
    """
    if not 2 <= modulus <= MOST:
        raise UsageError(f"a counter has a modulus from 2 to {MOST}, got {modulus}")
    bits = (modulus - 1).bit_length()
    step = f"count + {bits}'d1" if modulus == 1 << bits else f"last ? {bits}'d0 : count + {bits}'d1"

    def model(values: Values) -> dict[str, torch.Tensor]:
        count, rows = 0, []
        for enable, reset in zip(values["enable"].tolist(), values["reset"].tolist(), strict=True):
            count = 0 if reset else (count + enable) % modulus
            rows.append(count)
        counted = torch.tensor(rows, dtype=torch.int64)
        return {"count": counted, "wrap": values["enable"] * (counted == modulus - 1)}

    span = f"[{bits - 1}:0] " if bits > 1 else ""
    return Unit(
        name=f"counter_m{modulus}",
        inputs=(flag("reset"), flag("enable")),
        outputs=(Port("count", bits, signed=False), flag("wrap")),
        body=(
            f"    reg {span}kept = 0;\n"
            f"    assign count = kept;\n"
            f"    wire last = count == {bits}'d{modulus - 1};\n"
            f"    always @(posedge clk)\n"
            f"        if (reset) kept <= 0;\n"
            f"        else if (enable) kept <= {step};\n"
            "    assign wrap = enable & last;"
        ),
        model=model,
        clocked=True,
        protocol=begins_with("reset"),
    )
