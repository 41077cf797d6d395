"""The report for the terminal, drawn with rich."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from abcost.core.primitives import OpClass, Origin
from abcost.report import adders, quantity
from abcost.report.accelerator import accelerator_tables
from abcost.report.conventions import CONVENTIONS
from abcost.report.drawing import draw, grid
from abcost.report.format import FORMATS, View
from abcost.report.report import Report, Stage, leaking_pj
from abcost.report.rows import distinct, rows_of, sums
from abcost.report.slopes import slope_exponents
from abcost.report.verdict import verdict

_NARROW = 96  # columns; below, only the first and the last stage are shown
_BAR = 30  # columns of the longest bar of a histogram
_MOST_ROWS = 60  # of the layer table; the rest is in CSV and JSON


@FORMATS.add("rich")
def render(reports: Sequence[Report], view: View) -> str:
    """The verdict, then operations, origins, costs per target, layers, survivors, rewrites, units, conventions."""
    parts: list[RenderableType] = [_verdict(reports, view)]
    if view.detail != "brief":
        parts += _tables(reports, view)
    if view.detail == "full":
        parts += [*(_figures(report) for report in reports), _conventions(reports)]
    elif view.detail == "usual":
        parts.append(
            Text(
                "Conventions, and the figures that the costs rest on: --full; the first lines alone: --brief"
            )
        )
    return draw(Group(*parts), view)


def _verdict(reports: Sequence[Report], view: View) -> Text:
    lines = [Text.assemble((label, "bold"), text) for label, text in verdict(reports, view.width)]
    return Text("\n").join([*lines, *([Text()] if view.detail != "brief" else [])])


def _tables(reports: Sequence[Report], view: View) -> list[RenderableType]:
    first = reports[0]
    narrow = view.width < _NARROW and len(first.stages) > 2
    stages = [first.stages[0], first.stages[-1]] if narrow else list(first.stages)
    parts: list[RenderableType] = [_header(first)]
    if narrow:
        between = " and ".join(stage.name for stage in first.stages[1:-1])
        parts.append(Text(f"Stages {between} stand between these two; {_NARROW} columns show them.\n"))
    parts += [_operations(first, stages), _origins(first, stages)]
    parts += [_costs(report, stages) for report in reports]
    parts += [table for report in reports for table in _adders(report)]
    parts += [table for report in reports for table in accelerator_tables(report, stages)]
    parts += [_groups(first, view), _survivors(first), *_slopes(first), _rewrites(first)]
    return [*parts, *(_units(report) for report in reports if not _on_accelerator(report))]


def _on_accelerator(report: Report) -> bool:
    """Whether there are engines: then their resources are shown, and those of lanes are not."""
    return report.stages[-1].organisation is not None


def _header(report: Report) -> Text:
    """The MACs that are not in the verdict, and how the model was run."""
    macs = report.stages[0].tally.macs
    same = "= fvcore's own analysis" if report.fvcore_ran else "= fvcore's formulas"
    found = same if macs.total == report.fvcore_macs else f"fvcore: {report.fvcore_macs:,}"
    return Text(
        f"MACs: {macs.xnor:,} binary x binary, {macs.signed_add:,} binary x real, {macs.real:,} real ({found}); "
        f"captured by {report.capture}\n"
    )


def _operations(report: Report, stages: Sequence[Stage]) -> Table:
    table = grid("Operations of one inference", "class", *(s.name for s in stages), "change")
    for op_class in OpClass:
        values = [stage.tally.by_class()[op_class] for stage in stages]
        table.add_row(op_class.value, *map(quantity.count, values), quantity.change(values[0], values[-1]))
    exact = [
        "" if index == 0 else ("exact" if stage.exact else "lossy")
        for index, stage in enumerate(report.stages)
    ]
    shown = [exact[report.stages.index(stage)] for stage in stages]
    table.add_row("rewrites to this stage", *shown)
    if any(stage.max_abs_error is not None for stage in stages):
        errors = ["-" if s.max_abs_error is None else f"{s.max_abs_error:.3g}" for s in stages]
        table.add_row("max |error| vs stage before", *errors)
    return table


def _origins(report: Report, stages: Sequence[Stage]) -> Table:
    table = grid("Multiplications by origin", "origin", *(s.name for s in stages), "change")
    for origin in Origin:
        values = [stage.tally.by_origin()[origin] for stage in stages]
        if any(values):
            table.add_row(origin.value, *map(quantity.count, values), quantity.change(values[0], values[-1]))
    table.add_section()
    published = [stage.tally.published() for stage in stages]
    table.add_row(
        "as the paper counts", *map(quantity.count, published), quantity.change(published[0], published[-1])
    )
    strict = [stage.tally.by_class()[OpClass.MULTIPLY] for stage in stages]
    table.add_row("all of them", *map(quantity.count, strict), quantity.change(strict[0], strict[-1]))
    if not report.stages[-1].tally.by_class()[OpClass.MULTIPLY]:
        table.caption = "no multiplication is left"
    return table


_Row = tuple[str, Callable[[Stage], float | None], Callable[[float | None], str]]
_KNOWN = "  of it known"
_INTERVAL = "  low to high"  # over the sources of the figures; a short name keeps four stages on 100 columns
_RESOURCES = {
    "fpga": {"luts": "LUTs", "ffs": "flip-flops", "dsps": "DSP slices"},
    "asic": {"area_um2": "area, um2", "leakage_nw": "leakage, nW"},
}


def _costs(report: Report, stages: Sequence[Stage]) -> Table:
    shown = [stage for stage in report.stages if stage.name in {s.name for s in stages}]
    parts: list[_Row] = [
        ("  of it operations", lambda s: s.operation_energy_pj, quantity.energy),
        ("  of it memory traffic", lambda s: s.memory_energy_pj, quantity.energy),
    ]
    before = " before any circuit" if _on_accelerator(report) else ""
    title = f"Cost on {report.table.target}{before} ({report.width}-bit residual path)"
    table = grid(title, "", *(s.name for s in shown), "change")
    _cost_rows(table, shown, "energy_pj", "energy per inference", quantity.energy)
    for name, value_of, text_of in parts:
        values = [value_of(stage) for stage in shown]
        table.add_row(name, *map(text_of, values), quantity.change(values[0], values[-1]))
    if not _on_accelerator(report):
        lanes = report.settings["lanes"]
        table.add_row("one lane per node:" if lanes == 1 else f"{lanes} lanes per node:")
        for field, name in _RESOURCES[report.table.technology].items():
            if field == "leakage_nw" and not report.table.leaks:
                continue
            _cost_rows(table, shown, field, f"  {name}", quantity.amount)
        if report.table.leaks and "clock_mhz" in report.settings:
            leaking = [leaking_pj(report, stage) for stage in shown]
            name = f"  leaking at {report.settings['clock_mhz']:g} MHz"
            table.add_row(name, *map(quantity.energy, leaking), quantity.change(leaking[0], leaking[-1]))
        cycles = [stage.slowest[1] for stage in shown]
        table.add_row("  cycles", *map(quantity.count, cycles), quantity.change(cycles[0], cycles[-1]))
    stored = [stage.weight_bits for stage in shown]
    table.add_row("parameter storage", *map(quantity.bits, stored), quantity.change(stored[0], stored[-1]))
    if report.lacking:
        table.caption, table.caption_justify = f"no figure for: {', '.join(report.lacking)}", "left"
    return table


def _adders(report: Report) -> list[Table]:
    """What graphs of adders save; nothing without such."""
    found = adders.rows(report)
    if not found:
        return []
    table = grid(f"{adders.TITLE} ({report.table.target})", *adders.columns(report), text_columns=2)
    for row in found:
        table.add_row(*row)
    table.caption, table.caption_justify = adders.NOTE, "left"
    return [table]


def _figures(report: Report) -> Text:
    """How sure the figures are that the costs rest on."""
    sure: dict[str, list[str]] = {}
    for used in report.figures:
        sure.setdefault(used.confidence, []).append(f"{used.unit} {used.field}")
    lines = [f"figures {confidence}: {', '.join(names)}" for confidence, names in sure.items()]
    return Text("\n".join([f"Figures of {report.table.target}", *lines]) + "\n")


def _cost_rows(
    table: Table, stages: Sequence[Stage], field: str, name: str, text_of: Callable[[float | None], str]
) -> None:
    """One field of the cost, and below it its known part and the interval of its figures, if there are such."""
    low, values, high = (
        [getattr(s.cost_at(side), field) for s in stages] for side in ("low", "value", "high")
    )
    table.add_row(name, *map(text_of, values), quantity.change(values[0], values[-1]))
    known = [getattr(s.cost_known, field) for s in stages]
    if known != values:  # some are unknown, and parts of them are not
        table.add_row(_KNOWN, *map(text_of, known), quantity.change(known[0], known[-1]))
    if low != values or high != values:
        interval = quantity.energy_interval if field == "energy_pj" else quantity.amount_interval
        table.add_row(_INTERVAL, *(interval(a, b) for a, b in zip(low, high, strict=True)))


def _groups(report: Report, view: View) -> Table:
    """Layers, blocks or kinds of operation, first stage against last."""
    area = "luts" if report.table.technology == "fpga" else "area_um2"
    rows = rows_of(report)
    multiplied = [row for row in rows if row["class"] == "multiply"]
    sources = {"multiply": (multiplied, "count"), "all ops": (rows, "count")}
    if not _on_accelerator(report):
        sources[area] = (rows, area)
    if view.by == "kind":
        del sources["multiply"]  # a kind of its own
    headings = [heading for name in sources for heading in (name, "-> after")]
    spare = [] if view.by == "kind" else [(3, 4)]  # all ops
    table = grid(f"By {view.by}, before -> after ({report.table.target})", view.by, *headings, spare=spare)
    names, ends = distinct(rows, view.by), (report.stages[0].name, report.stages[-1].name)
    cells = []
    for source, column in sources.values():
        found = sums(source, ("stage", view.by), column)
        cells += [{name: found.get((end, name), 0) for name in names} for end in ends]
    shown = [name for name in names if any(column[name] for column in cells)]
    for name in shown[:_MOST_ROWS]:
        values = [column[name] for column in cells]
        texts = ("unknown" if math.isnan(value) else quantity.count(value) for value in values)
        table.add_row(name or "(model)", *texts)
    if len(shown) > _MOST_ROWS:
        table.caption = f"{len(shown) - _MOST_ROWS} more rows: --format csv or --by block"
    return table


def _survivors(report: Report) -> RenderableType:
    """Multiplications that are left at the last stage, by name."""
    last = report.stages[-1]
    left = [row for row in last.tally.rows if row.origin is not None]
    if not left:
        return Text("No multiplication survives.\n")
    table = grid(
        f"Surviving multiplications at {last.name}: {sum(r.count.count for r in left):,}",
        "origin",
        "count",
        "where",
    )
    table.columns[2].justify = "left"
    for origin in Origin:
        found = [row for row in left if row.origin is origin]
        if found:
            names = list(dict.fromkeys(row.node.layer or row.node.name for row in found))
            shown = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
            table.add_row(origin.value, quantity.count(sum(row.count.count for row in found)), shown)
    return table


def _slopes(report: Report) -> list[RenderableType]:
    """Histogram of the exponents of power-of-two slopes; nothing without such."""
    layers = slope_exponents(report.stages[-1].nodes)
    if not layers:
        return []
    counts = sum(layers.values(), Counter[int]())
    channels, most = counts.total(), max(counts.values())
    several = max(len(found) for found in layers.values())
    table = grid(
        f"Slopes below zero, 2**e: {channels:,} channels of {len(layers)} layers",
        "e",
        "channels",
        "share",
        "",
    )
    table.columns[3].justify = "left"
    for exponent in range(min(counts), max(counts) + 1):
        share, bar = counts[exponent] / channels, "#" * round(_BAR * counts[exponent] / most)
        table.add_row(str(exponent), quantity.count(counts[exponent]), f"{100 * share:.1f} %", bar)
    table.caption = f"a layer selects among up to {several}" if several > 1 else "one per layer: wiring"
    table.caption_justify = "left"
    return [table]


def _rewrites(report: Report) -> Table:
    table = grid("Rewrites", "stage", "rule", "times", "effect", "what", text_columns=2)
    table.columns[3].justify = table.columns[4].justify = "left"
    for stage in report.stages:
        entries = Counter((e.rule, e.fired, e.exact, e.detail) for e in stage.log)
        groups: dict[tuple[str, bool, bool], list[tuple[str, int]]] = {}
        for (rule, fired, exact, detail), times in entries.items():
            groups.setdefault((rule, fired, exact), []).append((detail, times))
        for (rule, fired, exact), details in groups.items():
            errors = [
                e.error
                for e in stage.log
                if e.rule == rule and e.fired and e.exact is exact and e.error is not None
            ]
            unit = next((e.error_unit for e in stage.log if e.rule == rule and e.error is not None), "")
            what = details[0][0] + (f" (and {len(details) - 1} like it)" if len(details) > 1 else "")
            what += f"; {unit} {max(errors):.3g}" if fired and errors else ""
            effect = ("exact" if exact else "lossy") if fired else "declined"
            table.add_row(stage.name, rule, str(sum(n for _, n in details)), effect, what)
    return table


def _units(report: Report) -> Table:
    """Units instantiated, first stage against last."""
    ends = (report.stages[0], report.stages[-1])
    counts = []
    for stage in ends:
        found: Counter[tuple[str, str]] = Counter()
        for node in stage.nodes:
            for unit in node.units:
                size = f"{unit.bits} bits/cycle" if unit.bits else f"{unit.width} bits"
                size += f", {unit.exponents} exponents" if unit.exponents and unit.exponents > 1 else ""
                found[unit.op, size] += unit.count
        counts.append(found)
    table = grid(
        f"Units instantiated on {report.table.target}",
        "unit",
        "size",
        *(s.name for s in ends),
        text_columns=2,
    )
    for key in sorted(set(counts[0]) | set(counts[1])):
        table.add_row(*key, str(counts[0][key]), str(counts[1][key]))
    return table


def _conventions(reports: Sequence[Report]) -> Text:
    lines = ["Conventions", *(f"- {line}" for line in CONVENTIONS)]
    for report in reports:
        table = report.table
        lines.append(f"- Table {table.target} ({table.title}; {table.node}; version {table.digest}).")
    lines.append(
        f"- Sources and confidence of every figure: abcost targets show {reports[0].table.target} --sources"
    )
    return Text("\n".join(lines))
