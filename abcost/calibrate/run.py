"""The recipe of a calibration: plan, synthesize, fit, write, and hold the table against what it has not seen."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from abcost.calibrate.measure import Power, Sweeped, measure
from abcost.calibrate.plan import Sweep, plan
from abcost.calibrate.point import Measured
from abcost.calibrate.points import points_csv
from abcost.calibrate.residual import Residual, residual
from abcost.calibrate.table import Provenance, table_text
from abcost.calibrate.targets import Target
from abcost.cost.table import CostTable
from abcost.errors import ToolError
from abcost.synth.flows import flow
from abcost.synth.runner import Failure, Job, Synthesizer

Residuals = dict[tuple[str, str], tuple[Residual, Residual]]
"""(unit, field) -> error over the fitted points, error over those held out."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """A finished calibration: the texts to write, how good they are, and what failed."""

    table: str
    points: str
    residuals: Residuals
    failures: tuple[Failure, ...]


def jobs_count(target: Target, *, quick: bool) -> int:
    """Points of the plan."""
    return sum(len(sweep.points) for sweep in plan(target.ops, quick=quick))


def calibrate(
    target: Target,
    synthesizer: Synthesizer,
    provenance: Provenance,
    *,
    quick: bool = False,
    power: Power | None = None,
    workers: int | None = None,
    done: Callable[[Job], None] = lambda _job: None,
) -> Calibration:
    """Measure all units of `target` and make its table.

    Raises ToolError if a unit has too few points left to fit a law.
    """
    sweeps = plan(target.ops, quick=quick)
    points = [point for sweep in sweeps for point in sweep.points]
    found = measure(points, flow(target.flow), synthesizer, power=power, workers=workers, done=done)
    entries = [(sweep.op, fitted) for sweep in sweeps for fitted in sweep.form.fit(_fit_points(sweep, found))]
    draft = load_text(table_text(target, entries, provenance, {}))
    residuals = _residuals(sweeps, found, draft)
    notes = {sweep.op: _note(sweep.op, residuals) for sweep in sweeps}
    return Calibration(
        table_text(target, entries, provenance, notes), points_csv(found.measured), residuals, found.failures
    )


def load_text(text: str) -> CostTable:
    """The table as the product reads it."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "table.toml"
        file.write_text(text, encoding="utf-8")
        return CostTable.load(file)


def _of(sweep: Sweep, found: Sweeped, *, held_out: bool) -> list[Measured]:
    return [m for m in found.measured if m.point.op == sweep.op and m.point.held_out is held_out]


def _fit_points(sweep: Sweep, found: Sweeped) -> Sequence[Measured]:
    points = _of(sweep, found, held_out=False)
    if len(points) < 2:
        reasons = "; ".join(dict.fromkeys(failure.reason for failure in found.failures)) or "none was planned"
        raise ToolError(f"{sweep.op}: {len(points)} points are too few to fit a law ({reasons})")
    return points


def _residuals(sweeps: Sequence[Sweep], found: Sweeped, table: CostTable) -> Residuals:
    return {
        (sweep.op, name): (
            residual(table, _of(sweep, found, held_out=False), name),
            residual(table, _of(sweep, found, held_out=True), name),
        )
        for sweep in sweeps
        for name in _of(sweep, found, held_out=False)[0].values
    }


def _note(op: str, residuals: Residuals) -> str:
    """Errors of the fields that are not exact everywhere."""
    parts = [
        f"{name}: fitted {fitted}; held out {held}"
        for (unit, name), (fitted, held) in residuals.items()
        if unit == op and (fitted.worst or held.worst)
    ]
    return "; ".join(parts) or "exact at every measured point, held-out ones included"
