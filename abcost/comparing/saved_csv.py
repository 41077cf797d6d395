"""Reports of `abcost analyze --format csv`, read back: counts and costs of stages, and of the layers of the last.

A CSV says nothing of stored bits, settings or accelerators, and of a layer's energy only what is no memory traffic:
these are unknown.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from abcost.comparing.saved import MOST_BYTES, ComparedSide, Quantities
from abcost.core.reading import check_columns, read_text
from abcost.errors import UsageError, one_line
from abcost.registry import unknown_name

_COSTS = ("energy_pj", "luts", "ffs", "dsps", "area_um2")
_NEEDED = ("model", "target", "layer", "stage", "kind", "class", "count", *_COSTS)
_CLASSES = ("multiply", "add", "bitop", "shift", "compare", "other")
_MEMORY = "memory"

_Row = Mapping[str, str]


def side_of_csv(path: Path, name: str, target: str | None = None) -> ComparedSide:
    """A saved CSV; `target` says which, where it has several.

    Raises UsageError for a file that is missing, too large or no such report, UnknownName for a target that it lacks.
    """
    every = _read(path)
    targets = list(dict.fromkeys(row["target"] for row in every))
    if target is not None and target not in targets:
        raise unknown_name(f"target in {path}", target, targets)
    if target is None and len(targets) > 1:
        raise UsageError(
            f"{path} holds reports on {', '.join(targets)[:200]}: say which, as {path},target={targets[0][:40]}"
        )
    rows = [row for row in every if row["target"] == (target or targets[0])]
    stages = list(dict.fromkeys(row["stage"] for row in rows))
    last = [row for row in rows if row["stage"] == stages[-1]]
    layers = dict.fromkeys(row["layer"] for row in last if row["kind"] != _MEMORY)
    try:
        return ComparedSide(
            name,
            {stage: _quantities(row for row in rows if row["stage"] == stage) for stage in stages},
            {layer or "(model)": _layer(last, layer) for layer in layers},
            {key: rows[0].get(key) or "" for key in ("model", "variant", "target")},
        )
    except ValueError as error:
        raise UsageError(
            f"{path} is no whole report of abcost analyze --format csv: {str(error)[:100]}"
        ) from error


def _read(path: Path) -> Sequence[_Row]:
    text = read_text(path, str(path), UsageError, most=MOST_BYTES)
    try:
        table = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        rows = list(table)
    except (ValueError, csv.Error) as error:
        raise UsageError(f"{path} is not CSV: {one_line(error, 200)}") from error
    check_columns(table.fieldnames or (), str(path), UsageError)
    if not rows or any(row.get(column) is None for row in rows for column in _NEEDED):
        raise UsageError(
            f"{path} is not a report of abcost analyze --format csv: it has columns {', '.join(_NEEDED)}"
        )
    return rows


def _layer(rows: Sequence[_Row], layer: str) -> Quantities:
    """Quantities of a layer's operations alone; energy is unknown where memory traffic is part of the total."""
    found = dict(_quantities(row for row in rows if row["layer"] == layer and row["kind"] != _MEMORY))
    if any(row["kind"] == _MEMORY for row in rows):
        found["cost.energy_pj"] = None
    return found


def _quantities(rows: Iterable[_Row]) -> Quantities:
    """Operations by class, and costs, of which one unknown part makes the sum unknown."""
    found = list(rows)
    ops = {f"ops.{c}": sum(_number(row["count"]) for row in found if row["class"] == c) for c in _CLASSES}
    costs = {}
    for name in _COSTS:
        values = [row[name] for row in found]
        costs[f"cost.{name}"] = None if "" in values else sum(map(_number, values))
    return {**ops, **costs}


def _number(text: str) -> float:
    """Raises ValueError for what is no finite number."""
    value = float(text)
    if not abs(value) < float("inf"):
        raise ValueError(f"{text[:40]!r} is no finite number")
    return value
