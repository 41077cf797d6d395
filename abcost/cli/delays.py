"""`abcost calibrate TARGET --timing`: measure the delays of a target's units by place and route."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from abcost.cli.output import note, write
from abcost.cli.places import check_places
from abcost.errors import OutputError, UsageError

if TYPE_CHECKING:
    from abcost.calibrate.delay_plan import DelaySweep
    from abcost.calibrate.delays import Delays
    from abcost.calibrate.targets import Target
    from abcost.synth.route import Router


def calibrate_delays(
    name: str, *, output: Path | None, cache: Path | None, workers: int | None, quick: bool
) -> None:
    """Route every unit at several sizes, fit delay laws, and put them into the table beside the routed points."""
    from abcost.calibrate.delay_plan import SEEDS, delay_plan
    from abcost.calibrate.delay_table import (
        DELAY_HEAD,
        TimingSource,
        delays_csv,
        timing_text,
        with_timing,
    )
    from abcost.calibrate.run import load_text
    from abcost.calibrate.targets import target as find_target
    from abcost.cost import cost_models_dir
    from abcost.synth.route import Router

    chosen = find_target(name)
    if not chosen.part:
        routed = ", ".join(t.name for t in _routed_targets())
        raise UsageError(f"no open place and route serves {name}; --timing is for {routed}")
    if workers is not None and workers < 1:
        raise UsageError(f"--jobs must be at least 1, got {workers}")
    bundled = cost_models_dir() / f"{name}.toml"
    table = output or (Path(f"{name}-quick.toml") if quick else bundled)
    points = table.parent / "points" / f"{table.stem}-timing.csv"
    check_places({"--output": table}, [])
    if points.parent.exists() and not points.parent.is_dir():
        raise OutputError(f"{points.parent} must be a folder: the routed points go there")
    if points.exists() and not points.read_text(encoding="utf-8").startswith(DELAY_HEAD):
        raise UsageError(f"{points} was not written by abcost calibrate --timing, and would be lost")
    base = table if table.exists() else bundled
    text = base.read_text(encoding="utf-8")
    load_text(text)  # a file that is no cost table fails before the long part
    note("starting Yosys and nextpnr (the first run of those from PyPI compiles them: a minute or two)")
    router = Router.find(chosen.part, cache=cache)
    note(f"using {' and '.join(router.versions)}")
    found = _measure(delay_plan(chosen.delays, dsp=chosen.dsp, quick=quick), router, workers)
    command = f"abcost calibrate {name} --timing" + (" --quick" if quick else "")
    source = TimingSource(
        chosen.part,
        command,
        router.versions,
        f"{points.parent.name}/{points.name}",
        len(SEEDS),
        chosen.delay_note,
    )
    whole = with_timing(text, timing_text(found.units, source))
    load_text(whole)
    points.parent.mkdir(exist_ok=True)
    write(delays_csv(found.rows, router.versions), points)
    write(whole, table)
    _report(found)
    note(f"wrote {table} and {points}")
    if found.failures:
        raise typer.Exit(1)


def _routed_targets() -> list[Target]:
    from abcost.calibrate.targets import TARGETS

    return [t for t in TARGETS.values() if t.part]


def _measure(sweeps: list[DelaySweep], router: Router, workers: int | None) -> Delays:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from abcost.calibrate.delays import delay_jobs, measure_delays

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        distinct = {router.key(job) for _, job in delay_jobs(sweeps)}
        task = progress.add_task("placing and routing", total=len(distinct))
        return measure_delays(
            sweeps,
            router,
            workers=workers,
            done=lambda job: progress.update(task, advance=1, description=job.name[:40]),
        )


def _report(found: Delays) -> None:
    from abcost.cli.output import view
    from abcost.report.drawing import draw, grid

    table = grid("Delay laws against routed points", "unit", "mapping", "fitted", "held out", text_columns=4)
    for unit in found.units:
        table.add_row(unit.op, unit.mapping, str(unit.fitted), str(unit.held_out))
    write(draw(table, view("block", None)), None)
    for module, reason in found.failures:
        note(f"failed: {module}: {reason}")
