"""The recipe of a calibration: plan, synthesize, fit, write, and hold the table against what it has not seen."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from abcost.calibrate.energy import FIELD, energy_entries, measured_energy, residuals_of
from abcost.calibrate.fabric import Figures
from abcost.calibrate.fit import fit
from abcost.calibrate.laws import Fitted
from abcost.calibrate.measure import Power, Sweeped, measure
from abcost.calibrate.plan import UnitPlan, plan
from abcost.calibrate.point import Measured, Point, Role, means
from abcost.calibrate.points import points_csv
from abcost.calibrate.residual import MOST_HELD_OUT, Residual, beyond_limit, residual
from abcost.calibrate.table import Provenance, Switching, table_text
from abcost.calibrate.targets import Target
from abcost.calibrate.toggles import counted_points
from abcost.cost.table import CostTable
from abcost.errors import ToolError
from abcost.rtl.readings import READINGS, WIDTH
from abcost.rtl.unit import templates
from abcost.synth.flows import flow
from abcost.synth.runner import Failure, Job, Synthesizer
from abcost.synth.toggles import Toggles

Residuals = dict[tuple[str, str], tuple[Residual, Residual]]
"""(unit, field) -> error over the fitted points, error over those held out."""


LEAKAGE = "leakage_nw"


@dataclass(frozen=True, slots=True)
class Calibration:
    """A finished calibration: the texts to write, how good they are, and what failed.

    uncounted: units without energy, for some of their points have no count of transitions.
    beyond: measured fields that miss what was held out by more than the limit; such a table must not be used.
    """

    table: str
    points: str
    residuals: Residuals
    failures: tuple[Failure, ...]
    uncounted: tuple[str, ...] = ()
    beyond: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Transitions:
    """Counts of transitions by module, what one takes, and how the source of the counts reads."""

    counts: Mapping[str, Toggles]
    figures: Figures
    title: str
    where: str


def jobs_count(target: Target, *, quick: bool) -> int:
    """Points of the plan."""
    return len(_points(target, _sweeps(target, quick=quick)))


def _sweeps(target: Target, *, quick: bool) -> list[UnitPlan]:
    if not target.coarse or quick:
        cells = target.technology == "asic"
        return plan(target.ops, quick=quick, longest=target.longest, cells=cells)
    return [
        sweep
        for op in target.ops
        for sweep in plan((op,), quick=not templates.get(op).stepped, longest=target.longest)
    ]


def _points(target: Target, sweeps: Sequence[UnitPlan]) -> list[Point]:
    """All that is measured: the sweeps, and the readings of the published units where the target is theirs."""
    points = [point for sweep in sweeps for point in sweep.points]
    if target.published:
        points += [
            Point(r.op, {"width": WIDTH}, {"width": WIDTH, **r.parameters}, "published") for r in READINGS
        ]
    return points


def calibrate(
    target: Target,
    synthesizer: Synthesizer,
    provenance: Provenance,
    *,
    quick: bool = False,
    power: Power | None = None,
    workers: int | None = None,
) -> Calibration:
    """Measure all units of `target` and make its table.

    Raises ToolError if a unit has too few points left to fit a law.
    """
    found = measure_plan(target, synthesizer, quick=quick, power=power, workers=workers)
    return tabulate(target, found, provenance, quick=quick)


def measure_plan(
    target: Target,
    synthesizer: Synthesizer,
    *,
    quick: bool,
    kept: Sequence[Measured] = (),
    power: Power | None = None,
    workers: int | None = None,
    done: Callable[[Job], None] = lambda _job: None,
) -> Sweeped:
    """All points of a target's plan, in its order. kept: what was measured before, and is not again."""
    before = {(m.point.unit.name, m.point.role): m for m in kept}
    points = planned_points(target, quick=quick)
    missing = [point for point in points if (point.unit.name, point.role) not in before]
    found = measure(missing, flow(target.flow), synthesizer, power=power, workers=workers, done=done)
    fields = kept[0].values if kept else None  # a table that had no leakage gets none by a unit more
    every = before | {(m.point.unit.name, m.point.role): _with_fields(m, fields) for m in found.measured}
    in_order = (every.get((point.unit.name, point.role)) for point in points)
    return Sweeped(tuple(m for m in in_order if m is not None), found.failures)


def _with_fields(measured: Measured, fields: Collection[str] | None) -> Measured:
    """The point with these fields only. Raises ToolError for one that was not measured."""
    if fields is None:
        return measured
    missing = [name for name in fields if name not in measured.values]
    if missing:
        raise ToolError(f"the kept points have {missing[0]}, and these cells have none: calibrate all units")
    return replace(measured, values={name: measured.values[name] for name in fields})


def planned_points(target: Target, *, quick: bool) -> list[Point]:
    """All points of a target's plan."""
    return _points(target, _sweeps(target, quick=quick))


def transition_points(target: Target, *, quick: bool) -> dict[str, tuple[Point, ...]]:
    """Unit -> points whose transitions its energy needs."""
    return counted_points(_sweeps(target, quick=quick), _sweeps(target, quick=True))


def tabulate(
    target: Target,
    found: Sweeped,
    provenance: Provenance,
    *,
    quick: bool,
    transitions: Transitions | None = None,
) -> Calibration:
    """The table of what was measured. Raises ToolError if a unit has too few points left to fit a law."""
    sweeps = _sweeps(target, quick=quick)
    entries = [
        (sweep.op, fitted) for sweep in sweeps for fitted in fit(sweep.form, _fit_points(sweep, found))
    ]
    draft = load_text(table_text(target, entries, provenance, {}))
    residuals = _residuals(sweeps, found, draft)
    entries, residuals, left_out = without_wrong_leakage(entries, residuals)
    beyond = beyond_limit(
        residuals
    )  # of what was measured; energies of FPGAs, below, are estimates with bounds
    notes = {sweep.op: _note(sweep.op, residuals) + left_out.get(sweep.op, "") for sweep in sweeps}
    switching: Switching | None = None
    uncounted: tuple[str, ...] = ()
    if transitions is not None:
        switching, energies, uncounted = _switching(
            target, sweeps, entries, provenance, transitions, quick=quick
        )
        residuals |= energies
    return Calibration(
        table_text(target, entries, provenance, notes, switching),
        points_csv(found.measured),
        residuals,
        found.failures,
        uncounted,
        beyond,
    )


def without_wrong_leakage(
    entries: Sequence[tuple[str, Fitted]], residuals: Residuals
) -> tuple[list[tuple[str, Fitted]], Residuals, dict[str, str]]:
    """Entries and errors without the leakage of units that misses its held-out points, and what to say of those units.

    Gates of one area leak differently: of two that a mapper takes in turn, as in sky130, one leaks 2.7 times as much.
    Such a unit has no leakage in the table; of its area and energy the limit holds as ever.
    """
    wrong = {
        op: f"; leakage_nw: unknown, for a law misses its {held.points} held-out points by {held.mean:.0%} on average"
        for (op, name), (_, held) in residuals.items()
        if name == LEAKAGE and held.mean > MOST_HELD_OUT
    }
    kept = [
        (
            op,
            replace(fitted, laws={n: law for n, law in fitted.laws.items() if n != LEAKAGE})
            if op in wrong
            else fitted,
        )
        for op, fitted in entries
    ]
    return (
        kept,
        {key: found for key, found in residuals.items() if key[1] != LEAKAGE or key[0] not in wrong},
        wrong,
    )


def _switching(
    target: Target,
    sweeps: Sequence[UnitPlan],
    entries: Sequence[tuple[str, Fitted]],
    provenance: Provenance,
    transitions: Transitions,
    *,
    quick: bool,
) -> tuple[Switching | None, Residuals, tuple[str, ...]]:
    """Laws of the energy of the units all of whose points were counted, their errors, and the other units."""
    counts, figures = transitions.counts, transitions.figures
    measured = {}
    for op, points in transition_points(target, quick=quick).items():
        if all(point.unit.name in counts for point in points):
            measured[op] = [measured_energy(p, counts[p.unit.name], figures) for p in points]
    laws = energy_entries(sweeps, measured, entries)
    uncounted = tuple(sweep.op for sweep in sweeps if sweep.op not in measured)
    if not laws:
        return None, {}, uncounted
    switching = Switching(laws, figures, transitions.title, transitions.where, {})
    draft = load_text(table_text(target, entries, provenance, {}, switching))
    errors: Residuals = {(op, FIELD): residuals_of(points, draft) for op, points in measured.items()}
    notes = {op: _note(op, errors) for op in measured}
    return replace(switching, notes=notes), errors, uncounted


def load_text(text: str) -> CostTable:
    """The table as the product reads it."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "table.toml"
        file.write_text(text, encoding="utf-8")
        return CostTable.load(file)


def _of(sweep: UnitPlan, found: Sweeped, role: Role) -> list[Measured]:
    mine = [m for m in found.measured if m.point.op == sweep.op and m.point.role == role]
    return means(mine) if sweep.drawn else mine


def _fit_points(sweep: UnitPlan, found: Sweeped) -> Sequence[Measured]:
    points = _of(sweep, found, "fit")
    if len(points) < 2:
        modules = {point.unit.name for point in sweep.points}
        failures = [failure for failure in found.failures if failure.job.name in modules]
        reason = f"{failures[0].job.name}: {failures[0].reason}" if failures else "no more were planned"
        others = f"; {len(failures) - 1} more failed" if len(failures) > 1 else ""
        raise ToolError(f"{sweep.op}: {len(points)} points are too few to fit a law ({reason}{others})")
    return points


def _residuals(sweeps: Sequence[UnitPlan], found: Sweeped, table: CostTable) -> Residuals:
    return {
        (sweep.op, name): (
            residual(table, _of(sweep, found, "fit"), name),
            residual(table, _of(sweep, found, "held out"), name),
        )
        for sweep in sweeps
        for name in _of(sweep, found, "fit")[0].values
    }


def _note(op: str, residuals: Residuals) -> str:
    """Errors of the fields that are not exact everywhere."""
    parts = [
        f"{name}: fitted {fitted}; held out {held}"
        for (unit, name), (fitted, held) in residuals.items()
        if unit == op and any((fitted.worst, held.worst, fitted.beyond, held.beyond))
    ]
    return "; ".join(parts) or "exact at every measured point, held-out ones included"
