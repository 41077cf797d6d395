"""Comparisons as CSV: a row per quantity of a stage or of a layer, changed or not."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from abcost.comparing.delta import Comparison
from abcost.comparing.format import COMPARISON_FORMATS
from abcost.report.format import View

COLUMNS = (
    "before", "after", "stage", "layer", "quantity", "value_before", "value_after", "change", "relative",
)  # fmt: skip


@COMPARISON_FORMATS.add("csv")
def render_csv(found: Sequence[Comparison], _view: View) -> str:
    """Totals of a stage have no layer; unknown is empty."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for one in found:
        rows = [(stage, "", name, d) for stage, of in one.stages.items() for name, d in of.items()]
        rows += [(one.stage, layer, name, d) for layer, of in one.layers.items() for name, d in of.items()]
        for stage, layer, name, d in rows:
            values = ["" if v is None else v for v in (d.before, d.after, d.absolute, d.relative)]
            writer.writerow([one.before.name, one.after.name, stage, layer, name, *values])
    return out.getvalue()
