"""Delays of units on standard cells: a static timing analysis of the netlists that areas are measured on."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from abcost.calibrate.delay_plan import DelayPlan
from abcost.calibrate.delay_point import DelayPoint, MeasuredDelay
from abcost.calibrate.delays import Delays, fit_delays
from abcost.calibrate.measure import job_of
from abcost.calibrate.point import Point
from abcost.errors import ToolError
from abcost.rtl.placed import placed
from abcost.synth.delay_arcs import DelayArcs
from abcost.synth.flows import Flow
from abcost.synth.longest_path import register_to_register
from abcost.synth.netlist import netlist_of
from abcost.synth.runner import Answer, Failure, Job, Synthesizer
from abcost.synth.standard_cells import StandardCells

MAPPING = "area"
"""What the cells are mapped for: nothing is buffered or sized."""


def measure_cell_delays(
    sweeps: Sequence[DelayPlan],
    flow: Flow,
    synthesizer: Synthesizer,
    cells: StandardCells,
    arcs: DelayArcs,
    *,
    kept: Sequence[MeasuredDelay] = (),
    workers: int | None = None,
    done: Callable[[Job], None] = lambda _job: None,
) -> Delays:
    """Delays of all points; kept: what was measured before, and is not again.

    Raises ToolError where a unit has too few points left for a law.
    """
    before = {row.module: row for row in kept}
    points = [point for sweep in sweeps for point in sweep.points]
    jobs = {point.unit.name: _job(point, flow) for point in points if point.unit.name not in before}
    answers = synthesizer.run_all(list(jobs.values()), workers=workers, done=done)
    rows, failures = [], []
    for point in points:
        name = point.unit.name
        if name in before:
            rows.append(before[name])
            continue
        answer = answers[synthesizer.key(jobs[name])]
        try:
            rows.append(_row(point, _delay(point, answer, cells, arcs)))
        except ToolError as error:
            failures.append((name, str(error)))
    return Delays(tuple(rows), tuple(fit_delays(sweeps, rows)), tuple(failures))


def _job(point: DelayPoint, flow: Flow) -> Job:
    return job_of(Point(point.op, point.size, point.parameters), flow, keep_netlist=True)


def _delay(point: DelayPoint, answer: Answer | Failure, cells: StandardCells, arcs: DelayArcs) -> float:
    if isinstance(answer, Failure):
        raise ToolError(answer.reason)
    top = placed(point.unit).name
    if answer.netlist is None:
        raise ToolError(f"{top}: no netlist was kept, so no delay can be found")
    netlist = netlist_of(answer.netlist, top, cells.library)
    return register_to_register(netlist, cells.library, arcs, cells.flip_flop)


def _row(point: DelayPoint, ns: float) -> MeasuredDelay:
    fmax = round(1000 / ns, 2)  # as the file of rows keeps it, so that it gives the same laws
    return MeasuredDelay(
        op=point.op,
        module=point.unit.name,
        size=point.size,
        role=point.role,
        mapping=MAPPING,
        seed=0,  # nothing is placed
        fmax_mhz=fmax,
        logic_ns=1000 / fmax,
        left_out_ns=0.0,
        luts=0,
        logic_cells=0,
        limit="unit",
    )
