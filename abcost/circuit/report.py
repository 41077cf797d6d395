"""What build.json says, as a page: estimate, synthesis and routing side by side, layer by layer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

RESOURCES = ("luts", "ffs", "dsps", "blocks")


def markdown(report: Mapping[str, Any]) -> str:
    """Tables of one circuit. Figures that are not there are left out, or a dash."""
    return "\n".join([*_summary(report), "", *_layers(report), *_buffers(report)]) + "\n"


def _summary(report: Mapping[str, Any]) -> Iterator[str]:
    estimate, found, routed = report["estimate"], report.get("simulation"), report.get("route")
    yield "| | predicted | measured | error |"
    yield "|---|---:|---:|---:|"
    yield _row("cycles per image", estimate["cycles_per_image"], found and found["cycles_per_image"])
    yield _row("latency, cycles", estimate["latency_cycles"], found and found["latency_cycles"])
    names = {"luts": "LUTs", "ffs": "flip-flops", "dsps": "DSPs", "blocks": "memory blocks"}
    for name in RESOURCES:
        yield _row(f"{names[name]}, routed", estimate[name], routed and routed[name])
    fmax = estimate["fmax_mhz"]
    yield _row("Fmax, MHz, routed", fmax and fmax["value"], routed and routed["fmax_mhz"])
    if found:
        yield ""
        accuracy = ""
        if found["top1"] is not None:
            accuracy = f"; {found['top1']:.2%} of them right ({found['top1_trained']:.2%} as trained)"
        yield (
            f"{found['equal']} of {found['images']} images equal to the bit, {found['stalls']['equal']} of "
            f"{found['stalls']['images']} with random stalls at both ends ({found['tool']}){accuracy}."
        )
    if routed:
        yield (
            f"Part {routed['part']}, mapped for {routed['mapping']}, seed {routed['seed']}, asked for "
            f"{report['clock_mhz']:g} MHz; {', '.join(routed['tools'])}."
        )


def _row(name: str, predicted: float | None, measured: float | None) -> str:
    return f"| {name} | {_number(predicted)} | {_number(measured)} | {_error(predicted, measured)} |"


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 1000 or value == int(value) else f"{value:,.1f}"


def _error(predicted: float | None, measured: float | None) -> str:
    if predicted is None or not measured:
        return "-"
    return f"{(predicted - measured) / measured:+.1%}"


def _layers(report: Mapping[str, Any]) -> Iterator[str]:
    estimated = {layer["name"]: layer for layer in report["estimate"]["layers"]}
    made = {layer["name"]: layer for layer in report.get("synthesis", {}).get("layers", ())}
    foldings = {layer["name"]: layer for layer in report["layers"]}
    yield (
        "| layer | PE | SIMD | cycles | LUTs estimated | synthesized | error | flip-flops estimated | synthesized "
        "| error | DSPs | blocks |"
    )
    yield "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|"
    for name, one in estimated.items():
        two, folding = made.get(name, {}), foldings.get(name, {})
        cells = [name, *(_number(folding.get(key)) for key in ("pe", "simd", "cycles"))]
        for resource in ("luts", "ffs"):
            cells += [
                _number(one[resource]),
                _number(two.get(resource)),
                _error(one[resource], two.get(resource)),
            ]
        cells += [f"{_number(one[r])} / {_number(two.get(r))}" for r in ("dsps", "blocks")]
        yield f"| {' | '.join(cells)} |"


def _buffers(report: Mapping[str, Any]) -> Iterator[str]:
    yield ""
    yield "| tensor | from | to | bits of a word | most words held | margin | depth |"
    yield "|---|---|---|---:|---:|---:|---:|"
    for one in report["buffers"]:
        to = (one["consumer"] or "m_axis") + (" (residual)" if one["residual"] else "")
        cells = (
            one["tensor"],
            one["producer"] or "s_axis",
            to,
            one["bits"],
            one["filled"],
            one["margin"],
            one["depth"],
        )
        yield f"| {' | '.join(str(cell) for cell in cells)} |"
