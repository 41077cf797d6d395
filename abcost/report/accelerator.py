"""The accelerator's tables for the terminal: stages next to each other, and the folding of the last."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.table import Table

from abcost.accelerator.devices import Device
from abcost.accelerator.external import source
from abcost.accelerator.not_included import not_included
from abcost.accelerator.result import Accelerator, name_of
from abcost.accelerator.silicon.die import Die
from abcost.accelerator.unrolled import Unrolled
from abcost.report import quantity
from abcost.report.drawing import grid
from abcost.report.report import Report, Stage

_MOST_LAYERS = 60


def accelerator_tables(report: Report, stages: Sequence[Stage]) -> list[Table]:
    """The accelerator's tables; none where no accelerator was asked for."""
    found = [stage for stage in report.stages if stage.name in {s.name for s in stages}]
    accelerator = [stage.organisation for stage in found if stage.organisation is not None]
    if not accelerator:
        return []
    return [
        _summary(found, accelerator),
        _folding(accelerator[-1], found[-1].name),
        *_unrolled(report, found[-1].unrolled),
    ]


def _unrolled(report: Report, layers: Sequence[Unrolled]) -> list[Table]:
    """Binary layers that are built whole; nothing without such, or where no graphs of adders were asked for."""
    if not layers:
        return []
    title = f"Unrolled binary layers as graphs of adders ({report.table.target}), LUTs without registers"
    table = grid(title, "layer", "weights", "adders", "graph", "popcounts", "smaller, built")
    for layer in layers:
        table.add_row(
            layer.layer, f"{layer.inputs} x {layer.outputs}", "-" if layer.adders is None else f"{layer.adders:,}",
            quantity.amount(layer.graph_luts), quantity.amount(layer.popcount_luts),
            layer.smaller or "unknown: popcounts",
        )  # fmt: skip
    reasons = dict.fromkeys(layer.why for layer in layers if layer.why)
    table.caption, table.caption_justify = "; ".join(reasons) or None, "left"
    return [table]


def _summary(stages: Sequence[Stage], accelerator: Sequence[Accelerator]) -> Table:
    last = accelerator[-1]
    where = last.device.part if last.device else "no device given"
    table = grid(
        f"Accelerator, {last.kind}: {where} at {last.clock_mhz:g} MHz",
        "",
        *(s.name for s in stages),
        "change",
    )
    if any(o.fmax is not None for o in accelerator):
        table.add_row("Fmax, MHz", *map(fmax_text, accelerator), "")
    table.add_row("frames/s", *(quantity.three_digits(o.fps) for o in accelerator), "")
    table.add_row("cycles/frame", *(f"{o.interval:,}" for o in accelerator), "")
    table.add_row(
        "latency, ms", *(quantity.three_digits(o.latency / o.clock_mhz / 1e3) for o in accelerator), ""
    )
    table.add_row("bottleneck", *(o.bottleneck for o in accelerator), "")
    for name in last.resources:
        values = [o.resources[name] for o in accelerator]
        if name in _RARE and not any(values):
            continue
        if name == "luts" and last.logic_cells is not None:
            table.add_row("LUTs", *map(quantity.amount, values), quantity.change(values[0], values[-1]))
            table.add_row(name_of(name, last.device), *map(_cells, accelerator), "")
            continue
        texts = [_used(o, name, quantity.amount) for o in accelerator]
        table.add_row(name_of(name, last.device), *texts, quantity.change(values[0], values[-1]))
    if any(o.external_bits for o in accelerator):
        table.add_row("DRAM, GB/s", *map(_bandwidth, accelerator), "")
        table.add_row("DRAM, uJ/frame", *map(_energy, accelerator), "")
    if any(o.energy is not None for o in accelerator):
        table.add_row("uJ/frame", *map(_spent, accelerator), "")
        table.add_row("  low to high", *map(_spent_ends, accelerator), "")
    if any(o.power is not None for o in accelerator):
        table.add_row("mW", *(_power(o, "total_mw") for o in accelerator), "")
        table.add_row("  of it leakage, mW", *(_power(o, "leakage_mw") for o in accelerator), "")
        table.add_row("TOPS/W", *(_power(o, "tops_per_w") for o in accelerator), "")
    table.add_row("fits", *map(_fits, accelerator), "")
    table.caption, table.caption_justify = "\n".join(_notes(stages[-1].name, accelerator)), "left"
    return table


def _notes(stage: str, accelerator: Sequence[Accelerator]) -> list[str]:
    last = accelerator[-1]
    reason = last.refusal if last.unknown else last.limit
    notes = [f"{stage}: {reason}"] if reason else []
    if last.fmax is None:
        notes.append("whether the clock is met is unknown: the table has no delays")
    elif last.fmax.value is None:
        notes.append(f"whether the clock is met is unknown: {last.fmax.unknown}")
    else:
        notes.append(f"Fmax is limited by {last.fmax.limited_by}")
    if last.folding is not None:
        notes.append(f"folding: {last.folding.text()}")
    if last.lut_multipliers:
        each = ", ".join(f"{name} {count}" for name, count in last.lut_multipliers.items())
        notes.append(f"multipliers in LUTs, for want of DSPs: {each}")
    if any(o.external_bits for o in accelerator):
        cited = source()
        notes += [
            "DRAM: weights read from outside in every frame, of the peak of the memory",
            f"  energy: {cited['source']} ({cited['confidence']})",
        ]
    if last.energy is not None and last.energy.missing:
        notes.append(f"energy of {', '.join(sorted(last.energy.missing))} is unknown")
    if isinstance(last.device, Die):
        notes += _of_silicon(last.device)
    elif last.device:
        notes.append(f"device figures: {last.device.source} ({last.device.confidence})")
    outside = any(o.external_bits for o in accelerator)
    if isinstance(last.device, Device) and outside and last.device.memory_source:
        memory = last.device
        notes.append(f"memory: {memory.memory}; {memory.memory_source} ({memory.memory_confidence})")
    if last.logic_cells is not None:
        cells = last.logic_cells
        notes.append(f"logic cells, likely and at most: {cells['source']} ({cells['confidence']})")
    notes.append(f"not included: {'; '.join(not_included(silicon=isinstance(last.device, Die)))}")
    return notes


def _of_silicon(die: Die) -> list[str]:
    notes = [
        f"um2 of silicon: cells / {die.utilisation:g} + macros; TOPS/W: 2 operations for each multiply-accumulate"
    ]
    if die.source:
        notes.append(f"die: {die.source} ({die.confidence})")
    return notes


def _power(o: Accelerator, name: str) -> str:
    return "-" if o.power is None else quantity.three_digits(o.power.to_dict()[name])


_RARE = ("lutram", "uram", "spram", "macro_um2", "macros")
"""Rows that stand only where something is used."""


def _cells(o: Accelerator) -> str:
    """Likely and most logic cells, and the share of the device that the most are."""
    cells = o.logic_cells
    if cells is None or not isinstance(o.device, Device):
        return "-"
    if cells["value"] is None:
        return quantity.amount(None)
    share = cells["high"] / o.device.luts
    return f"{quantity.amount(cells['value'])}-{quantity.amount(cells['high'])} ({share:.0%})"


def _bandwidth(o: Accelerator) -> str:
    available = o.device.bandwidth_gb_s if isinstance(o.device, Device) else None
    share = "" if available is None else f" ({o.bandwidth_gb_s / available:.0%})"
    return quantity.three_digits(o.bandwidth_gb_s) + share


def fmax_text(o: Accelerator) -> str:
    """The highest clock, from its least to its most."""
    if o.fmax is None or o.fmax.value is None or o.fmax.low is None or o.fmax.high is None:
        return "unknown"
    return f"{o.fmax.value:.4g} ({o.fmax.low:.4g} to {o.fmax.high:.4g})"


def _fits(o: Accelerator) -> str:
    return "yes" if o.fits else "unknown" if o.unknown else "no"


def _energy(o: Accelerator) -> str:
    ends = o.external_energy_uj
    return "-" if ends is None else "-".join(map(quantity.three_digits, ends))


def _spent(o: Accelerator) -> str:
    """Microjoule of an inference by the figures' values; after "known" stands the sum of the parts that have one."""
    if o.energy is None:
        return "-"
    return (
        f"known {quantity.three_digits(o.energy.value)}"
        if o.energy.missing
        else quantity.three_digits(o.energy.value)
    )


def _spent_ends(o: Accelerator) -> str:
    if o.energy is None or o.energy.missing:
        return "-"
    return f"{quantity.three_digits(o.energy.low)}-{quantity.three_digits(o.energy.high)}"


def _used(o: Accelerator, name: str, text_of: Callable[[float | None], str]) -> str:
    share = o.utilisation[name]
    return text_of(o.resources[name]) + (f" ({share:.0%})" if share is not None else "")


def _folding(o: Accelerator, stage: str) -> Table:
    if isinstance(o.device, Die):
        taken = {
            "logic_um2": "logic um2",
            "memory_um2": "memory um2",
            "macro_um2": "macro um2",
            "macros": "macros",
        }
    else:
        taken = {"luts": "LUTs", "ffs": "FFs", "dsps": "DSPs", "blocks": name_of("blocks", o.device)}
    columns = ("layer", "PE", "SIMD", "cycles", *taken.values(), "weights in")
    table = grid(f"Folding at {stage}", *columns, spare=[(5,), (6,), (8,), (7,)])
    for layer in o.layers[:_MOST_LAYERS]:
        used = [quantity.amount(layer.resources[name]) for name in taken]
        cycles = f"{layer.cycles:,}" if layer.cycles else ""
        shown = [""] * len(used) if layer.shares else used
        table.add_row(layer.name, str(layer.pe), str(layer.simd), cycles, *shown, layer.weights)
    if len(o.layers) > _MOST_LAYERS:
        table.caption = f"{len(o.layers) - _MOST_LAYERS} more layers: --format json"
    return table
