"""Reports of `abcost analyze`, read back and flattened into named quantities.

Whole ones as `--format json` writes them, of one target or several, and the shorter ones of
`abcost reproduce --reports`, which have no layers.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from abcost.core.reading import read_json
from abcost.errors import UsageError
from abcost.registry import unknown_name

SCHEMA = 1
MOST_BYTES = 200_000_000  # of a saved report; ReActNet-A's has some hundred thousand
Quantities = Mapping[str, float | None]
"""Dotted name -> number, None where it is unknown."""

_ENGINE = ("pe", "simd", "cycles", "luts", "ffs", "dsps", "blocks")  # of a layer of an accelerator


@dataclass(frozen=True, slots=True)
class ComparedSide:
    """One side of a comparison. stages, layers: name -> quantities, layers of the last stage."""

    name: str
    stages: Mapping[str, Quantities]
    layers: Mapping[str, Quantities]
    settings: Mapping[str, str]

    @property
    def last(self) -> Quantities:
        """Quantities of the last stage."""
        return self.stages[list(self.stages)[-1]]


def read_report(path: Path, target: str | None = None) -> dict[str, Any]:
    """A saved report; `target` says which, where a file holds several.

    Raises UsageError for a file that is missing, too large, or no report of this schema, UnknownName for a target that
    it does not have.
    """
    content = read_json(path, str(path), UsageError, most=MOST_BYTES)
    if (
        isinstance(content, dict)
        and content.get("schema") == SCHEMA
        and isinstance(content.get("reports"), list)
    ):
        content = _of_target(content["reports"], target, path)
    if not isinstance(content, dict) or content.get("schema") != SCHEMA or "stages" not in content:
        raise UsageError(f"{path} is not a report of abcost analyze --format json, schema {SCHEMA}")
    if target is not None and content.get("target") != target:
        raise UsageError(f"{path} is a report on {str(content.get('target'))[:40]!r}, not on target={target}")
    return content


def _of_target(reports: Sequence[Any], target: str | None, path: Path) -> Any:
    """The one report on `target`, or the only one. Raises UsageError with the targets that there are."""
    found = {str(report.get("target")): report for report in reports if isinstance(report, dict)}
    if target is None and len(reports) == 1:
        return reports[0]
    if target is None:
        raise UsageError(
            f"{path} holds reports on {', '.join(found)[:200]}: say which, as {path},target={next(iter(found), 'NAME')}"
        )
    if target not in found:
        raise unknown_name(f"target in {path}", target, found)
    return found[target]


def side_of(report: Mapping[str, Any], name: str) -> ComparedSide:
    """Flatten a report. Raises UsageError where it is not of the form that `abcost analyze` writes."""
    try:
        macs = _macs(report)
        stages = {str(stage["name"]): {**_stage(stage), **macs} for stage in report["stages"]}
        last = list(stages)[-1]
        layers = {
            str(row["name"]) or "(model)": _flat({"ops": row["ops"], "cost": row["cost"]})
            for row in report.get("layers", ())
            if row["stage"] == last
        }
        for layer, engine in _engines(report["stages"][-1]):
            layers[layer] = {**layers.get(layer, {}), **engine}
        settings = {
            **{
                key: report[key]
                for key in ("model", "variant", "target", "width_bits", "input_shape", "parameters")
            },
            **({"table": report["table"]["digest"]} if "table" in report else {}),
            **report.get("settings", {}),
        }
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise UsageError(
            f"{name} is no whole report of abcost analyze --format json ({type(error).__name__}: {error})"
        ) from error
    return ComparedSide(name, stages, layers, {key: _text(value) for key, value in settings.items()})


def _stage(stage: Mapping[str, Any]) -> Quantities:
    accelerator = stage.get("organisation") or {}
    return _flat(
        {
            "ops": stage["ops"],
            "multiplications": stage["multiplications"],
            "cost": stage["cost"],
            **({"cost_known": stage["cost_known"]} if "cost_known" in stage else {}),
            **_sparse("unpriced", stage.get("unpriced")),
            **({"organisation": _accelerator(accelerator)} if accelerator else {}),
        }
    )


def _accelerator(accelerator: Mapping[str, Any]) -> dict[str, Any]:
    """Quantities of the whole accelerator; `fits` is 1 or 0. What an older report does not say is unknown."""
    fits = accelerator.get("fits")
    return {
        **{key: accelerator.get(key) for key in ("fps", "latency_ms", "interval_cycles")},
        "energy_uj": (accelerator.get("energy_uj") or {}).get("value"),
        "fmax_mhz": (accelerator.get("fmax_mhz") or {}).get("value"),
        "fits": None if fits is None else int(fits),
        "resources": accelerator["resources"],
    }


def _engines(stage: Mapping[str, Any]) -> Iterator[tuple[str, Quantities]]:
    """Layer, and how its engine is folded and what it takes."""
    for row in (stage.get("organisation") or {}).get("layers", ()):
        named = {key: row[key] for key in _ENGINE if key in row}
        yield str(row["name"]) or "(model)", _flat({"organisation": named})


def _macs(report: Mapping[str, Any]) -> Quantities:
    """Multiply-accumulates: all, and by the bits of both operands."""
    macs = report.get("macs") or {}
    return _flat(
        {"macs": {"total": macs["total"]} if "total" in macs else {}, **_sparse("macs", macs.get("by_bits"))}
    )


def _sparse(name: str, counts: Mapping[str, Any] | None) -> dict[str, Any]:
    """Counts of which those of 0 are left out: `all` says that they were counted (see `abcost.comparing.delta`)."""
    return {} if counts is None else {name: {**counts, "all": sum(counts.values())}}


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
