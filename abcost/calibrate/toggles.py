"""Transitions of measured units, kept as points: counted once per synthesis, so that tables are made without any.

    unit,module,synthesis,settled,routed,hops,registers,blocks

`synthesis` is a hash of tool, script and Verilog: a row counts for the netlist that these make and for no other.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import astuple, fields
from os import cpu_count
from pathlib import Path

from abcost.calibrate.measure import job_of
from abcost.calibrate.plan import UnitPlan
from abcost.calibrate.point import Point
from abcost.core.reading import read_text
from abcost.errors import ToolError
from abcost.rtl.forms import Boxes
from abcost.rtl.placed import placed
from abcost.synth.fabric import fabric_of
from abcost.synth.flows import Flow
from abcost.synth.runner import Failure, Job, Synthesizer
from abcost.synth.toggles import Toggles, toggles_of

_COUNTS = tuple(field.name for field in fields(Toggles))
COLUMNS = ("unit", "module", "synthesis", *_COUNTS)
HEAD = ",".join(COLUMNS)
"""How every file of transitions begins."""

MOST_BYTES = 10_000_000

Key = tuple[str, str]
"""Module, synthesis."""

Counted = Mapping[Key, Toggles]
"""Key -> transitions."""


def counted_points(full: Sequence[UnitPlan], quick: Sequence[UnitPlan]) -> dict[str, tuple[Point, ...]]:
    """Unit -> points whose transitions are counted: those of the quick plan, and the least and greatest sizes.

    What the quick plan holds out is held out. Of units whose law has boxes the quick plan has every box.
    """
    wanted = {point.unit.name: point for sweep in quick for point in sweep.points}
    found = {}
    for sweep in full:
        sizes = list(sweep.points[0].size)
        names = [] if isinstance(sweep.form, Boxes) else [n for n in sizes if n != "width"] or sizes
        ends = {name: _ends([point.size[name] for point in sweep.points]) for name in names}
        found[sweep.op] = tuple(
            wanted.get(point.unit.name, point)
            for point in sweep.points
            if point.unit.name in wanted or any(point.size[name] in ends[name] for name in names)
        )
    return found


def _ends(sizes: Sequence[int]) -> tuple[int, int]:
    return min(sizes), max(sizes)


def synthesis_of(point: Point, flow: Flow, synthesizer: Synthesizer) -> str:
    """Which synthesis a count of this point belongs to: a hash of the tool, the script and the Verilog."""
    job = job_of(point, flow)
    parts = (str(synthesizer.yosys), flow.script(job.top), job.verilog)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def count(
    points: Sequence[Point],
    flow: Flow,
    synthesizer: Synthesizer,
    known: Counted,
    *,
    workers: int | None = None,
    done: Callable[[Job], None] = lambda _job: None,
) -> tuple[dict[Key, Toggles], list[Failure]]:
    """Transitions of all points, and what failed; what is known is not counted again.

    An interrupt keeps the syntheses that are finished, and is raised again.
    """
    found: dict[Key, Toggles] = {}
    failures: list[Failure] = []
    missing: dict[Key, Point] = {}
    for point in points:
        key = (point.unit.name, synthesis_of(point, flow, synthesizer))
        if key in known:
            found[key] = known[key]
            done(job_of(point, flow))
        else:
            missing[key] = point
    with ThreadPoolExecutor(workers or cpu_count() or 1) as pool:
        running = {pool.submit(_count_one, p, flow, synthesizer): key for key, p in missing.items()}
        try:
            for future in as_completed(running):
                key = running[future]
                job = job_of(missing[key], flow)
                try:
                    found[key] = future.result()
                except ToolError as error:
                    failures.append(Failure(job, str(error)))
                done(job)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return found, failures


def _count_one(point: Point, flow: Flow, synthesizer: Synthesizer) -> Toggles:
    unit = placed(point.unit)
    answer = synthesizer.run(job_of(point, flow, keep_netlist=True))
    if answer.netlist is None:
        raise ToolError(f"{unit.name}: no netlist was kept, so no transition can be counted")
    return toggles_of(unit, fabric_of(answer.netlist, unit.name))


def toggles_csv(rows: Iterable[tuple[str, Key]], counted: Counted) -> str:
    """One row per unit and key that was counted, in this order."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for op, key in rows:
        if key in counted:
            writer.writerow([op, *key, *(f"{number:.6g}" for number in astuple(counted[key]))])
    return out.getvalue()


def read_toggles(file: Path) -> Counted:
    """What a file of transitions holds; nothing where there is none. Raises ToolError for one that is damaged."""
    if not file.exists():
        return {}
    rows = list(csv.DictReader(io.StringIO(read_text(file, str(file), ToolError, most=MOST_BYTES))))
    found = {}
    for number, row in enumerate(rows, start=2):
        try:
            values = [float(row[name]) for name in _COUNTS]
            toggles = Toggles(values[0], values[1], values[2], int(values[3]), int(values[4]))
            found[row["module"], row["synthesis"]] = toggles
        except (KeyError, TypeError, ValueError):
            raise ToolError(
                f"{file}:{number}: no row of transitions; remove the file and count again with --energy"
            ) from None
    return found
