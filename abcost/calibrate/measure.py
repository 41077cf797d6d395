"""Points -> measured values, through the synthesizer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from abcost.calibrate.point import Measured, Point
from abcost.rtl.placed import placed
from abcost.synth.flows import Flow
from abcost.synth.runner import Answer, Failure, Job, Synthesizer

Power = Callable[[Point, Answer], tuple[float, float, float]]
"""Energy of one operation in pJ: value, low, high. Raises ToolError for a point without one."""

Values = tuple[dict[str, float], dict[str, float], dict[str, float]]
"""Fields of a point: values, low, high."""


@dataclass(frozen=True, slots=True)
class Sweeped:
    """What a sweep found, and which points failed and why."""

    measured: tuple[Measured, ...]
    failures: tuple[Failure, ...]


def job_of(point: Point, flow: Flow, *, keep_netlist: bool = False) -> Job:
    """The synthesis of one point, as an instance in a module."""
    unit = placed(point.unit)
    return Job(point.unit.name, unit.name, unit.source, flow, keep_netlist)


def measure(
    points: Sequence[Point],
    flow: Flow,
    synthesizer: Synthesizer,
    *,
    power: Power | None = None,
    workers: int | None = None,
    done: Callable[[Job], None] = lambda _job: None,
) -> Sweeped:
    """Synthesize every point; a failed one is reported and leaves the others alone.

    power: how energy is counted; with it the leakage of the cells is measured too, where the library knows all.
    """
    jobs = [job_of(point, flow, keep_netlist=power is not None) for point in points]
    library = synthesizer.cells.library if synthesizer.cells else None
    leaking = library if library and library.leaks else None
    points_of = {synthesizer.key(job): point for job, point in zip(jobs, points, strict=True)}

    def values_of(_job: Job, answer: Answer) -> Values:
        if power is None:
            return _kept(answer.resources), {}, {}
        value, low, high = power(points_of[answer.key], answer)
        leakage = {"leakage_nw": leaking.leakage(answer.cells)} if leaking else {}
        values = {"energy_pj": value, **answer.resources, **leakage}
        return _kept(values), _kept({"energy_pj": low}), _kept({"energy_pj": high})

    values = synthesizer.run_each(jobs, values_of, workers=workers, done=done)
    found, failures = [], []
    for point, job in zip(points, jobs, strict=True):
        measured = values[synthesizer.key(job)]
        if isinstance(measured, Failure):
            failures.append(Failure(job, measured.reason))
        else:
            found.append(Measured(point, *measured))
    return Sweeped(tuple(found), tuple(failures))


def _kept(values: Mapping[str, float]) -> dict[str, float]:
    """Values as the file of points keeps them, so that they give the same laws."""
    return {name: float(f"{value:.6g}") for name, value in values.items()}
