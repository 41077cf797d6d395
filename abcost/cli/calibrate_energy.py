"""The part of `abcost calibrate` that is about the energy of FPGAs: transitions, and tables from kept points."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from abcost.cli.output import note, write
from abcost.errors import ToolError

if TYPE_CHECKING:
    from rich.progress import Progress

    from abcost.calibrate.point import Point
    from abcost.calibrate.run import Calibration, Transitions
    from abcost.calibrate.table import Provenance
    from abcost.calibrate.targets import Target
    from abcost.synth.runner import Synthesizer
    from abcost.synth.toggles import Toggles


def toggles_file(points: Path) -> Path:
    """Where the transitions of a table are kept: beside its points."""
    return points.with_name(f"{points.stem}-toggles.csv")


def transitions_of(
    target: Target,
    synthesizer: Synthesizer,
    points: Path,
    progress: Progress,
    workers: int | None,
    *,
    quick: bool,
    count: bool,
    units: Collection[str] = (),
) -> Transitions:
    """The transitions that are kept for these syntheses; count: count those that are missing, and keep them.

    points: the file of the table's points; units: only these are synthesized, and all others are as they are kept.
    """
    from abcost.calibrate import toggles
    from abcost.calibrate.run import transition_points
    from abcost.cost import cost_models_dir
    from abcost.synth.flows import flow

    own = toggles_file(points)
    known = dict(toggles.read_toggles(toggles_file(cost_models_dir() / "points" / f"{target.name}.csv")))
    there = toggles.read_toggles(own)
    known |= there
    wanted = [p for found in transition_points(target, quick=quick).values() for p in found]
    mapped = flow(target.flow)
    kept = {key[0]: key for key in there}

    def key_of(point: Point) -> toggles.Key:
        if units and point.op not in units:
            return kept.get(point.unit.name, (point.unit.name, ""))
        return point.unit.name, toggles.synthesis_of(point, mapped, synthesizer)

    if count:
        counted = [point for point in wanted if not units or point.op in units]
        task = progress.add_task("counting transitions", total=len(counted))
        found, failures = toggles.count(
            counted,
            mapped,
            synthesizer,
            known,
            workers=workers,
            done=lambda job: progress.update(task, advance=1, description=f"transitions of {job.name[:40]}"),
        )
        known |= found
        for failure in failures:
            note(f"failed: {failure.job.name}: {failure.reason}")
        own.parent.mkdir(exist_ok=True)
        write(toggles.toggles_csv([(point.op, key_of(point)) for point in wanted], known), own)
    keys = [key for key in map(key_of, wanted) if key in known]
    return _transitions(target, {key[0]: known[key] for key in keys}, own, str(synthesizer.yosys))


def refit(target: Target, table: Path, points: Path, *, quick: bool) -> Calibration:
    """The calibration of the kept points; tool and command stay those that the table names.

    Raises ToolError where table, points or transitions are not there, or do not go together.
    """
    from abcost.calibrate.points import fields_of, measured_units, read_points
    from abcost.calibrate.run import planned_points, tabulate
    from abcost.calibrate.toggles import read_toggles

    provenance = provenance_of(table)
    units = measured_units(points)
    target = replace(target, ops=tuple(op for op in target.ops if op in units))
    bounds = ("energy_pj",) if target.energy else ()
    fields = fields_of(points, target.fields)
    found = read_points(points, planned_points(target, quick=quick), fields, bounds)
    own = toggles_file(points)
    if not target.fabric:
        return tabulate(target, found, provenance, quick=quick)
    counts = {module: toggles for (module, _), toggles in read_toggles(own).items()}
    transitions = _transitions(target, counts, own, provenance.tool) if counts else None
    return tabulate(target, found, provenance, quick=quick, transitions=transitions)


def _transitions(target: Target, counts: dict[str, Toggles], file: Path, tool: str) -> Transitions:
    from abcost.calibrate.fabric import figures_file, read_fabric
    from abcost.calibrate.run import Transitions

    return Transitions(
        counts,
        read_fabric(figures_file(target.flow)),
        f"abcost calibrate {target.name} --energy: transitions of mapped netlists, {tool}",
        f"raw counts {file.parent.name}/{file.name}",
    )


def provenance_of(table: Path) -> Provenance:
    """What the source of a table that `abcost calibrate` wrote says."""
    from abcost.calibrate.table import Provenance
    from abcost.cost.document import read_document

    found, _ = read_document(table)
    try:
        sweep = found["source"]["sweep"]
        _, flow_title = sweep["title"].split(": ", 1)
        flow_title, tool = flow_title.rsplit(", ", 1)
        command, points = sweep["where"].split("; raw points ", 1)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise ToolError(
            f"{table} is no table that abcost calibrate wrote; measure it, without --from-points"
        ) from None
    clock = found.get("clock", {}).get("energy_pj") if found.get("technology") == "asic" else None
    return Provenance(tool, flow_title, command, points, clock_pj=clock)
