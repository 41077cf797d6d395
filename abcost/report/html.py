"""The report as a page: everything that the terminal shows, with charts, sortable tables, and every layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from abcost.accelerator.not_included import not_included
from abcost.accelerator.result import Accelerator, Layer, name_of
from abcost.accelerator.silicon.die import Die
from abcost.core.primitives import OpClass, Origin
from abcost.cost.bound import Bound
from abcost.html.page import Note, Section, render_page
from abcost.html.table import Table, TableCell, number, rows, text
from abcost.report import adders, charts, quantity
from abcost.report.accelerator import fmax_text
from abcost.report.conventions import CONVENTIONS
from abcost.report.format import FORMATS, View
from abcost.report.report import Report
from abcost.report.rows import distinct, rows_of, sums
from abcost.report.slopes import slope_exponents

_SIDES: tuple[Bound, ...] = ("low", "value", "high")
_COSTS = ("energy_pj", "luts", "ffs", "dsps", "area_um2")


@FORMATS.add("html")
def render(reports: Sequence[Report], _view: View) -> str:
    """One self-contained file. Raises MissingExtra without the extra `html`."""
    first = reports[0]
    sections = [_multiplications(first), _operations(first)]
    sections += [_cost(report) for report in reports]
    sections += [_accelerator(report) for report in reports if report.stages[-1].organisation]
    sections += [*_slopes(first), _rewrites(first), _sources(reports)]
    shapes = ", ".join("x".join(map(str, shape)) for shape in first.input_shapes)
    variant = f" ({first.variant})" if first.variant else ""
    facts = [
        f"Input {shapes}, {first.parameters:,} parameters, {first.stages[0].tally.macs.total:,} multiply-accumulates, "
        f"{first.width}-bit residual path.",
        *(f"Warning: {warning}" for report in reports for warning in report.warnings),
    ]
    targets = ", ".join(report.table.target for report in reports)
    return render_page(f"{first.model}{variant} on {targets}", list(dict.fromkeys(facts)), sections) + "\n"


def _by_stage(
    name: str, values: Sequence[float | None], shown: Callable[[float], str]
) -> tuple[TableCell, ...]:
    """A row: a name, a number per stage, the change."""
    cells = [number(v, None if v is None else shown(v)) for v in values]
    return (text(name), *cells, text(quantity.change(values[0], values[-1])))


def _multiplications(report: Report) -> Section:
    stages = report.stages
    by_origin = [stage.tally.by_origin() for stage in stages]
    found = [
        _by_stage(o.value, [of[o] for of in by_origin], quantity.count)
        for o in Origin
        if any(of[o] for of in by_origin)
    ]
    found.append(_by_stage("as the paper counts", [s.tally.published() for s in stages], quantity.count))
    every = [s.tally.by_class()[OpClass.MULTIPLY] for s in stages]
    found.append(_by_stage("all", every, quantity.count))
    table = Table(
        "origins", "Multiplications by origin", ("origin", *(s.name for s in stages), "change"), rows(found)
    )
    survivors = Table(
        "survivors",
        f"Multiplications that are left at {stages[-1].name}",
        ("layer", "operation", "origin", "count"),
        tuple(
            (text(r.node.layer or "(model)"), text(r.node.name), text(r.origin.value), number(r.count.count))
            for r in stages[-1].tally.rows
            if r.origin is not None
        ),
        text_columns=3,
        note="" if every[-1] else "None: this network needs no multiplier.",
    )  # fmt: skip
    return Section("multiplications", "Multiplications", (charts.multiplications(report), table, survivors))


def _operations(report: Report) -> Section:
    stages = report.stages
    by_class = [stage.tally.by_class() for stage in stages]
    found = [_by_stage(c.value, [of[c] for of in by_class], quantity.count) for c in OpClass]
    exact = ["", *("exact" if s.exact else "lossy" for s in stages[1:])]
    found.append((text("rewrites to this stage"), *map(text, exact), text("")))
    columns = ("class", *(s.name for s in stages), "change")
    return Section(
        "operations",
        "Operations",
        (Table("classes", "Operations of one inference by class", columns, rows(found)), _macs(report)),
    )


def _macs(report: Report) -> Table:
    """Multiply-accumulates by the bits of both operands."""
    macs = report.stages[0].tally.macs
    found = [
        (text(bits), number(count, quantity.count(count)), text(f"{count / macs.total:.1%}"))
        for bits, count in macs.by_bits.items()
    ]
    return Table(
        "macs", "Multiply-accumulates by bits, activation x weight", ("bits", "count", "share"), rows(found)
    )


def _cost(report: Report) -> Section:
    """Energy, and the resources of lanes where no accelerator has others."""
    stages, target = report.stages, report.table.target
    resources = [("luts", "LUTs"), ("ffs", "flip-flops"), ("dsps", "DSPs")]
    if report.table.technology != "fpga":
        resources = [("area_um2", "area, um2")]
    if stages[-1].organisation is not None:
        resources = []
    found = []
    for field, name in [("energy_pj", "energy per inference"), *resources]:
        low, values, high = ([getattr(s.cost_at(side), field) for s in stages] for side in _SIDES)
        found.append(_by_stage(name, values, quantity.energy if field == "energy_pj" else quantity.amount))
        known = [getattr(s.cost_known, field) for s in stages]
        if known != values:
            shown = quantity.energy if field == "energy_pj" else quantity.amount
            found.append(_by_stage(f"{name}, of it known", known, shown))
        if low != high:
            interval = quantity.energy_interval if field == "energy_pj" else quantity.amount_interval
            cells = [text(interval(a, b) or "unknown") for a, b in zip(low, high, strict=True)]
            found.append((text(f"{name}, low to high"), *cells, text("")))
    found.append(_by_stage("parameter storage", [s.weight_bits for s in stages], quantity.bits))
    lacking = f"No figure for: {', '.join(report.lacking)}." if report.lacking else ""
    summary = Table(
        f"cost-{target}", f"Cost on {target} ({report.table.title}){_of_lanes(report)}",
        ("", *(s.name for s in stages), "change"), rows(found), note=lacking,
    )  # fmt: skip
    return Section(
        f"cost-of-{target}",
        f"Cost on {target}",
        (summary, *_adders(report), *charts.cost_by_block(report), _layers(report)),
    )


def _adders(report: Report) -> list[Table]:
    """What graphs of adders save; nothing without such."""
    found = adders.rows(report)
    cells = tuple(tuple(map(text, row)) for row in found)
    name = f"adders-{report.table.target}"
    return (
        [Table(name, adders.TITLE, adders.columns(report), cells, text_columns=2, note=adders.NOTE)]
        if found
        else []
    )


def _of_lanes(report: Report) -> str:
    """The end of a sentence: whose resources they are, and how long an inference takes."""
    if report.stages[-1].organisation is not None:
        return ", before any circuit"
    lanes, cycles = report.settings["lanes"], report.stages[-1].slowest[1]
    return f"; {'one lane' if lanes == 1 else f'{lanes} lanes'} per node, {cycles:,} cycles an inference"


def _layers(report: Report) -> Table:
    """Every layer: multiplications, operations and costs of the first and of the last stage."""
    all_rows = rows_of(report)
    ends = (report.stages[0].name, report.stages[-1].name)
    sources = {
        "multiplications": ([row for row in all_rows if row["class"] == "multiply"], "count"),
        "operations": (all_rows, "count"),
    }
    names = [*_COSTS[:4]] if report.table.technology == "fpga" else ["energy_pj", "area_um2"]
    if report.stages[-1].organisation is not None:
        names = ["energy_pj"]
    sources |= {name: (all_rows, name) for name in names if any(row[name] is not None for row in all_rows)}
    summed = {name: sums(of, ("stage", "layer"), column) for name, (of, column) in sources.items()}
    found = []
    for layer in distinct(all_rows, "layer"):
        values = [by.get((end, layer), 0.0) for by in summed.values() for end in ends]
        cells = [number(None if value != value else float(value)) for value in values]  # noqa: PLR0124 - NaN
        found.append((text(layer or "(model)"), *cells))
    columns = [heading for name in summed for heading in (name, "after")]
    return Table(
        f"layers-{report.table.target}",
        f"Layers on {report.table.target}: {ends[0]}, and after: {ends[1]}",
        ("layer", *columns),
        rows(found),
    )  # fmt: skip


def _left_out(o: Accelerator) -> str:
    return f"not included: {', '.join(not_included(silicon=isinstance(o.device, Die)))}"


def _spared(o: Accelerator) -> str:
    each = ", ".join(f"{name} {count}" for name, count in o.lut_multipliers.items())
    given = "" if o.folding is None else f"folding: {o.folding.text()}"
    return "; ".join(filter(None, (given, each and f"multipliers in LUTs, for want of DSPs: {each}")))


_HEADINGS = {"luts": "LUTs", "ffs": "FFs", "dsps": "DSPs"}
_POWER = {"total_mw": "mW", "leakage_mw": "of it leakage, mW", "tops_per_w": "TOPS/W"}


def _accelerator(report: Report) -> Section:
    stages = [s for s in report.stages if s.organisation]
    accelerator = [s.organisation for s in stages if s.organisation]
    last = accelerator[-1]
    latency = [o.latency / o.clock_mhz / 1e3 for o in accelerator]
    found: list[tuple[TableCell, ...]] = [
        (text("frames/s"), *(number(o.fps, f"{o.fps:,.1f}") for o in accelerator)),
        (text("cycles/frame"), *(number(o.interval) for o in accelerator)),
        (text("latency, ms"), *(number(ms, f"{ms:.3g}") for ms in latency)),
        (text("bottleneck"), *(text(o.bottleneck) for o in accelerator)),
        (text("Fmax, MHz"), *(text(fmax_text(o)) for o in accelerator)),
    ]  # fmt: skip
    for name in charts.resources(last):
        cells = [_share(o.resources[name], o.utilisation[name]) for o in accelerator]
        counted = name_of(name, last.device) if name != "luts" else "LUTs"
        found.append((text(counted), *cells))
    if last.logic_cells is not None:
        most = [(o.most("luts"), getattr(o.device, "luts", None)) for o in accelerator]
        found.append((text("logic cells, at most"), *(_share(n, n / a if a else None) for n, a in most)))
    if any(o.external_bits for o in accelerator):
        needed = [(o.bandwidth_gb_s, o.device and o.device.bandwidth_gb_s) for o in accelerator]
        found.append((text("GB/s from outside"), *(_share(n, n / a if a else None) for n, a in needed)))
    if any(o.energy is not None for o in accelerator):
        spent = [None if o.energy is None or o.energy.missing else o.energy.value for o in accelerator]
        found.append((text("uJ/frame"), *(number(x, quantity.three_digits(x)) for x in spent)))
    powers = [o.power.to_dict() for o in accelerator if o.power is not None]
    for name, label in _POWER.items() if powers else ():
        found.append((text(label), *(number(p[name], quantity.three_digits(p[name])) for p in powers)))
    found.append(
        (text("fits"), *(text("yes" if o.fits else "unknown" if o.unknown else "no") for o in accelerator))
    )
    part = last.device.part if last.device else "no device given"
    identifier = report.table.target
    where = f"{last.kind}, {part} at {last.clock_mhz:g} MHz"
    summary = Table(
        f"accelerator-{identifier}", f"Accelerator: {where}", ("", *(s.name for s in stages)), tuple(found),
        note="; ".join(filter(None, (last.refusal or last.limit, _spared(last), _left_out(last)))),
    )  # fmt: skip
    taken = charts.resources(last)[1:] if isinstance(last.device, Die) else charts.RESOURCES[:4]
    folding = Table(
        f"folding-{identifier}",
        f"Folding at {stages[-1].name}",
        ("layer", "weights in", "PE", "SIMD", "cycles", *(_HEADINGS.get(n) or name_of(n, last.device) for n in taken)),
        tuple(
            (
                text(x.name), text(x.weights), number(x.pe), number(x.simd), number(x.cycles),
                *(_amount(x, resource) for resource in taken),
            )
            for x in last.layers
        ),
        text_columns=2,
    )  # fmt: skip
    limited = any(share is not None for share in last.utilisation.values())
    shares = (charts.utilisation(report, stages),) if limited else ()
    parts = (summary, *shares, charts.cycles(report, last), folding)
    return Section(f"accelerator-on-{identifier}", f"Accelerator on {part}", parts)


def _amount(layer: Layer, resource: str) -> TableCell:
    """Cell with a resource of a layer's engine; empty where the layer shares the engine of others."""
    used = layer.resources[resource]
    return text("") if layer.shares else number(used, quantity.amount(used))


def _share(used: float | None, share: float | None) -> TableCell:
    shown = quantity.amount(used) + ("" if share is None else f" ({share:.0%})")
    return number(used, shown)


def _slopes(report: Report) -> list[Section]:
    chart = charts.exponents(report)
    if chart is None:
        return []
    layers = slope_exponents(report.stages[-1].nodes)
    table = Table(
        "exponents",
        "Channels of each layer by exponent e of their slope 2**e",
        ("layer", "exponents", "channels by exponent"),
        tuple(
            (text(name), number(len(of)), text(", ".join(f"{e}: {n}" for e, n in sorted(of.items()))))
            for name, of in layers.items()
        ),
    )
    return [Section("slopes", "Slopes", (chart, table))]


def _rewrites(report: Report) -> Section:
    entries = [(stage.name, entry) for stage in report.stages for entry in stage.log]
    table = Table(
        "rules",
        "Rewrites, one by one",
        ("stage", "rule", "layer", "effect", "what"),
        tuple(
            (
                text(stage), text(e.rule), text(e.layer or e.node),
                text(("exact" if e.exact else "lossy") if e.fired else "declined"), text(e.detail),
            )
            for stage, e in entries
        ),
        text_columns=5,
    )  # fmt: skip
    return Section("rewrites", "Rewrites", (table,))


def _sources(reports: Sequence[Report]) -> Section:
    tables = [
        Table(
            f"figures-{report.table.target}",
            f"Figures of {report.table.target} ({report.table.node}; version {report.table.digest})",
            ("unit", "field", "confidence", "sources"),
            tuple(
                (text(u.unit), text(u.field), text(u.confidence), text("; ".join(map(str, u.sources))))
                for u in report.figures
            ),
            text_columns=4,
        )
        for report in reports
    ]
    notes = [Note(tuple(CONVENTIONS))]
    for report in reports:
        command = f"abcost targets show {report.table.target} --sources"
        notes.append(Note(("Laws and valid ranges of all figures:",), command))
    return Section("sources", "Sources and conventions", (*tables, *notes))
