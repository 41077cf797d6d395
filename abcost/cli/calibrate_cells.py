"""The part of `abcost calibrate` that is about the delays of standard cells: measured with a table, kept beside it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from abcost.cli.output import note
from abcost.errors import ToolError

if TYPE_CHECKING:
    from abcost.calibrate.delay_plan import DelayPlan
    from abcost.calibrate.delay_point import MeasuredDelay
    from abcost.calibrate.delays import Delays
    from abcost.calibrate.targets import Target
    from abcost.synth.runner import Job, Synthesizer

METHOD = """Register -> unit -> register in ns by the tables of the Liberty file: clock to output, cells at the slews \
and loads of the mapped netlist, setup. Ideal clock, no wires; mapped for area, nothing buffered or sized for speed, \
which would shorten it. low, high: over sizes."""


def timing_file(points: Path) -> Path:
    """Where the delays of a table are kept: beside its points."""
    return points.with_name(f"{points.stem}-timing.csv")


def delay_sweeps(target: Target, *, quick: bool) -> list[DelayPlan]:
    """What is measured of the units that the target has."""
    from abcost.calibrate.delay_plan import delay_plan

    ops = [op for op in target.delays if op in target.ops]
    return delay_plan(ops, dsp=target.dsp, quick=quick, cells=True)


def measured_delays(
    target: Target,
    synthesizer: Synthesizer,
    files: Sequence[Path],
    points: Path,
    *,
    quick: bool,
    units: Collection[str],
    workers: int | None,
    done: Callable[[Job], None],
) -> Delays | None:
    """Delays of all units of the target, None where the library has no times of its flip-flop.

    units: only these are measured, and the kept rows of all others fitted.
    """
    from abcost.calibrate.cell_delays import measure_cell_delays
    from abcost.synth.delay_arcs import DelayArcs
    from abcost.synth.flows import flow

    if units and not timing_file(points).exists():
        return None  # a table that had no delays gets none by a unit more
    arcs = DelayArcs(files)
    cells = synthesizer.cells
    if cells is None or not (arcs.of(cells.flip_flop).launched and arcs.of(cells.flip_flop).setups):
        note("no delays: the library gives no clock-to-output and setup times of the flip-flop")
        return None
    kept = [row for row in kept_rows(timing_file(points)) if row.op not in units] if units else []
    return measure_cell_delays(
        delay_sweeps(target, quick=quick),
        flow(target.flow),
        synthesizer,
        cells,
        arcs,
        kept=kept,
        workers=workers,
        done=done,
    )


def kept_rows(file: Path) -> list[MeasuredDelay]:
    """The rows of a file of delays, none if there is no such file. Raises ToolError for one that is damaged."""
    from abcost.calibrate.delay_table import read_delays_csv
    from abcost.calibrate.points import MOST_BYTES
    from abcost.core.reading import read_text

    if not file.exists():
        return []
    text = read_text(file, str(file), ToolError, most=MOST_BYTES)
    try:
        return read_delays_csv(text)
    except (KeyError, TypeError, ValueError):
        raise ToolError(f"{file} is damaged; measure again, without --from-points") from None


def refitted_delays(target: Target, points: Path, *, quick: bool) -> Delays | None:
    """The laws of the kept rows; None where there are none."""
    from abcost.calibrate.delays import Delays, fit_delays

    rows = kept_rows(timing_file(points))
    if not rows:
        return None
    known = {row.op for row in rows}
    sweeps = [sweep for sweep in delay_sweeps(target, quick=quick) if sweep.op in known]
    return Delays(tuple(rows), tuple(fit_delays(sweeps, rows)), ())


def timing_part(found: Delays, target: Target, command: str, tool: str, points: Path) -> str:
    """The text of the `[timing]` part of a table."""
    from abcost.calibrate.delay_table import TimingSource, timing_text

    file = timing_file(points)
    source = TimingSource(
        target.node,
        command,
        (tool,),
        f"{file.parent.name}/{file.name}",
        METHOD,
        "static timing analysis of mapped netlists by the Liberty tables",
    )
    return timing_text(found.units, source)
