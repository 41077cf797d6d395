"""Reports of `abcost analyze --format json`, read back and flattened into named quantities."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from abcost.core.reading import read_json
from abcost.errors import UsageError

SCHEMA = 1
MOST_BYTES = 200_000_000  # of a saved report; ReActNet-A's has some hundred thousand
Quantities = Mapping[str, float | None]
"""Dotted name -> number, None where it is unknown."""


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a comparison. stages, layers: name -> quantities, layers of the last stage."""

    name: str
    stages: Mapping[str, Quantities]
    layers: Mapping[str, Quantities]
    settings: Mapping[str, str]

    @property
    def last(self) -> Quantities:
        """Of the last stage."""
        return self.stages[list(self.stages)[-1]]


def read_report(path: Path) -> dict[str, Any]:
    """A saved report. Raises UsageError for a file that is missing, too large, or no report of this schema."""
    content = read_json(path, str(path), UsageError, most=MOST_BYTES)
    if isinstance(content, list) and len(content) == 1:
        content = content[0]
    if isinstance(content, list):
        raise UsageError(f"{path} holds {len(content)} reports (several targets): save one target each")
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        raise UsageError(f"{path} is not a report of abcost analyze --format json, schema {SCHEMA}")
    return content


def side_of(report: Mapping[str, Any], name: str) -> Side:
    """Flatten a report. Raises UsageError where it is not of the form that `abcost analyze` writes."""
    try:
        stages = {str(stage["name"]): _stage(stage) for stage in report["stages"]}
        last = list(stages)[-1]
        layers = {
            str(row["name"]) or "(model)": _flat({"ops": row["ops"], "cost": row["cost"]})
            for row in report["layers"]
            if row["stage"] == last
        }
        settings = {
            **{
                key: report[key]
                for key in ("model", "variant", "target", "width_bits", "input_shape", "parameters")
            },
            "table": report["table"]["digest"],
            **report["settings"],
        }
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise UsageError(
            f"{name} is no whole report of abcost analyze --format json ({type(error).__name__}: {error})"
        ) from error
    return Side(name, stages, layers, {key: _text(value) for key, value in settings.items()})


def _stage(stage: Mapping[str, Any]) -> Quantities:
    organised = stage.get("organisation") or {}
    kept = {key: organised.get(key) for key in ("fps", "latency_ms", "interval_cycles") if organised}
    return _flat(
        {
            "ops": stage["ops"],
            "multiplications": stage["multiplications"],
            "cost": stage["cost"],
            **({"organisation": {**kept, "resources": organised["resources"]}} if organised else {}),
        }
    )


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    for key, value in tree.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            found |= _flat(value, f"{name}.")
        elif value is None:
            found[name] = None
        elif (
            isinstance(value, int | float)
            and not isinstance(value, bool)
            and abs(value) <= sys.float_info.max
        ):
            found[name] = float(value)
        else:
            raise TypeError(f"{name!r} is {str(value)[:40]!r}, not a number")
    return found


def _text(value: Any) -> str:
    return json.dumps(value) if isinstance(value, dict | list) else str(value)
