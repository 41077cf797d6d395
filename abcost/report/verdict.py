"""The answer of an analysis in at most twelve lines: what every form of a report begins with."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Sequence
from itertools import chain

from abcost.accelerator.devices import Device
from abcost.accelerator.result import Accelerator, name_of
from abcost.accelerator.silicon.die import ANYWHERE, Die
from abcost.core.primitives import OpClass
from abcost.report import quantity
from abcost.report.report import Report

MOST_LINES = 12
_LABEL = 12  # columns
_MOST_BITS = 4  # sorts of multiply-accumulates that are named
_MOST_NAMES = 4  # of what has no figure
_CLAUSE = 60  # characters of a warning
_CUT_FIRST = ("warnings", "answer")  # the command says them whole on stderr


def verdict(reports: Sequence[Report], width: int = 80) -> list[tuple[str, str]]:
    """Lines as (label, text), at most MOST_LINES; label and text together are at most `width` columns wide.

    What is too long is cut at the end, and ends with "…".
    """
    fields = facts(reports)
    room = max(width - _LABEL, 10)
    blocks = [textwrap.wrap(text, room, break_on_hyphens=False) or [""] for _, text in fields]
    while sum(map(len, blocks)) > MOST_LINES:
        cut = max(
            range(len(blocks)), key=lambda i: (len(blocks[i]) > 1, fields[i][0] in _CUT_FIRST, len(blocks[i]))
        )
        blocks[cut].pop()
        blocks[cut][-1] = f"{blocks[cut][-1].removesuffix(' …')[: room - 2]} …"
    labels = [[label, *[""] * (len(lines) - 1)] for (label, _), lines in zip(fields, blocks, strict=True)]
    pairs = zip(chain(*labels), chain(*blocks), strict=True)
    return [(f"{label:{_LABEL}}"[: max(_LABEL, len(label) + 1)], text) for label, text in pairs]


def verdict_text(reports: Sequence[Report], width: int = 80) -> str:
    """The same as plain text, without a newline at the end."""
    return "\n".join((label + text).rstrip() for label, text in verdict(reports, width))


def facts(reports: Sequence[Report]) -> list[tuple[str, str]]:
    """What there is to say, as (label, text) of any length: of one target in full, of several a line for each."""
    first = reports[0]
    shared = [("model", _model(reports)), ("MACs", _macs(first)), ("multiplies", _multiplications(first))]
    if len(reports) > 1:
        most = MOST_LINES - len(shared) - 2  # the rest is in the tables
        own = [("cost", f"{report.table.target}: {_in_short(report)}") for report in reports[:most]]
        left = len(reports) - most
        own += [("", f"and {left} more, below")] if left > 0 else []
    else:
        own = _of_one(first)
    return [*shared, *own, ("warnings", _warnings(reports))]


def _of_one(report: Report) -> list[tuple[str, str]]:
    accelerator = report.stages[-1].organisation
    unknown = ("unknown", _listed(_unknown(report), "nothing"))
    if accelerator is None:
        rate = "unknown without a device or a wanted rate: no clock is assumed"
        return [("energy", _energy(report)), ("area", _area(report)), ("frames/s", rate), unknown]
    return [
        ("answer", _answer(accelerator)),
        ("accelerator", _resources(accelerator)),
        ("frames/s", _rate(accelerator)),
        ("energy", _spent(accelerator)),
        unknown,
    ]


def _in_short(report: Report) -> str:
    accelerator = report.stages[-1].organisation
    lacking = _unknown(report)
    without = f"; unknown: {_listed(lacking, '')}" if lacking else ""
    if accelerator is None:
        return f"{_energy(report)}; {_area(report)}{without}"
    answer = "fits" if accelerator.fits else "no"
    return f"{answer}; {_resources(accelerator)}; {_rate(accelerator)}; {_spent(accelerator)}{without}"


def _model(reports: Sequence[Report]) -> str:
    report, settings = reports[0], reports[0].settings
    kind = [report.variant] if report.variant else []
    kind += [f"{name.replace('_', ' ')} {_listing(settings[name])}" for name in report.reduced]
    shapes = ", ".join("x".join(map(str, shape)) for shape in report.input_shapes)
    targets = reports[0].table.target if len(reports) == 1 else f"{len(reports)} targets"
    variant = f" ({', '.join(kind)})" if kind else ""
    return f"{report.model}{variant}, {shapes}, {report.parameters:,} parameters, on {targets}"


def _listing(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _macs(report: Report) -> str:
    macs = report.stages[0].tally.macs
    sorts = sorted(macs.by_bits.items(), key=lambda item: -item[1])
    parts = [f"{count:,} of {bits}" for bits, count in sorts[:_MOST_BITS]]
    left = sum(count for _, count in sorts[_MOST_BITS:])
    parts += [f"{left:,} of others"] if left else []
    return f"{macs.total:,}: {', '.join(parts)} bits" if parts else f"{macs.total:,}"


def _multiplications(report: Report) -> str:
    ends = [report.stages[0].tally, report.stages[-1].tally]
    every = [tally.by_class()[OpClass.MULTIPLY] for tally in ends]
    published = [tally.published() for tally in ends]
    change = quantity.change(every[0], every[1])
    return (
        f"{every[0]:,} -> {every[1]:,}{f' ({change})' if change else ''}, "
        f"as published {published[0]:,} -> {published[1]:,}"
    )


def _energy(report: Report) -> str:
    """Energy of the operations and of memory traffic; without an accelerator there is nothing else."""
    ends = (report.stages[0], report.stages[-1])
    last = ends[1]
    value = last.cost.energy_pj
    if value is None:
        known = last.cost_known.energy_pj
        part = "" if known is None else f"; what is known is {quantity.energy(known)}"
        return f"unknown: no figure for {_listed(last.unpriced.get('energy_pj', ()), 'energy')}{part}"
    interval = quantity.energy_interval(last.cost_at("low").energy_pj, last.cost_at("high").energy_pj)
    before = ends[0].cost.energy_pj
    return (
        f"{'' if before is None else f'{quantity.energy(before)} -> '}{quantity.energy(value)} an inference"
        f"{f' ({interval})' if interval else ''}"
    )


def _area(report: Report) -> str:
    """Resources of the units, which are no circuit yet: hence how long they would take stands beside them."""
    stages = (report.stages[0], report.stages[-1])
    names = {"luts": "LUTs", "ffs": "flip-flops", "dsps": "DSP slices"}
    if report.table.technology != "fpga":
        names = {"area_um2": "um2"}
    parts = []
    for field, name in names.items():
        before, after = (getattr(stage.cost, field) for stage in stages)
        if before == after == 0:
            continue
        change = (
            quantity.amount(after)
            if before == after
            else f"{quantity.amount(before)} -> {quantity.amount(after)}"
        )
        parts.append(f"{change} {name}")
    lanes = report.settings["lanes"]
    each = "one lane per node" if lanes == 1 else f"{lanes} lanes per node"
    layer, cycles = stages[1].slowest
    return f"{', '.join(parts)}; {each}, {cycles:,} cycles an inference ({layer or 'model'})"


def _answer(accelerator: Accelerator) -> str:
    """Whether it fits, is fast enough and meets its clock, and what limits it."""
    if accelerator.fits:
        unlimited = accelerator.device is None or accelerator.device == ANYWHERE
        found = "yes: fast enough" if unlimited else "yes: it fits"
        text = f"{found}; {accelerator.limit}" if accelerator.limit else found
    else:
        text = (
            accelerator.refusal if accelerator.refusal.startswith("whether") else f"no: {accelerator.refusal}"
        )
    return text.replace("frames per second", "frames/s")


def _resources(accelerator: Accelerator) -> str:
    device = accelerator.device
    if isinstance(device, Die):
        return _silicon(accelerator, device)
    where = "no device given" if device is None else device.part
    parts = []
    for name in accelerator.resources:
        used, share = accelerator.resources[name], accelerator.utilisation[name]
        if used == 0 and name != "luts":
            continue
        parts.append(f"{quantity.amount(used)} {'LUTs' if name == 'luts' else name_of(name, device)}")
        if share is not None and not (name == "luts" and accelerator.logic_cells is not None):
            parts[-1] += f" ({share:.0%})"
    cells = accelerator.logic_cells
    if cells is not None and cells["value"] is not None and isinstance(device, Device):
        most = cells["high"] / device.luts
        parts.insert(1, f"{cells['value']:,.0f}-{cells['high']:,.0f} logic cells ({most:.0%})")
    return f"{where}, {accelerator.kind}: {', '.join(parts)}"


def _silicon(accelerator: Accelerator, die: Die) -> str:
    """Square millimetres, and what stands on them."""
    used = accelerator.resources
    share = accelerator.utilisation["area_um2"]
    area = used["area_um2"]
    total = "unknown area" if area is None else f"{quantity.three_digits(area / 1e6)} mm2"
    parts = [
        f"logic {quantity.amount(used['logic_um2'])} um2",
        f"memory {quantity.amount(used['memory_um2'])} um2",
    ]
    if used["macros"]:
        parts.append(
            f"{quantity.amount(used['macros'])} SRAM macros {quantity.amount(used['macro_um2'])} um2"
        )
    return (
        f"{die.part}, {accelerator.kind}: {total}{'' if share is None else f' ({share:.0%})'} with cells on "
        f"{die.utilisation:.0%} of the rows: {', '.join(parts)}"
    )


def _rate(accelerator: Accelerator) -> str:
    met = {True: "met", False: "NOT met", None: "unknown"}[accelerator.clock_met]
    fmax = accelerator.fmax
    if fmax is not None and fmax.value is not None:
        met += f" (Fmax {fmax.value:.4g}, {fmax.low or 0.0:.3g}-{fmax.high or 0.0:.3g})"
    latency = quantity.three_digits(accelerator.latency / accelerator.clock_mhz / 1e3)
    fps = quantity.three_digits(accelerator.fps)
    return f"{fps} at {accelerator.clock_mhz:g} MHz, clock {met}; latency {latency} ms"


def _spent(accelerator: Accelerator) -> str:
    spent = accelerator.energy
    if spent is None:
        return "unknown: it was not computed"
    value = quantity.energy(1e6 * spent.value)
    if spent.missing:
        return (
            f"unknown: no figure for {_listed(sorted(spent.missing), '')}; what is known is {value} a frame"
        )
    text = f"{value} a frame ({quantity.energy_interval(1e6 * spent.low, 1e6 * spent.high)})"
    if accelerator.power is None:
        return text
    power = accelerator.power.to_dict()
    return (
        f"{text}, {quantity.three_digits(power['total_mw'])} mW, of it leakage "
        f"{quantity.three_digits(power['leakage_mw'])}; {quantity.three_digits(power['tops_per_w'])} TOPS/W"
    )


def _unknown(report: Report) -> list[str]:
    """What has no figure: of the accelerator, where there is one, else of the units."""
    accelerator = report.stages[-1].organisation
    if accelerator is None:
        return report.lacking
    energy = () if accelerator.energy is None else sorted(accelerator.energy.missing)
    delays = (
        ("all delays",)
        if accelerator.fmax is None
        else (f"delay of {name}" for name in accelerator.fmax.missing)
    )
    return [*accelerator.missing, *map(_unspent, energy), *delays]


def _unspent(name: str) -> str:
    return name if name.startswith(("leakage", "clock")) else f"energy of {name}"


def _listed(names: Iterable[str], nothing: str) -> str:
    all_names = list(names)
    shown, left = all_names[:_MOST_NAMES], len(all_names) - _MOST_NAMES
    return ", ".join([*shown, *([f"and {left} more"] if left > 0 else [])]) or nothing


def _warnings(reports: Sequence[Report]) -> str:
    """The first clause of each; the command says them in full on stderr, `Report.warnings` has them."""
    texts = list(dict.fromkeys(text for report in reports for text in report.warnings))
    clauses = [textwrap.shorten(re.split(r" \(|[:;] ", text)[0], _CLAUSE, placeholder=" …") for text in texts]
    return f"{len(texts)}: {'; '.join(clauses)}" if texts else "none"
