"""Delays of a target's units: place and route every point with every seed, fit laws, hold them against the rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from abcost.calibrate.delay_fit import FittedDelay
from abcost.calibrate.delay_plan import SEEDS, DelaySweep
from abcost.calibrate.delay_point import DelayPoint, MeasuredDelay
from abcost.calibrate.point import Role
from abcost.cost.formula import Formula
from abcost.cost.law import Points, Range
from abcost.cost.timing import DelayLaw, Timing
from abcost.errors import ToolError
from abcost.synth.parts import MAPPINGS
from abcost.synth.route import Routed, RouteJob, Router

CHAIN = 1e-3
"""Paths as long as those between two registers of the chain, within this many ns of wiring, are not the unit's."""


@dataclass(frozen=True, slots=True)
class DelayErrors:
    """Relative errors |law - mean over seeds| / mean of some points; outside: of how many seeds the ends say else."""

    points: int
    mean: float
    worst: float
    outside: int
    rows: int

    def __str__(self) -> str:
        beyond = f", {self.outside} of {self.rows} rows beyond low and high" if self.outside else ""
        return f"{self.points} points, mean {self.mean:.1%}, worst {self.worst:.1%}{beyond}"


@dataclass(frozen=True, slots=True)
class UnitDelays:
    """The laws of one unit under one mapping, and their errors over the fitted points and those held out."""

    op: str
    mapping: str
    laws: tuple[FittedDelay, ...]
    fitted: DelayErrors
    held_out: DelayErrors


@dataclass(frozen=True, slots=True)
class Delays:
    """All that a calibration of delays found, and what failed: (module, reason)."""

    rows: tuple[MeasuredDelay, ...]
    units: tuple[UnitDelays, ...]
    failures: tuple[tuple[str, str], ...]


Jobs = list[tuple[DelayPoint, RouteJob]]


def delay_jobs(sweeps: Sequence[DelaySweep], mappings: Sequence[str] = tuple(MAPPINGS)) -> Jobs:
    """Every point with every seed under every mapping; the first seed of a netlist stands before the others."""
    return [
        (point, point.job(mapping, seed))
        for sweep in sweeps
        for point in sweep.points
        for seed in SEEDS
        for mapping in mappings
    ]


def measure_delays(
    sweeps: Sequence[DelaySweep],
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


def fit_delays(sweeps: Sequence[DelaySweep], rows: Sequence[MeasuredDelay]) -> list[UnitDelays]:
    """The laws of every unit under every mapping that has rows. Raises ToolError where a unit has too few."""
    found = []
    for sweep in sweeps:
        for mapping in MAPPINGS:
            mine = [row for row in rows if row.op == sweep.op and row.mapping == mapping]
            fit = _of(mine, "fit")
            if len({tuple(row.size.items()) for row in fit}) < 2:
                raise ToolError(f"{sweep.op}: the routed points mapped for {mapping} are too few for a law")
            laws = tuple(sweep.form.fit(fit))
            errors = [delay_errors(sweep.op, mapping, laws, of) for of in (fit, _of(mine, "held out"))]
            found.append(UnitDelays(sweep.op, mapping, laws, *errors))
    return found


def delay_errors(
    op: str, mapping: str, laws: Sequence[FittedDelay], rows: Sequence[MeasuredDelay]
) -> DelayErrors:
    """Errors of laws, read as a table reads them, over these rows."""
    timing = Timing("", "", "", {(op, mapping): tuple(_read(op, mapping, law) for law in laws)})
    by_size: dict[tuple[tuple[str, int], ...], list[float]] = {}
    for row in rows:
        by_size.setdefault(tuple(row.size.items()), []).append(row.delay_ns)
    errors, outside = [], 0
    for size, delays in by_size.items():
        said = timing.at(op, mapping, dict(size))
        if said is None:  # the law is there
            continue
        mean = sum(delays) / len(delays)
        errors.append(abs(said.value - mean) / mean)
        outside += sum(not said.low * 0.999 <= delay <= said.high * 1.001 for delay in delays)
    count = max(1, len(errors))
    return DelayErrors(len(errors), sum(errors) / count, max(errors, default=0.0), outside, len(rows))


def _read(op: str, mapping: str, law: FittedDelay) -> DelayLaw:
    sides = [
        Formula.parse(side) if isinstance(side, str) else Points(side, "linear", law.over)
        for side in (law.value, law.low, law.high)
    ]
    valid = {name: Range(*ends) for name, ends in law.valid.items()}
    return DelayLaw(op, mapping, sides[0], sides[1], sides[2], valid, "measured", "")


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
        fmax_mhz=answer.fmax_mhz,
        luts=answer.luts,
        logic_cells=answer.logic_cells,
        limit=_limit(point, answer),
    )


def _limit(point: DelayPoint, answer: Routed) -> str:
    """`chain` if the slowest path runs between two registers without anything in between, but for a register unit."""
    between = [step for step in answer.critical_path if step.kind == "logic"]
    return "unit" if between or point.op in ("register", "block_read") else "chain"


def _of(rows: Sequence[MeasuredDelay], role: Role) -> list[MeasuredDelay]:
    return [row for row in rows if row.role == role]
