"""Small memory of registers, which standard cells have below macros: a word is written and one read in every cycle."""

from __future__ import annotations

from typing import TYPE_CHECKING

from abcost.core.lazy import torch
from abcost.errors import UsageError
from abcost.rtl.forms import Factors, Terms
from abcost.rtl.sweep import DelaySweep, Sample, Sweep
from abcost.rtl.unit import Port, Unit, Values, check_width, template

if TYPE_CHECKING:
    from torch import Tensor

MOST_WORDS = 64
"""Deepest that is measured; deeper ones are several with a multiplexer behind them."""
MOST_BITS = 32
"""Widest that is measured."""

_SIZES = (
    (1, 2), (8, 2), (32, 2), (1, 4), (8, 4), (32, 4), (4, 8), (16, 8), (32, 8), (1, 16), (8, 16), (32, 16),
    (1, 32), (4, 32), (16, 32), (1, 64), (8, 64), (16, 64),
)  # fmt: skip
_HELD = ((16, 3), (4, 6), (16, 12), (8, 24), (4, 48), (24, 16), (12, 32))
_QUICK = ((1, 2), (32, 2), (8, 8), (32, 8), (1, 32), (16, 32))
_QUICK_HELD = ((16, 4), (8, 16))


def _samples(*, quick: bool) -> tuple[Sample, ...]:
    sizes = [(size, False) for size in (_QUICK if quick else _SIZES)]
    sizes += [(size, True) for size in (_QUICK_HELD if quick else _HELD)]
    return tuple(
        Sample({"width": width, "depth": depth}, {"width": width, "depth": depth}, out)
        for (width, depth), out in sizes
    )


def _sweep(*, quick: bool) -> Sweep:
    """The sweep on standard cells only: an FPGA has RAM of LUTs, or blocks."""
    form = Terms(("width * depth", "width", "depth", "1"))
    return Sweep(form, (), cells=Sweep(form, _samples(quick=quick)))


def _delays(dsp: int, *, quick: bool) -> DelaySweep:
    """Address register -> select -> register; on standard cells only."""
    del dsp
    form = Factors(("width", "log2(depth)", "1"))  # a select drives as many gates as there are bits
    return DelaySweep(form, (), DelaySweep(form, _samples(quick=quick)))


@template(
    "register_file",
    "`depth` words of width bits in registers, written and read",
    sweep=_sweep,
    delays=_delays,
)
def register_file(*, width: int, depth: int) -> Unit:
    """q <= words[source], and words[target] <= d in the same cycle: a word that is replaced is read as it was.

    Beyond the last word nothing is written and the last word is read. No reset: words are unknown until written.
    """
    check_width(width, least=1)
    if not 2 <= depth <= MOST_WORDS:
        raise UsageError(f"a register file has 2 to {MOST_WORDS} words, got {depth}")
    bits = (depth - 1).bit_length()

    def model(values: Values) -> dict[str, Tensor]:
        words, rows = [0] * depth, []
        for d, target, source in zip(
            *(values[name].tolist() for name in ("d", "target", "source")), strict=True
        ):
            rows.append(words[min(source, depth - 1)])
            if target < depth:
                words[target] = d
        return {"q": torch.tensor(rows, dtype=torch.int64)}

    def protocol(rows: dict[str, Tensor]) -> dict[str, Tensor]:
        """Every word is written before any is read."""
        rows["target"][:depth] = torch.arange(depth)[: len(rows["target"])]
        return rows

    return Unit(
        name=f"register_file_w{width}_d{depth}",
        inputs=(Port("d", width), Port("target", bits, signed=False), Port("source", bits, signed=False)),
        outputs=(Port("q", width),),
        body=_body(width, depth, bits),
        model=model,
        clocked=True,
        protocol=protocol,
        warm_up=depth,
    )


def _body(width: int, depth: int, bits: int) -> str:
    """Words of their own, so that no synthesis takes them for a block of RAM; a select with an end would be slower."""
    span = f"[{width - 1}:0] " if width > 1 else ""
    names = [f"word{i}" for i in range(depth)]
    writes = "\n".join(f"        if (target == {bits}'d{i}) {name} <= d;" for i, name in enumerate(names))
    every = [*names, *names[-1:] * ((1 << bits) - depth)]
    reads = "\n".join(f"            {bits}'d{i}: read <= {name};" for i, name in enumerate(every))
    return (
        f"    reg {span}{', '.join(names)};\n"
        f"    reg {span}read;\n"
        "    always @(posedge clk) begin\n"
        f"{writes}\n"
        f"        case (source)\n{reads}\n        endcase\n"
        "    end\n"
        "    assign q = read;"
    )
