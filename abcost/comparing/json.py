"""Comparisons as JSON: one object per pair."""

from __future__ import annotations

import json
from collections.abc import Sequence

from abcost.comparing.delta import Comparison
from abcost.comparing.format import COMPARISON_FORMATS
from abcost.report.format import View


@COMPARISON_FORMATS.add("json")
def render_json(found: Sequence[Comparison], _view: View) -> str:
    """A list; unknown is null."""
    return json.dumps([one.to_dict() for one in found], indent=2, allow_nan=False) + "\n"
