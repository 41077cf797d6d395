"""Accumulator of partial sums over the folds of a dot product."""

from __future__ import annotations

from dataclasses import replace

from abcost.core.lazy import torch
from abcost.rtl.sweep import DelaySweep, Sample, Sweep, by_width, delays_by_width
from abcost.rtl.unit import Port, Unit, Values, begins_with, check_width, flag, template


def _of_popcounts(samples: tuple[Sample, ...]) -> tuple[Sample, ...]:
    """The input is a popcount, some bits narrower than the sum."""
    return tuple(
        replace(s, parameters={**s.parameters, "input_width": max(1, s.size["width"] - 3)}) for s in samples
    )


def _sweep(*, quick: bool) -> Sweep:
    plain = by_width(wide=True)(quick=quick)
    return replace(plain, samples=_of_popcounts(plain.samples))


def _delays(dsp: int, *, quick: bool) -> DelaySweep:
    plain = delays_by_width(dsp, quick=quick)
    cells = plain.cells and replace(plain.cells, samples=_of_popcounts(plain.cells.samples))
    return replace(plain, samples=_of_popcounts(plain.samples), cells=cells)


@template("accumulate", "adder whose result is kept in a register, width bits", sweep=_sweep, delays=_delays)
def accumulate(
    *, width: int, input_width: int | None = None, signed: bool = False, enabled: bool = False
) -> Unit:
    """total <= first ? x : total + x, in width bits; x has `input_width` bits, unsigned (a popcount) or `signed`.

    enabled: only in cycles in which the input `enable` is 1.
    """
    check_width(width)
    narrow = input_width or width

    def model(values: Values) -> dict[str, torch.Tensor]:
        total, rows = 0, []
        enables = values["enable"].tolist() if enabled else [1] * len(values["x"])
        for x, first, enable in zip(values["x"].tolist(), values["first"].tolist(), enables, strict=True):
            if enable:
                total = (x if first else total + x) % (1 << width)  # long sums would leave int64
            rows.append(total - (1 << width) if total >> (width - 1) else total)
        return {"total": torch.tensor(rows, dtype=torch.int64)}

    sign, zero = ("signed ", f"{width}'sd0") if signed else ("", f"{width}'d0")
    when = "if (enable) " if enabled else ""
    return Unit(
        name=f"accumulate_w{width}_i{narrow}" + "_signed" * signed + "_enabled" * enabled,
        inputs=(Port("x", narrow, signed=signed), flag("first"), *([flag("enable")] if enabled else [])),
        outputs=(Port("total", width),),
        body=(
            f"    reg {sign}[{width - 1}:0] kept;\n"
            f"    always @(posedge clk) {when}kept <= x + (first ? {zero} : kept);\n"
            "    assign total = kept;"
        ),
        model=model,
        clocked=True,
        protocol=begins_with(*(["first", "enable"] if enabled else ["first"])),
    )
