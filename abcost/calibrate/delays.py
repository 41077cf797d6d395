"""Delays of a target's units: place and route all points with all seeds, fit laws, see how far they hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from abcost.calibrate.delay_fit import FittedDelay
from abcost.calibrate.delay_fit import fit as fit_law
from abcost.calibrate.delay_plan import SEEDS, DelayPlan
from abcost.calibrate.delay_point import DelayPoint, MeasuredDelay
from abcost.calibrate.point import Role
from abcost.calibrate.residual import MOST_HELD_OUT
from abcost.errors import ToolError
from abcost.synth.parts import MAPPINGS
from abcost.synth.route import Routed, RouteJob, Router, left_out_ns


@dataclass(frozen=True, slots=True)
class DelayErrors:
    """Relative errors |law - mean over seeds| / mean of some points; beyond: points that no law reaches."""

    points: int
    mean: float
    worst: float
    beyond: int = 0

    def __str__(self) -> str:
        beyond = f", {self.beyond} beyond the range" if self.beyond else ""
        return f"{self.points} points, mean {self.mean:.1%}, worst {self.worst:.1%}{beyond}"


@dataclass(frozen=True, slots=True)
class UnitDelays:
    """The laws of one unit under one mapping, and their errors over the fitted points and those held out."""

    op: str
    mapping: str
    laws: tuple[FittedDelay, ...]
    fitted: DelayErrors
    held_out: DelayErrors
    confidence: str = "measured"
    note: str = ""  # how the figures came about, where that is not the same for all


def beyond_limit(units: Sequence[UnitDelays]) -> tuple[str, ...]:
    """What misses its held-out points by more than a table may, a phrase for each."""
    return tuple(
        f"the delay of {unit.op} misses its {unit.held_out.points} held-out points by {unit.held_out.mean:.1%} on "
        f"average (worst {unit.held_out.worst:.1%}), more than {MOST_HELD_OUT:.0%}"
        for unit in units
        if unit.held_out.mean > MOST_HELD_OUT
    )


@dataclass(frozen=True, slots=True)
class Delays:
    """All that a calibration of delays found, and what failed: (module, reason)."""

    rows: tuple[MeasuredDelay, ...]
    units: tuple[UnitDelays, ...]
    failures: tuple[tuple[str, str], ...]


Jobs = list[tuple[DelayPoint, RouteJob]]


def delay_jobs(sweeps: Sequence[DelayPlan], mappings: Sequence[str] = tuple(MAPPINGS)) -> Jobs:
    """Every point with every seed under every mapping; the first seed of a netlist comes first."""
    return [
        (point, point.job(mapping, seed))
        for sweep in sweeps
        for point in sweep.points
        for seed in SEEDS
        for mapping in mappings
    ]


def measure_delays(
    sweeps: Sequence[DelayPlan],
    router: Router,
    *,
    workers: int | None = None,
    done: Callable[[RouteJob], None] = lambda _job: None,
) -> Delays:
    """Route all points and fit all laws. Raises ToolError where a unit has too few rows left for a law."""
    jobs = delay_jobs(sweeps)
    answers = router.run_all([job for _, job in jobs], workers=workers, done=done)
    rows, failures = [], []
    for point, job in jobs:
        answer = answers[router.key(job)]
        if isinstance(answer, ToolError):
            failures.append((f"{job.name} ({job.mapping}, seed {job.seed})", str(answer)))
        elif answer.fmax_mhz is None:
            failures.append((job.name, "no path from register to register"))
        else:
            rows.append(_row(point, job, answer))
    return Delays(tuple(rows), tuple(fit_delays(sweeps, rows)), tuple(failures))


def fit_delays(sweeps: Sequence[DelayPlan], rows: Sequence[MeasuredDelay]) -> list[UnitDelays]:
    """The laws of every unit under every mapping that has rows. Raises ToolError where a unit has too few."""
    found = []
    mappings = [mapping for mapping in MAPPINGS if any(row.mapping == mapping for row in rows)]
    for sweep in sweeps:
        for mapping in mappings:
            mine = [row for row in rows if row.op == sweep.op and row.mapping == mapping]
            fit = _of(mine, "fit")
            if len({tuple(row.size.items()) for row in fit}) < 2:
                raise ToolError(f"{sweep.op}: the routed points mapped for {mapping} are too few for a law")
            laws = tuple(law.with_ends(mine) for law in fit_law(sweep.form, fit))
            fitted, held_out = delay_errors(laws, fit), delay_errors(laws, _of(mine, "held out"))
            found.append(UnitDelays(sweep.op, mapping, laws, fitted, held_out))
    return found


def delay_errors(laws: Sequence[FittedDelay], rows: Sequence[MeasuredDelay]) -> DelayErrors:
    """Errors of laws over the means of these rows, size by size."""
    by_size: dict[tuple[tuple[str, int], ...], list[float]] = {}
    for row in rows:
        by_size.setdefault(tuple(row.size.items()), []).append(row.delay_ns)
    errors = []
    for size, delays in by_size.items():
        mean = sum(delays) / len(delays)
        law = next((law for law in laws if law.within(dict(size))), None)
        if law is not None:
            errors.append(abs(law.at(dict(size)) - mean) / mean)
    beyond = len(by_size) - len(errors)
    return DelayErrors(len(errors), sum(errors) / max(1, len(errors)), max(errors, default=0.0), beyond)


def _row(point: DelayPoint, job: RouteJob, answer: Routed) -> MeasuredDelay:
    if answer.fmax_mhz is None:
        raise ToolError(f"{job.name}: no path from register to register")
    return MeasuredDelay(
        op=point.op,
        module=job.name,
        size=point.size,
        role=point.role,
        mapping=job.mapping,
        seed=job.seed,
        fmax_mhz=round(answer.fmax_mhz, 2),  # as the file of rows keeps it, so that it gives the same laws
        logic_ns=round(answer.logic_ns, 3),
        left_out_ns=round(left_out_ns(answer), 3),
        luts=answer.luts,
        logic_cells=answer.logic_cells,
        limit=_limit(point, answer),
    )


def _limit(point: DelayPoint, answer: Routed) -> str:
    """`chain` if nothing is between the two registers of the slowest path, but for a register unit."""
    between = [step for step in answer.critical_path if step.kind == "logic"]
    return "unit" if between or point.op in ("register", "block_read") else "chain"


def _of(rows: Sequence[MeasuredDelay], role: Role) -> list[MeasuredDelay]:
    return [row for row in rows if row.role == role]
