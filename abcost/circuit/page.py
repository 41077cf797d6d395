"""What build.json says, as a page that opens offline: block diagram, estimate beside result, buffers, critical path."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from abcost.circuit.diagram import block_diagram
from abcost.circuit.report import RESOURCES
from abcost.html.page import Note, Picture, Section, render_page
from abcost.html.table import Table, TableCell, number, rows, text

_NAMES = {"luts": "LUTs", "ffs": "flip-flops", "dsps": "DSPs", "blocks": "memory blocks"}


def page(report: Mapping[str, Any]) -> str:
    """The page of one circuit. Raises MissingExtra without Jinja."""
    diagram = Picture(
        "diagram", "Engines, and depth and width of the buffers between them", block_diagram(report)
    )
    sections = [
        Section("circuit", "Circuit", (diagram, Note(("Written by:",), report["command"]))),
        Section("estimate", "Estimate and result", (_whole(report), _layers(report))),
        Section("buffers", "Buffers", (_buffers(report),)),
    ]
    if (report.get("route") or {}).get("critical_path"):
        sections.append(Section("path", "Critical path", (_path(report["route"]),)))
    return render_page(f"{report['model']} on {report['device']}", list(_facts(report)), sections)


def _facts(report: Mapping[str, Any]) -> Iterator[str]:
    estimate, found = report["estimate"], report.get("simulation")
    yield (
        f"{estimate['cycles_per_image']:,} cycles an image: {estimate['fps']:,.1f} images/s at "
        f"{report['clock_mhz']:g} MHz; latency {estimate['latency_cycles']:,} cycles."
    )
    yield f"Values of {report['width_bits']} bits, {report['fraction_bits']} behind the point."
    if found:
        yield (
            f"Simulated ({found['tool']}): {found['equal']} of {found['images']} images equal to the bit, "
            f"{found['stalls']['equal']} of {found['stalls']['images']} with random stalls."
        )
    routed = report.get("route")
    if routed:
        yield f"Placed and routed on {routed['part']} by {', '.join(routed['tools'])}, seed {routed['seed']}."


def _both(estimated: float | None, found: float | None) -> tuple[TableCell, TableCell, TableCell]:
    """Estimate, result, error."""
    error = None if estimated is None or not found else (estimated - found) / found
    shown = tuple("-" if v is None else f"{v:,.6g}" for v in (estimated, found))
    return (
        number(estimated, shown[0]),
        number(found, shown[1]),
        number(error, "-" if error is None else f"{error:+.1%}"),
    )


def _whole(report: Mapping[str, Any]) -> Table:
    estimate, found, routed = report["estimate"], report.get("simulation") or {}, report.get("route") or {}
    content = [
        (text("cycles per image"), *_both(estimate["cycles_per_image"], found.get("cycles_per_image"))),
        (text("latency, cycles"), *_both(estimate["latency_cycles"], found.get("latency_cycles"))),
        *((text(name), *_both(estimate[key], routed.get(key))) for key, name in _NAMES.items()),
        (text("Fmax, MHz"), *_both((estimate["fmax_mhz"] or {}).get("value"), routed.get("fmax_mhz"))),
    ]
    return Table("whole", "The whole circuit", ("quantity", "estimate", "result", "error"), rows(content))


def _layers(report: Mapping[str, Any]) -> Table:
    made = {layer["name"]: layer for layer in report.get("synthesis", {}).get("layers", ())}
    foldings = {layer["name"]: layer for layer in report["layers"]}
    content = []
    for one in report["estimate"]["layers"]:
        two, folding = made.get(one["name"], {}), foldings.get(one["name"], {})
        cells = [
            text(one["name"]),
            *(number(folding.get(k), _plain(folding.get(k))) for k in ("pe", "simd", "cycles")),
        ]
        for key in RESOURCES:
            cells += _both(one[key], two.get(key))[:2]
        content.append(tuple(cells))
    columns = ["layer", "PE", "SIMD", "cycles"]
    for key in RESOURCES:
        columns += [f"{_NAMES[key]}, estimate", "after synthesis"]
    return Table("layers", "Layer by layer, with windows and FIFOs in front", tuple(columns), rows(content))


def _plain(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _buffers(report: Mapping[str, Any]) -> Table:
    content = [
        (
            text(one["tensor"]), text(one["producer"] or "s_axis"), text(one["consumer"] or "m_axis"),
            text("residual" if one["residual"] else "window" if one["consumer"] else "logits"),
            *(number(one[key]) for key in ("bits", "filled", "margin", "depth")),
        )
        for one in report["buffers"]
    ]  # fmt: skip
    columns = ("tensor", "from", "to", "kind", "bits of a word", "most words held", "margin", "depth")
    return Table("tensors", "Where tensors wait", columns, rows(content), text_columns=4)


def _path(routed: Mapping[str, Any]) -> Table:
    total, content = 0.0, []
    for step in routed["critical_path"]:
        total += step["delay_ns"]
        content.append(
            (text(step["cell"]), text(step["kind"]), number(step["delay_ns"], f"{step['delay_ns']:.2f}"),
             number(total, f"{total:.2f}"))
        )  # fmt: skip
    columns = ("cell", "what", "ns", "ns since the clock edge")
    return Table(
        "critical-path", "The slowest path between registers", columns, rows(content), text_columns=2
    )
