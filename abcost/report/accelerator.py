"""The accelerator's tables for the terminal: stages next to each other, and the folding of the last."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.table import Table

from abcost.accelerator.memory import family_of
from abcost.accelerator.result import Organised
from abcost.report import quantity
from abcost.report.drawing import grid
from abcost.report.report import Report, Stage

_MOST_LAYERS = 60
_NAMES = {"luts": "LUTs", "ffs": "flip-flops", "dsps": "DSP slices", "uram": "URAM"}


def accelerator_tables(report: Report, stages: Sequence[Stage]) -> list[Table]:
    """Nothing where no accelerator was asked for."""
    found = [stage for stage in report.stages if stage.name in {s.name for s in stages}]
    organised = [stage.organisation for stage in found if stage.organisation is not None]
    if not organised:
        return []
    return [_summary(found, organised), _folding(organised[-1], found[-1].name)]


def _summary(stages: Sequence[Stage], organised: Sequence[Organised]) -> Table:
    last = organised[-1]
    where = last.device.part if last.device else "no device given"
    table = grid(
        f"Accelerator, {last.kind}: {where} at {last.clock_mhz:g} MHz",
        "",
        *(s.name for s in stages),
        "change",
    )
    table.add_row("frames per second", *(f"{o.fps:,.1f}" for o in organised), "")
    table.add_row("cycles per frame", *(f"{o.interval:,}" for o in organised), "")
    table.add_row("latency, ms", *(f"{o.latency / o.clock_mhz / 1e3:.3g}" for o in organised), "")
    table.add_row("bottleneck", *(o.bottleneck for o in organised), "")
    block = family_of(last.device).block
    for name in ("luts", "ffs", "dsps", "blocks", "uram"):
        values = [o.resources[name] for o in organised]
        if name == "uram" and not any(values):
            continue
        texts = [_used(o, name, quantity.amount) for o in organised]
        table.add_row(_NAMES.get(name, block), *texts, quantity.change(values[0], values[-1]))
    if any(o.external_bits for o in organised):
        table.add_row(
            "weights from outside, Gbit/s", *(f"{o.external_bits * o.fps / 1e9:.3g}" for o in organised), ""
        )
    table.add_row("fits", *("yes" if o.fits else "no" for o in organised), "")
    notes = [f"{stage.name}: {o.limit}" for stage, o in zip(stages, organised, strict=True) if o.limit]
    notes += [f"no figure for {', '.join(last.unknown)} of some unit"] if last.unknown else []
    if last.device:
        notes.append(f"device figures: {last.device.source} ({last.device.confidence})")
    table.caption, table.caption_justify = "\n".join(notes), "left"
    return table


def _used(o: Organised, name: str, text_of: Callable[[float | None], str]) -> str:
    share = o.utilisation[name]
    return text_of(o.resources[name]) + (f" ({share:.0%})" if share is not None else "")


def _folding(o: Organised, stage: str) -> Table:
    block = family_of(o.device).block
    table = grid(
        f"Folding at {stage}", "layer", "PE", "SIMD", "cycles", "LUTs", "FFs", "DSPs", block, "weights in"
    )
    for layer in o.layers[:_MOST_LAYERS]:
        used = [quantity.amount(layer.resources[name]) for name in ("luts", "ffs", "dsps", "blocks")]
        table.add_row(layer.name, str(layer.pe), str(layer.simd), f"{layer.cycles:,}", *used, layer.weights)
    if len(o.layers) > _MOST_LAYERS:
        table.caption = f"{len(o.layers) - _MOST_LAYERS} more layers: --format json"
    return table
