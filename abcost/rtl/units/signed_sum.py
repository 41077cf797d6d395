"""Sign-controlled adder tree: the dot product of binary weights with real inputs."""

from __future__ import annotations

from collections.abc import Iterable

from abcost.core.lazy import torch
from abcost.rtl.forms import Factors, Terms
from abcost.rtl.sweep import DelaySweep, Sample, Sweep
from abcost.rtl.unit import Port, Unit, Values, check_width, template

_LAW = Terms(("bits * width * log2(bits)", "bits * width", "bits", "width", "1"))
_ADDERS = Terms(("(bits - 1) * width", "width", "bits - 1", "1"))
"""A sum of n inputs has n - 1 adders and the sign of its root: all there is on cells, and what turns on FPGAs."""
_DELAY = Factors(("ceil(log2(bits))", "log2(bits)", "ceil(log2(bits)) * width", "width", "1"))
_ON_CELLS = Factors(
    (
        "ceil(log2(bits))",
        "log2(bits)",
        "log2(bits) * log2(width)",
        "width",
        "min(1, bits - 1) * width",
        "min(1, bits - 1)",
        "1",
    )
)
"""A carry starts as soon as its bits are there: of several adders behind each other one waits for a whole carry."""


def _samples(fit: Iterable[tuple[int, int]], held: Iterable[tuple[int, int]]) -> tuple[Sample, ...]:
    return tuple(
        Sample({"bits": n, "width": w}, {"bits": n, "width": w}, out)
        for sizes, out in ((fit, False), (held, True))
        for n, w in sizes
    )


def _sweep(*, quick: bool) -> Sweep:
    fit = [(n, w) for n in ((2, 9, 27) if quick else (1, 2, 4, 9, 16, 27, 64)) for w in (8, 16, 24, 32)]
    held = [(5, 12), (18, 16)] if quick else [(3, 12), (12, 20), (36, 10), (50, 16)]
    samples = _samples(fit, held)
    return Sweep(_LAW, samples, energy=_ADDERS, cells=Sweep(_ADDERS, samples))


def _delays(dsp: int, *, quick: bool) -> DelaySweep:
    del dsp
    fit = [(n, w) for n in ((2, 4, 16) if quick else (1, 2, 3, 4, 8, 16)) for w in (8, 16)]
    fit += [] if quick else [(2, 4), (9, 4), (4, 24)]
    held = [(8, 12)] if quick else [(8, 12), (5, 10), (14, 16)]
    samples = _samples(fit, held)
    return DelaySweep(_DELAY, samples, DelaySweep(_ON_CELLS, samples))


@template(
    "signed_sum", "sum of `bits` inputs of width bits, each added or subtracted", sweep=_sweep, delays=_delays
)
def signed_sum(*, bits: int, width: int) -> Unit:
    """y = sum over i of (w_i ? +x_i : -x_i) for `bits` signed inputs of `width` bits; no overflow.

    Every node adds or subtracts by the product of its two signs and hands the left sign up, so that a pair
    costs one adder-subtractor: a + (b ^ s) + s, whose carry in is one more bit below. The root applies the
    last sign.
    """
    check_width(width, most=32)
    out = width + bits.bit_length()
    lines = [
        f"    wire signed [{width - 1}:0] v0_{i} = x[{(i + 1) * width - 1}:{i * width}];" for i in range(bits)
    ]
    level, live, wide = 0, [(f"v0_{i}", f"w[{i}]" if bits > 1 else "w") for i in range(bits)], width
    while len(live) > 1:
        level, wide, merged = level + 1, wide + 1, []
        for i in range(0, len(live) - 1, 2):
            (a, sign_a), (b, sign_b) = live[i : i + 2]
            name = f"v{level}_{i // 2}"
            sign = f"({sign_a} ^ {sign_b})"
            lines += [
                f"    wire signed [{wide - 1}:0] {name}_a = {a};",
                f"    wire signed [{wide - 1}:0] {name}_b = {b};",
                f"    wire {name}_s = {sign};",
                f"    wire signed [{wide}:0] {name}_c = {{{name}_a, 1'b1}} + "
                f"{{{name}_b ^ {{{wide}{{{name}_s}}}}, {name}_s}};",
                f"    wire signed [{wide - 1}:0] {name} = {name}_c[{wide}:1];",
            ]
            merged.append((name, sign_a))
        if len(live) % 2:
            merged.append(live[-1])
        live = merged
    value, sign = live[0]
    flip = f"~{sign}"
    lines += [
        f"    wire signed [{out - 1}:0] root = {value};",
        f"    wire signed [{out}:0] turned = {{root ^ {{{out}{{{flip}}}}}, 1'b1}} + {{{out}'d0, {flip}}};",
        f"    assign y = turned[{out}:1];",
    ]

    def model(v: Values) -> dict[str, torch.Tensor]:
        signs = 2 * v["w"].reshape(len(v["w"]), bits) - 1
        return {"y": (v["x"].reshape(len(v["x"]), bits) * signs).sum(-1)}

    return Unit(
        name=f"signed_sum_n{bits}_w{width}",
        inputs=(Port("x", width, bits), Port("w", 1, bits, signed=False)),
        outputs=(Port("y", out),),
        body="\n".join(lines),
        model=model,
    )
