"""The `[[entry]]` sections of a cost table -> figures, each checked over its valid range."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from abcost.core.unit_size import SIZES
from abcost.cost import document as doc
from abcost.cost.entry import CONFIDENCES, METHODS, PRICED, Figure, units
from abcost.cost.formula import Formula
from abcost.cost.law import Points, Range, read_law, sample
from abcost.errors import CostError

_VALID = tuple(f"valid_{name}" for name in SIZES)
_EXPLICIT = ("op", *PRICED, "low", "high", *_VALID, "source", "method", "confidence", "note")
_COMPOSED = ("op", "compose", "times", "fields", *_VALID, "note")


def read_figures(table: Mapping[str, Any], *, sampled: bool = True) -> tuple[Figure, ...]:
    """All figures of the `[[entry]]` sections, composed ones included. Raises CostError.

    sampled: try every law over its range, for a law that is negative or leaves its bounds.
    """
    figures: list[Figure] = []
    composed: list[tuple[int, Mapping[str, Any]]] = []
    known = units()
    for number, entry in enumerate(doc.tables(table, "entry"), start=1):
        with doc.located(f"entry {number}"):
            op = doc.choice(entry, "op", known)
        with doc.located(f"entry {number} ({op})"):
            if "compose" in entry:
                doc.check_keys(entry, _COMPOSED)
                composed.append((number, entry))
            else:
                figures += _explicit(number, entry, sampled=sampled)
    if not figures:
        raise CostError("no [[entry]] gives a figure; a table prices at least one unit")
    figures += _composed(composed, figures)
    _check_unique(figures)
    return tuple(figures)


def _explicit(number: int, entry: Mapping[str, Any], *, sampled: bool) -> list[Figure]:
    """The figures of one entry: its fields share ranges, sources, method and confidence."""
    doc.check_keys(entry, _EXPLICIT)
    fields = [name for name in PRICED if name in entry]
    if not fields:
        raise CostError(f"prices nothing; give one of {', '.join(PRICED)}")
    if "source" not in entry:
        raise CostError('source is missing; every number cites one, as source = "NAME" with [source.NAME]')
    bounds = {side: doc.section(entry, side) for side in ("low", "high")}
    for side, given in bounds.items():
        with doc.located(side):
            doc.check_keys(given, fields)
    method = doc.choice(entry, "method", METHODS)
    note = doc.text(entry, "note", default="")
    if method == "derived" and not note:
        raise CostError('method = "derived" needs a note that says how the number is derived')
    figures = []
    for name in fields:
        with doc.located(name):
            law = read_law(entry[name])
            low, high = (read_law(given[name]) if name in given else None for given in bounds.values())
            figure = Figure(
                op=entry["op"],
                field=name,
                law=law,
                low=low,
                high=high,
                valid=_valid(entry, law, low, high),
                sources=doc.texts(entry, "source"),
                method=method,
                confidence=doc.choice(entry, "confidence", CONFIDENCES),
                note=note,
                parts=(),
                entry=number,
            )
            if not law.variables and law.at({}) == 0 and not note:
                raise CostError("0 is a claim and needs a note that says why it costs nothing")
            if sampled:
                _check_values(figure)
            figures.append(figure)
    return figures


def _valid(entry: Mapping[str, Any], *laws: Formula | Points | None) -> dict[str, Range]:
    """The ranges that are given, and those of the points. Raises CostError where a law has none."""
    valid = {n: Range.read(entry[f"valid_{n}"], n) for n in SIZES if f"valid_{n}" in entry}
    for law in laws:
        if isinstance(law, Points):
            asked = valid.setdefault(law.over, law.range)
            if asked.low not in law.range or asked.high not in law.range:
                raise CostError(f"valid_{law.over} {asked} goes beyond the points {law.range}; narrow it")
        for name in sorted(law.variables) if law else ():
            if name not in valid:
                raise CostError(f"the law depends on {name}; say where it holds: valid_{name} = [low, high]")
    return valid


def _check_values(figure: Figure) -> None:
    """Raise CostError if the law is negative or leaves its bounds anywhere on a sample of its range."""
    laws = [law for law in (figure.low, figure.law, figure.high) if law is not None]
    points = [law for law in laws if isinstance(law, Points)]
    matters = set[str]().union(*(law.variables for law in laws))
    for values in sample({name: figure.valid[name] for name in figure.valid if name in matters}):
        if not all(law.answers(values) for law in points):
            continue
        results = [law.at(values) for law in laws]
        if min(results) < 0:
            raise CostError(f"the law is negative at {_shown(values)}; narrow its valid range or correct it")
        if any(a > b * (1 + 1e-9) for a, b in itertools.pairwise(results)):
            told = " > ".join(map(str, results))
            raise CostError(f"needs low <= value <= high, got {told} at {_shown(values)}")


def _shown(values: Mapping[str, int]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in values.items()) or "all sizes"


def _composed(entries: list[tuple[int, Mapping[str, Any]]], explicit: list[Figure]) -> list[Figure]:
    """Figures of the entries that are sums of other units: one per field that all parts have."""
    parts_of: list[tuple[str, tuple[str, ...]]] = []
    known = units()
    for number, entry in entries:
        with doc.located(f"entry {number} ({entry['op']})"):
            parts = doc.texts(entry, "compose")
            for part in parts:
                doc.choice({"compose": part}, "compose", known)
            parts_of.append((entry["op"], parts))

    def fields_of(op: str, trail: tuple[str, ...]) -> set[str]:
        if op in trail:
            raise CostError(f"compose goes in a circle: {' -> '.join((*trail, op))}; break it")
        fields = {figure.field for figure in explicit if figure.op == op}
        for other, parts in parts_of:
            if other == op:
                fields |= set.intersection(*(fields_of(part, (*trail, op)) for part in parts))
        return fields

    figures = []
    for (number, entry), (op, parts) in zip(entries, parts_of, strict=True):
        with doc.located(f"entry {number} ({op})"):
            shared = set.intersection(*(fields_of(part, (op,)) for part in parts))
            wanted = doc.texts(entry, "fields") if "fields" in entry else [f for f in PRICED if f in shared]
            missing = ", ".join(name for name in wanted if name not in shared)
            if missing or not wanted:
                raise CostError(
                    f"not all of {', '.join(parts)} price {missing or 'a common field'}; add entries"
                )
            times = read_law(entry.get("times", 1))
            figure = Figure(
                op=op,
                field="",
                law=times,
                low=None,
                high=None,
                valid=_valid(entry, times),
                sources=(),
                method="derived",
                confidence="derived",
                note=doc.text(entry, "note", default=f"sum of {', '.join(parts)}"),
                parts=parts,
                entry=number,
            )
            _check_values(figure)
            figures += [replace(figure, field=name) for name in wanted]
    return figures


def _check_unique(figures: list[Figure]) -> None:
    """Raise CostError if two figures could answer the same question."""
    seen: dict[tuple[str, str], list[Figure]] = {}
    for figure in figures:
        for other in seen.setdefault((figure.op, figure.field), []):
            both = set(figure.valid) & set(other.valid)
            if all(figure.valid[name].overlaps(other.valid[name]) for name in both):
                first, second = sorted((figure.entry, other.entry))
                raise CostError(
                    f"entry {second} ({figure.op}): {figure.field} is given already in entry {first}; "
                    "remove one or give them separate valid ranges"
                )
        seen[figure.op, figure.field].append(figure)
