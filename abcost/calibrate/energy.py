"""Energy of measured units on an FPGA, and what a cost table says of it.

    low   = routed                * least pJ of a toggle    + registers * clock + blocks * least pJ of a block
    value = sqrt(routed * hops)   * mean pJ of a toggle     + registers * clock + blocks * mean pJ of a block
    high  = hops                  * greatest pJ of a toggle + registers * clock + blocks * greatest pJ of a block

Transitions are those of the mapped netlist (`abcost.synth.fabric`), picojoules those of print
(`abcost.calibrate.fabric`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from abcost.calibrate.derived import per_bit
from abcost.calibrate.fabric import Figures, Level, Range
from abcost.calibrate.fit import fit as fit_law
from abcost.calibrate.laws import Fitted
from abcost.calibrate.plan import UnitPlan
from abcost.calibrate.point import Measured, Point
from abcost.calibrate.residual import Residual, residual
from abcost.cost.table import CostTable
from abcost.rtl.forms import Pieces
from abcost.synth.toggles import Toggles

FIELD = "energy_pj"
SOURCE = "toggles"


@dataclass(frozen=True, slots=True)
class Entry:
    """One law of the energy of one unit; `blocks`, `registers`: whether any of its points has some."""

    op: str
    fitted: Fitted
    registers: bool
    blocks: bool
    note: str = ""


def measured_energy(point: Point, toggles: Toggles, figures: Figures) -> Measured:
    """A point with its energy in pJ per operation, and its multiplier blocks."""
    toggle, clock, block = figures.toggle, figures.clock, figures.block

    def energy(transitions: float, each: float, clocked: float, multiplied: float) -> float:
        return transitions * each + toggles.registers * clocked + toggles.blocks * multiplied

    value = energy(math.sqrt(toggles.routed * toggles.hops), toggle.value, clock.value, block.value)
    low = energy(min(toggles.routed, toggles.hops), toggle.low, clock.low, block.low)
    high = energy(max(toggles.routed, toggles.hops), toggle.high, clock.high, block.high)
    return Measured(point, {FIELD: value, "dsps": toggles.blocks}, {FIELD: low}, {FIELD: high})


def energy_entries(
    sweeps: Sequence[UnitPlan],
    measured: Mapping[str, Sequence[Measured]],
    resources: Sequence[tuple[str, Fitted]] = (),
) -> list[Entry]:
    """Laws of the units all of whose points were counted. measured: unit -> its points.

    resources: laws of LUTs and DSPs, which say from which width on a unit has more DSPs: there its energy changes too.
    """
    found: list[Entry] = []
    for sweep in sweeps:
        points = measured.get(sweep.op, ())
        fit = [m for m in points if m.point.role == "fit"]
        if len(fit) < 2:
            continue
        blocks = any(m.values["dsps"] for m in points)
        registers = fit[0].point.unit.clocked
        pieces = fit_law(sweep.energy, fit)
        if blocks:
            pieces = _at_blocks(pieces, fit, [fitted for op, fitted in resources if op == sweep.op])
        for fitted in pieces:
            laws = {FIELD: fitted.laws[FIELD]}
            whole = replace(fitted, laws=laws, valid=_reaching(sweep, fitted))
            found.append(Entry(sweep.op, whole, registers, blocks))
    bits = per_bit([(entry.op, entry.fitted) for entry in found])
    return [*found, *(Entry(d.op, d.fitted, registers=False, blocks=False, note=d.note) for d in bits)]


def _at_blocks(
    pieces: Sequence[Fitted], fit: Sequence[Measured], resources: Sequence[Fitted]
) -> list[Fitted]:
    """Ranges of the width that begin where the laws of DSPs say, not half-way between two points that were counted."""
    starts = sorted((r.valid["width"][0], r.laws["dsps"]) for r in resources if "dsps" in r.laws)
    found = [pieces[0]]
    for piece in pieces[1:]:
        before, (low, high) = found[-1], piece.valid["width"]
        inside = [m for m in fit if before.valid["width"][0] <= m.point.size["width"] < low]
        last = max((m.point.size["width"] for m in inside), default=low - 1)
        begins = [start for start, dsps in starts if last < start <= low and str(dsps) != "0"]
        if begins:
            start = min(begins)
            found[-1] = replace(
                before, valid={**before.valid, "width": (before.valid["width"][0], start - 1)}
            )
            piece = replace(piece, valid={**piece.valid, "width": (start, high)})  # noqa: PLW2901 - the same, wider
        found.append(piece)
    return found


def _reaching(sweep: UnitPlan, fitted: Fitted) -> dict[str, tuple[int, int]]:
    """The range of a law; of sizes that it is not split over, as far as any point of the plan goes.

    So that it answers wherever the laws of LUTs do, which are fitted to more points.
    """
    if not isinstance(sweep.form, Pieces):
        return dict(fitted.valid)
    sizes = {name: [point.size[name] for point in sweep.points] for name in fitted.valid}
    return {
        name: valid if name == sweep.form.over else (min(sizes[name]), max(sizes[name]))
        for name, valid in fitted.valid.items()
    }


def residuals_of(measured: Sequence[Measured], table: CostTable) -> tuple[Residual, Residual]:
    """Errors of the energy over the points that were fitted, and over those held out."""
    fit, held = ([m for m in measured if m.point.role == role] for role in ("fit", "held out"))
    return residual(table, fit, FIELD), residual(table, held, FIELD)


def note_of(entry: Entry, figures: Figures, errors: str) -> str:
    """What the energy of a unit is made of."""
    parts = [f"transitions of the mapped netlist times {_range(figures.toggle)} pJ"]
    if entry.registers:
        parts.append(f"{figures.clock.value:g} pJ a clocked register and cycle ({figures.clock.note})")
    if entry.blocks:
        parts.append(f"{_range(figures.block)} pJ a multiplier block ({figures.block.note})")
    return "; ".join(
        [*([entry.note] if entry.note else []), " + ".join(parts), *([errors] if errors else [])]
    )


def confidence_of(entry: Entry, figures: Figures) -> str:
    """How sure it is: that of the toggles, or of the blocks where it has some; a clock is a few percent of either."""
    return figures.block.confidence if entry.blocks else figures.toggle.confidence


def sources_of(entry: Entry, figures: Figures) -> list[str]:
    """Names of the sources of an entry."""
    ranges = [figures.toggle]
    ranges += [figures.clock] if entry.registers else []
    ranges += [figures.block] if entry.blocks else []
    return [SOURCE, *dict.fromkeys(source for each in ranges for source in each.sources)]


def memory_text(figures: Figures) -> str:
    """The sections [memory] and [clock] of a cost table."""
    head = f"""[memory]
weights = {_text(figures.weights)}
activations = {_text(figures.activations)}
"""
    clock = f"""[clock]
energy_pj = {figures.clock.value:g}
source = {json.dumps(figures.clock.sources)}
confidence = {_text(figures.clock.confidence)}
note = {_text(figures.clock.note)}
"""
    return "\n".join([head, *map(_level_text, figures.levels), clock])


def _level_text(level: Level) -> str:
    return f"""[[memory.level]]
name = {_text(level.name)}
energy_pj = {level.energy.value:.4g}
low = {level.energy.low:.4g}
high = {level.energy.high:.4g}
access_bits = {level.access_bits}
capacity_bits = {level.capacity_bits}
source = {json.dumps(level.energy.sources)}
confidence = {_text(level.energy.confidence)}
note = {_text(level.energy.note)}
"""


def sources_text(figures: Figures, entries: Sequence[Entry], title: str, where: str) -> str:
    """The sections of the sources that the entries and the memory cite."""
    cited = {source for entry in entries for source in sources_of(entry, figures)}
    cited |= {source for level in figures.levels for source in level.energy.sources}
    cited |= set(figures.clock.sources)
    found = [_source_text(SOURCE, title, where, "")] if SOURCE in cited else []
    found += [
        _source_text(name, source.title, source.where, source.note)
        for name, source in figures.sources.items()
        if name in cited
    ]
    return "\n".join(found)


def _source_text(name: str, title: str, where: str, note: str) -> str:
    told = f"note = {_text(note)}\n" if note else ""
    return f"[source.{name}]\ntitle = {_text(title)}\nwhere = {_text(where)}\n{told}"


def _range(figure: Range) -> str:
    if figure.low == figure.high:
        return f"{figure.value:.3g}"
    return f"{figure.value:.3g} ({figure.low:g} to {figure.high:g})"


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)
