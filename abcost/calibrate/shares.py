"""Delays where nothing can be placed: what the cells take, times what routing adds on another fabric.

    delay = share * (clock to output + logic + setup of the slowest path, by Yosys' timing analysis)
    share = routed delay / the same without its wires, of the same unit on the fabric that was routed

The share is taken unit by unit, for a carry chain has fewer wires for its logic than a popcount: its mean is
the value, its least and most over sizes and seeds widen the ends. So a figure is derived, not measured.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from abcost.calibrate.delay_plan import DelayPlan
from abcost.calibrate.delay_point import DelayPoint, MeasuredDelay
from abcost.calibrate.delays import Delays, UnitDelays, fit_delays
from abcost.errors import ToolError
from abcost.rtl.registered import TOP, registered_source
from abcost.synth.flows import Flow
from abcost.synth.flows import flow as find_flow
from abcost.synth.sta import PreRoute, StaJob, Timer

MAPPING = "delay"
"""What the flows of these fabrics map for, and of which mapping the shares are."""


MULTIPLYING = ("multiply", "scale_dot", "prelu")
"""Units with a multiplier, whose block would take in the registers behind it, and with them its own time."""


@dataclass(frozen=True, slots=True)
class Share:
    """How many times the delay of its cells a routed path of a unit takes."""

    low: float
    value: float
    high: float


def shares(rows: Sequence[MeasuredDelay]) -> dict[str, Share]:
    """Unit -> its share, from routed rows. Rows whose path is not all there are left out."""
    found: dict[str, list[float]] = {}
    for row in rows:
        if row.mapping == MAPPING and row.logic_ns > 0 and not row.left_out_ns:
            found.setdefault(row.op, []).append(row.delay_ns / row.logic_ns)
    return {op: Share(min(all_), sum(all_) / len(all_), max(all_)) for op, all_ in found.items()}


def sta_job(point: DelayPoint, flow: Flow) -> StaJob:
    """The timing analysis of one point between registers, which no block of a multiplier takes in."""
    source = registered_source(point.unit, clear="behind" if point.op in MULTIPLYING else "none")
    in_block = point.op == "block_read"
    found = find_flow(f"{flow.name}-blocks") if in_block else flow
    return StaJob(point.unit.name, TOP, source, found, tuple(point.unit.all_files.items()))


def derive_delays(
    sweeps: Sequence[DelayPlan],
    timer: Timer,
    flow: Flow,
    routed: Sequence[MeasuredDelay],
    *,
    workers: int | None = None,
    done: Callable[[StaJob], None] = lambda _job: None,
) -> Delays:
    """Delays of all points of units that have a share. Raises ToolError where a unit has too few points."""
    known = shares(routed)
    sweeps = [sweep for sweep in sweeps if sweep.op in known]
    jobs = {point.unit.name: sta_job(point, flow) for sweep in sweeps for point in sweep.points}
    answers = timer.run_all(jobs, workers=workers, done=done)
    rows, failures = [], []
    for sweep in sweeps:
        for point in sweep.points:
            answer = answers[point.unit.name]
            if isinstance(answer, ToolError):
                failures.append((point.unit.name, str(answer)))
            else:
                rows.append(_row(point, answer, known[sweep.op]))
    return Delays(tuple(rows), tuple(derived_units(sweeps, rows, routed)), tuple(failures))


def derived_units(
    sweeps: Sequence[DelayPlan], rows: Sequence[MeasuredDelay], routed: Sequence[MeasuredDelay]
) -> list[UnitDelays]:
    """The laws of such rows, with the ends that the shares have. Raises ToolError where a unit has too few."""
    known = shares(routed)
    return [_widened(unit, known[unit.op]) for unit in fit_delays(sweeps, rows)]


def _row(point: DelayPoint, answer: PreRoute, share: Share) -> MeasuredDelay:
    return MeasuredDelay(
        op=point.op,
        module=point.unit.name,
        size=point.size,
        role=point.role,
        mapping=MAPPING,
        seed=0,  # nothing was placed
        fmax_mhz=round(1000 / (answer.ns * share.value), 2),
        logic_ns=answer.ns,
        left_out_ns=0.0,
        luts=answer.luts,
        logic_cells=0,
        limit="unit",
    )


def _widened(unit: UnitDelays, share: Share) -> UnitDelays:
    laws = tuple(
        replace(law, least=law.least * share.low / share.value, most=law.most * share.high / share.value)
        for law in unit.laws
    )
    note = f"cells times {share.value:.2f} ({share.low:.2f} to {share.high:.2f})"
    return replace(unit, laws=laws, confidence="derived", note=note)
