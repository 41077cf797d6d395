"""Writes a cost table of measured laws: TOML, the same bytes for the same points."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from abcost.calibrate.derived import per_bit
from abcost.calibrate.energy import (
    FIELD,
    Entry,
    confidence_of,
    memory_text,
    note_of,
    sources_of,
    sources_text,
)
from abcost.calibrate.fabric import Figures
from abcost.calibrate.laws import Curve, Fitted
from abcost.calibrate.targets import WIRING, Target


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where the figures of a table come from: tool with version, command, file of raw points, Liberty file.

    And what was read of the Liberty file itself.
    """

    tool: str
    flow_title: str
    command: str
    points_file: str
    library: str = ""
    clock_pj: float | None = None  # of a flip-flop that is clocked and keeps its state, in one cycle


@dataclass(frozen=True, slots=True)
class Switching:
    """What a table says of the energy of an FPGA. notes: unit -> what its laws were held against."""

    entries: Sequence[Entry]
    figures: Figures
    title: str  # of the source of the transitions
    where: str
    notes: Mapping[str, str]


def table_text(
    target: Target,
    entries: Sequence[tuple[str, Fitted]],
    provenance: Provenance,
    notes: Mapping[str, str],
    switching: Switching | None = None,
) -> str:
    """The whole table. `notes`: unit -> what its laws were held against; switching: energy of an FPGA."""
    blocks = [
        _head(target, provenance),
        *([memory_text(switching.figures)] if switching else []),
        *([_clock(provenance.clock_pj)] if provenance.clock_pj is not None else []),
        *(_entry(op, fitted, notes.get(op, "measured")) for op, fitted in entries),
        *(_energy_entries(switching) if switching else ()),
    ]
    if target.energy:
        blocks += [_entry(d.op, d.fitted, d.note, "derived") for d in per_bit(entries)]
    measured = {op for op, _ in entries}
    blocks += [_composed(op, parts) for op, parts in target.composed.items() if measured.issuperset(parts)]
    fields = [*entries[0][1].laws, *([FIELD] if switching else [])]
    blocks += [_wiring(fields), _source(target, provenance)]
    if switching:
        blocks.append(sources_text(switching.figures, switching.entries, switching.title, switching.where))
    return "\n".join(blocks)


def head_line(command: str) -> str:
    """The first line of a table, which says what wrote it."""
    return f"# Written by `{command}`; do not edit, measure again."


def _head(target: Target, provenance: Provenance) -> str:
    mapping = f"mapping = {_text(target.mapping)}\n" if target.mapping else ""
    return f"""{head_line(provenance.command)}
schema = 1
target = {_text(target.name)}
title = {_text(target.title)}
technology = {_text(target.technology)}
node = {_text(target.node)}
default_width = {target.default_width}
{mapping}note = {_text(target.note)}
"""


def _clock(energy_pj: float) -> str:
    return f"""[clock]
energy_pj = {energy_pj:.4g}
source = "sweep"
confidence = "measured"
note = "both edges at the clock pin of the library's cheapest flip-flop; no tree, no wires"
"""


def _energy_entries(switching: Switching) -> list[str]:
    """Entries of their own, for their laws have ranges, sources and a confidence of their own."""
    figures = switching.figures
    return [
        _entry(
            entry.op,
            entry.fitted,
            note_of(entry, figures, switching.notes.get(entry.op, "")),
            "derived",
            sources=sources_of(entry, figures),
            confidence=confidence_of(entry, figures),
        )
        for entry in switching.entries
    ]


def _entry(
    op: str,
    fitted: Fitted,
    note: str,
    method: str = "measured",
    *,
    sources: Sequence[str] = ("sweep",),
    confidence: str | None = None,
) -> str:
    """One entry; how sure it is follows from its method where nothing else is said."""
    lines = ["[[entry]]", f"op = {_text(op)}"]
    for side, prefix in (("value", ""), ("low", "low."), ("high", "high.")):
        for name, law in fitted.laws.items():
            form = getattr(law, side)
            if form is not None:
                lines.append(f"{prefix}{name} = {_law(form, fitted.over)}")
    lines += [f"valid_{name} = [{low}, {high}]" for name, (low, high) in fitted.valid.items()]
    source = _text(sources[0]) if len(sources) == 1 else json.dumps(list(sources))
    lines += [f"source = {source}", f"method = {_text(method)}"]
    lines.append(f"confidence = {_text(confidence or method)}")
    lines.append(f"note = {_text(note)}")
    return "\n".join(lines) + "\n"


def _composed(op: str, parts: Sequence[str]) -> str:
    return f"""[[entry]]
op = {_text(op)}
compose = {json.dumps(list(parts))}
note = "the sum of its parts; a product of several DSPs that is cut to its fraction may take fewer LUTs"
"""


def _law(form: str | Curve, over: str) -> str:
    if isinstance(form, str):
        try:
            return f"{float(form):g}"
        except ValueError:
            return _text(form)
    points = ", ".join(f"[{x}, {y:g}]" for x, y in form)
    return f'{{ points = [{points}], interpolation = "linear", over = "{over}" }}'


def _wiring(names: Sequence[str]) -> str:
    fields = "\n".join(f"{name} = 0" for name in names)
    return f"""[[entry]]
op = "shift_constant"
{fields}
source = "sweep"
method = "derived"
confidence = "derived"
note = "{WIRING}"
"""


def _source(target: Target, provenance: Provenance) -> str:
    library = f"; library {provenance.library}" if provenance.library else ""
    title = f"abcost calibrate {target.name}: {provenance.flow_title}, {provenance.tool}"
    where = f"{provenance.command}; raw points {provenance.points_file}{library}"
    return f"""[source.sweep]
title = {_text(title)}
where = {_text(where)}
"""


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)
