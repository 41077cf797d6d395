"""What the page of an analysis draws: multiplications, costs, use of the device, slope exponents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from abcost.accelerator.result import Accelerator, name_of
from abcost.core.primitives import Origin
from abcost.html.chart import COLOURS, Chart
from abcost.report import quantity
from abcost.report.report import Report, Stage
from abcost.report.rows import distinct, rows_of, sums
from abcost.report.slopes import slope_exponents

RESOURCES = ("luts", "ffs", "dsps", "blocks", "uram")
SILICON = ("area_um2", "logic_um2", "memory_um2", "macro_um2", "macros")


def resources(accelerator: Accelerator) -> tuple[str, ...]:
    """What is shown of an accelerator: of an FPGA the usual resources, of silicon the areas."""
    return SILICON if "area_um2" in accelerator.resources else RESOURCES


_ROW_PX = 24
_LIMIT = {
    "type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": 100, "y1": 100,
    "line": {"dash": "dash", "color": "#888888"},
}  # fmt: skip


def all_charts(reports: Sequence[Report]) -> list[Chart]:
    """Everything that is drawn of reports of one network, as on its page."""
    found = [multiplications(reports[0])]
    for report in reports:
        found += cost_by_block(report)
        stages = [s for s in report.stages if s.organisation]
        if stages and (last := stages[-1].organisation):
            found += [utilisation(report, stages)] if last.device else []
            found.append(cycles(report, last))
    slopes = exponents(reports[0])
    return [*found, slopes] if slopes else found


def multiplications(report: Report) -> Chart:
    """Stacked bars by origin, one per stage: the paper's figure."""
    stages = report.stages
    shown = [o for o in Origin if any(s.tally.by_origin()[o] for s in stages)]
    data = [
        _bar(
            [s.name for s in stages], [s.tally.by_origin()[o] for s in stages], o.value, COLOURS[i % len(COLOURS)]
        )
        for i, o in enumerate(shown)
    ]  # fmt: skip
    ends = [sum(s.tally.by_origin().values()) for s in (stages[0], stages[-1])]
    return Chart(
        "multiplications-by-origin",
        "Multiplications of one inference by origin, stage by stage",
        f"Stacked bars. {quantity.count(ends[0])} multiplications at {stages[0].name}, {quantity.count(ends[1])} at "
        f"{stages[-1].name}; the table below has every number.",
        data,
        {"barmode": "stack", "yaxis": {"title": {"text": "multiplications"}}},
        height=420,
    )


def cost_by_block(report: Report) -> list[Chart]:
    """Bars per block, first stage against last; one chart per cost that is known somewhere."""
    rows = rows_of(report)
    ends = (report.stages[0].name, report.stages[-1].name)
    fpga = report.table.technology == "fpga"
    wanted = [("luts", "LUTs"), ("dsps", "DSPs")] if fpga else [("area_um2", "area, um2")]
    if report.stages[-1].organisation is not None:
        wanted = []  # an accelerator's resources are not those of lanes
    charts = []
    for column, title in [("energy_pj", "energy of operations, pJ"), *wanted]:
        found = sums(rows, ("stage", "block"), column)
        blocks = distinct(rows, "block")
        values = [[_known(found.get((end, block), 0.0)) for block in blocks] for end in ends]
        unknown = sum(value is None for of in values for value in of)
        if unknown == 2 * len(blocks) or not any(value for of in values for value in of):
            continue
        names = [block or "(model)" for block in blocks]
        data = [
            _bar(names, of, end, COLOURS[i], hover="%{y:,.6g}")
            for i, (of, end) in enumerate(zip(values, ends, strict=True))
        ]
        missing = f" {unknown} bars are missing, for their cost is unknown." if unknown else ""
        charts.append(
            Chart(
                f"{column.replace('_', '-')}-by-block-{_slug(report)}",
                f"{title[0].upper()}{title[1:]} by block on {report.table.target}, before and after",
                f"Bars of {title} for {len(blocks)} blocks at {ends[0]} and {ends[1]}; numbers are in the table of "
                f"layers.{missing}",
                data,
                {"barmode": "group", "yaxis": {"title": {"text": title}}},
            )
        )
    return charts


def utilisation(report: Report, stages: Sequence[Stage]) -> Chart:
    """Share of the device, one bar per resource and stage."""
    accelerator = [(s.name, s.organisation) for s in stages if s.organisation is not None]
    device = accelerator[-1][1].device
    data = []
    for i, (name, o) in enumerate(accelerator):
        shares = {resource: o.utilisation[resource] for resource in resources(o)}
        known = {resource: share for resource, share in shares.items() if share is not None}
        names = [name_of(resource, device) for resource in known]
        data.append(_bar(names, [100 * v for v in known.values()], name, COLOURS[i], hover="%{y:.1f} %"))
    part = device.part if device else "no device"
    return Chart(
        f"utilisation-{_slug(report)}",
        f"Share of {part} that the accelerator takes; the line is all of it",
        f"Bars of the share of {part} by resource and stage; numbers are in the table below.",
        data,
        {
            "barmode": "group",
            "yaxis": {"title": {"text": "% of the device"}, "rangemode": "tozero"},
            "shapes": [_LIMIT],
        },
    )  # fmt: skip


def cycles(report: Report, accelerator: Accelerator) -> Chart:
    """Cycles of each layer's engine; the longest is what limits frames per second."""
    layers = [layer for layer in accelerator.layers if layer.cycles]
    colours = [COLOURS[1] if layer.name == accelerator.bottleneck else COLOURS[0] for layer in layers]
    bar = _bar(
        [layer.name for layer in layers], [layer.cycles for layer in layers], "cycles", COLOURS[0],
        hover="%{y:,} cycles",
    )  # fmt: skip
    bar["marker"] = {"color": colours}
    return Chart(
        f"cycles-{_slug(report)}",
        f"Cycles per frame of each layer; {accelerator.bottleneck} is the bottleneck",
        f"Bars for {len(layers)} layers; the longest, {accelerator.bottleneck}, takes {accelerator.interval:,} cycles.",
        [bar],
        {"showlegend": False, "yaxis": {"title": {"text": "cycles per frame"}}},
    )


def exponents(report: Report) -> Chart | None:
    """Heat map of slope exponents, layer by layer; None without power-of-two slopes."""
    layers = slope_exponents(report.stages[-1].nodes)
    if not layers:
        return None
    found = sorted({e for counts in layers.values() for e in counts})
    columns = list(range(found[0], found[-1] + 1))
    names = list(layers)
    channels = [[layers[name][e] for e in columns] for name in names]
    shares = [[count / sum(row) for count in row] for row in channels]
    return Chart(
        "slope-exponents",
        "Exponents e of the slopes 2**e: share of each layer's channels",
        f"Heat map of {len(names)} layers by exponents {columns[0]} to {columns[-1]}; the table below has the numbers.",
        [
            {
                "type": "heatmap",
                "x": columns,
                "y": names,
                "z": shares,
                "text": channels,
                "hovertemplate": "%{y}, e = %{x}: %{text} channels<extra></extra>",
                "colorscale": "Cividis",
                "zmin": 0,
                "zmax": 1,
                "colorbar": {"title": {"text": "share"}},
            }
        ],
        {
            "yaxis": {"autorange": "reversed"},
            "xaxis": {"dtick": 1, "title": {"text": "exponent e"}},
            "margin": {"l": 120, "r": 20, "t": 10, "b": 50},
        },
        height=max(240, 120 + _ROW_PX * len(names)),
    )


def _bar(
    x: Sequence[str], y: Sequence[float | None], name: str, colour: str, hover: str = "%{y:,}"
) -> dict[str, Any]:
    return {
        "type": "bar", "x": list(x), "y": list(y), "name": name, "marker": {"color": colour},
        "hovertemplate": f"%{{x}}, {name}: {hover}<extra></extra>",
    }  # fmt: skip


def _known(value: float) -> float | None:
    """None for NaN, as pandas writes what is unknown."""
    return None if value != value else float(value)  # noqa: PLR0124 - NaN is not itself


def _slug(report: Report) -> str:
    return "".join(c if c.isalnum() else "-" for c in report.table.target.lower())
