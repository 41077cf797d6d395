"""The JSON report, schema 1."""

from __future__ import annotations

import json
from collections.abc import Sequence

from abcost.report.format import FORMATS, View
from abcost.report.report import Report


@FORMATS.add("json")
def render(reports: Sequence[Report], _view: View) -> str:
    """One object; with several targets {"schema", "reports": [one object per target]}."""
    data = [report.to_dict() for report in reports]
    whole = data[0] if len(data) == 1 else {"schema": 1, "reports": data}
    return json.dumps(whole, indent=2, allow_nan=False) + "\n"
