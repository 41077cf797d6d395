"""Text of the `[timing]` part of a cost table, and of the file of routed points beside it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from abcost.calibrate.delay_fit import FittedDelay
from abcost.calibrate.delay_point import MeasuredDelay
from abcost.calibrate.delays import UnitDelays
from abcost.calibrate.laws import Curve
from abcost.core.unit_size import SIZES

MARK = "# Timing: written by `"
"""How the part begins: everything from this line on is replaced by a new measurement of delays."""

DELAY_HEAD = f"unit,module,{next(iter(SIZES))},"
"""How every file of routed points begins."""


@dataclass(frozen=True, slots=True)
class TimingSource:
    """Where the delays of a table come from. method: what a delay is; title: what made it."""

    part: str
    command: str
    versions: tuple[str, ...]
    points_file: str
    method: str
    title: str


def timing_text(units: Sequence[UnitDelays], source: TimingSource) -> str:
    """The whole part, its source included; the same bytes for the same rows."""
    head = f"""{MARK}{source.command}`; do not edit, measure again.
[timing]
part = {_text(source.part)}
source = "route"
note = {_text(source.method)}
"""
    where = f"{source.command}; raw points {source.points_file}"
    foot = f"""[source.route]
title = {_text(f"abcost calibrate: {source.title}, {', '.join(source.versions)}")}
where = {_text(where)}
"""
    laws = [_law(unit, law) for unit in units for law in unit.laws]
    return "\n".join([head, *laws, foot])


def with_timing(table: str, timing: str) -> str:
    """The text of a table with this timing part instead of the one that it has, or with one more."""
    return without_timing(table).rstrip("\n") + "\n\n" + timing


def without_timing(table: str) -> str:
    """The text of a table up to its timing part."""
    at = table.find(f"\n{MARK}")
    return table if at < 0 else table[: at + 1]


def timing_of(table: str) -> str:
    """The timing part of a table's text, "" if it has none."""
    return table[len(without_timing(table)) :]


def delays_csv(rows: Sequence[MeasuredDelay], versions: Sequence[str]) -> str:
    """One row per placement: unit, module, sizes, role, mapping, seed, what was routed, and by what."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    counts = ("fmax_mhz", "delay_ns", "logic_ns", "left_out_ns", "luts", "logic_cells", "limit", "tools")
    writer.writerow(["unit", "module", *SIZES, "role", "mapping", "seed", *counts])
    tools = "; ".join(versions)
    for row in rows:
        sizes = [row.size.get(name, "") for name in SIZES]
        times = [f"{row.delay_ns:.3f}", f"{row.logic_ns:.3f}", f"{row.left_out_ns:g}"]
        numbers = [f"{row.fmax_mhz:.2f}", *times, f"{row.luts:g}", row.logic_cells, row.limit]
        writer.writerow([row.op, row.module, *sizes, row.role, row.mapping, row.seed, *numbers, tools])
    return out.getvalue()


def read_delays_csv(text: str) -> list[MeasuredDelay]:
    """The rows of such a file."""
    return [_row(line) for line in csv.DictReader(io.StringIO(text))]


def tools_of(text: str) -> tuple[str, ...]:
    """The tools that such a file names."""
    return tuple(next(csv.DictReader(io.StringIO(text)))["tools"].split("; "))


def _row(line: Mapping[str, str]) -> MeasuredDelay:
    return MeasuredDelay(
        op=line["unit"],
        module=line["module"],
        size={name: int(line[name]) for name in SIZES if line[name]},
        role="held out" if line["role"] == "held out" else "fit",
        mapping=line["mapping"],
        seed=int(line["seed"]),
        fmax_mhz=float(line["fmax_mhz"]),
        logic_ns=float(line["logic_ns"]),
        left_out_ns=float(line["left_out_ns"]),
        luts=float(line["luts"]),
        logic_cells=int(line["logic_cells"]),
        limit=line["limit"],
    )


def _law(unit: UnitDelays, law: FittedDelay) -> str:
    note = f"{unit.note}; " if unit.note else ""
    note += f"fitted {unit.fitted}; held out {unit.held_out}"
    lines = ["[[timing.delay]]", f"op = {_text(unit.op)}", f"mapping = {_text(unit.mapping)}"]
    for key, side in (("ns", law.value), ("low", law.side(law.least)), ("high", law.side(law.most))):
        lines.append(f"{key} = {_side(side, law.over)}")
    lines += [f"valid_{name} = [{low}, {high}]" for name, (low, high) in law.valid.items()]
    return "\n".join([*lines, f"confidence = {_text(unit.confidence)}", f"note = {_text(note)}"]) + "\n"


def _side(side: str | Curve, over: str) -> str:
    if isinstance(side, str):
        try:
            return f"{float(side):g}"
        except ValueError:
            return _text(side)
    points = ", ".join(f"[{x}, {y:g}]" for x, y in side)
    return f'{{ points = [{points}], interpolation = "linear", over = "{over}" }}'


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)
