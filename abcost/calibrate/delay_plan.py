"""Which units are placed and routed at which sizes, for their delays; the most asked for come first.

Like the plan of areas a view of what the units' files say: points to fit, points held out to test the fit, and the
form of the law. Every point is measured with each of SEEDS under both mappings.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from abcost.calibrate.delay_point import DelayPoint
from abcost.calibrate.point import role_of
from abcost.rtl.forms import DelayForm
from abcost.rtl.sweep import DelaySweep
from abcost.rtl.unit import in_order

SEEDS = (1, 2, 3)

_FIRST = (
    "register", "add", "compare", "accumulate", "mux", "xnor_popcount", "qprelu", "multiply", "scale_dot", "rom",
    "block_read", "signed_sum", "max", "counter", "masked_popcount", "plain_popcount", "shift_select", "qprelu_add",
    "prelu",
)  # fmt: skip

DELAYS: tuple[str, ...] = tuple(op for op, template in in_order(_FIRST) if template.delays is not None)
"""Units of which a sweep of delays is known at the start, the most asked for first."""


@dataclass(frozen=True, slots=True)
class DelayPlan:
    """All points of one unit, and the form of its law."""

    op: str
    points: tuple[DelayPoint, ...]
    form: DelayForm


def delay_plan(ops: Iterable[str], *, dsp: int, quick: bool, cells: bool = False) -> list[DelayPlan]:
    """The plans of those of these units that have one there, the most asked for first.

    dsp: bits that one DSP of the target multiplies; cells: on standard cells.
    """
    wanted = set(ops)
    plans = [
        _plan(op, template.delays(dsp, quick=quick), cells=cells)
        for op, template in in_order(_FIRST)
        if op in wanted and template.delays is not None
    ]
    return [found for found in plans if found.points]


def _plan(op: str, sweep: DelaySweep, *, cells: bool) -> DelayPlan:
    sweep = (sweep.cells or sweep) if cells else sweep
    points = tuple(DelayPoint(op, s.size, s.parameters, role_of(s)) for s in sweep.samples)
    return DelayPlan(op, points, sweep.form)
