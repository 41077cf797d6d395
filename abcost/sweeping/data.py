"""Sweeps for other programs: CSV and JSON."""

from __future__ import annotations

import json

from abcost.report.format import View
from abcost.sweeping.format import SWEEP_FORMATS
from abcost.sweeping.result import Sweep


@SWEEP_FORMATS.add("csv")
def render_csv(found: Sweep, _view: View) -> str:
    """A row per combination, header first; what is unknown is an empty field."""
    text: str = found.to_frame().to_csv(index=False, lineterminator="\n")
    return text


@SWEEP_FORMATS.add("json")
def render_json(found: Sweep, _view: View) -> str:
    """One object; what is unknown is null."""
    return json.dumps(found.to_dict(), indent=2, allow_nan=False) + "\n"
