"""The files of `reports/`: the reproduction, and whole-network analyses to notice regressions by."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from abcost.cost import CostTable
from abcost.cost.organisation import Lanes
from abcost.models.subject import Request, resolve
from abcost.pipeline import analyze_subject
from abcost.report.report import Report
from abcost.reproduce.markdown import render_markdown
from abcost.reproduce.reproduction import Reproduction
from abcost.rewrite import RewriteOptions

MODELS = ("reactnet_a", "reactnet_18")
TARGETS = ("fpga-lut6", "asic-45nm")
DIGITS = 6  # significant digits of costs: the last bits of a sum may differ between machines

_HEAD = (
    "schema", "model", "variant", "input_shape", "parameters", "target", "table", "width_bits", "settings",
)  # fmt: skip
_TAIL = ("published_convention", "macs", "unpriced")
_STAGE = ("name", "ops", "multiplications", "cost", "cost_low", "cost_high", "exact")


def reference_files(reproduction: Reproduction) -> dict[str, str]:
    """File name -> text of everything that `reports/` holds."""
    return {
        "reproduce.md": render_markdown(reproduction),
        "reproduce.json": _json(reproduction.to_dict()),
        **dict(_analyses()),
    }


def _analyses() -> Iterator[tuple[str, str]]:
    tables = [CostTable.load(target) for target in TARGETS]
    for model in MODELS:
        reports = analyze_subject(
            resolve(Request(model)), tables, width=None, organisation=Lanes(), rewriting=RewriteOptions()
        )
        for report in reports:
            yield f"analyze_{model}_{report.table.target}.json", _text(report)


def _text(report: Report) -> str:
    """The JSON report without lists of layers, rewrites and units, and without what fresh weights may change."""
    whole = report.to_dict()
    stages = [{key: stage[key] for key in _STAGE} for stage in whole["stages"]]
    kept = {key: whole[key] for key in _HEAD} | {"stages": stages} | {key: whole[key] for key in _TAIL}
    return _json(kept)


def _json(kept: dict[str, Any]) -> str:
    return json.dumps(_rounded(kept), indent=2, allow_nan=False) + "\n"


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value
