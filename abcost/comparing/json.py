"""Comparisons as JSON: one object per pair."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from abcost.comparing.delta import Comparison, Delta
from abcost.comparing.format import COMPARISON_FORMATS
from abcost.report.format import View

SCHEMA = 1


@COMPARISON_FORMATS.add("json")
def render_json(found: Sequence[Comparison], _view: View) -> str:
    """A list; unknown is null."""
    return json.dumps([_plain(one) for one in found], indent=2, allow_nan=False) + "\n"


def _plain(found: Comparison) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "before": found.before.name,
        "after": found.after.name,
        "settings": {name: {"before": b, "after": a} for name, (b, a) in found.settings.items()},
        "stages": {name: _deltas(of) for name, of in found.stages.items()},
        "layers": {name: _deltas(of) for name, of in found.layers.items()},
        "only_before": list(found.only_before),
        "only_after": list(found.only_after),
    }


def _deltas(of: Mapping[str, Delta]) -> dict[str, dict[str, float | None]]:
    return {
        name: {"before": d.before, "after": d.after, "change": d.absolute, "relative": d.relative}
        for name, d in of.items()
    }
