"""Tab-separated values: a row per target, stage and class of operations."""

from collections.abc import Sequence

from abcost.report.format import FORMATS, View
from abcost.report.report import Report


@FORMATS.add("tsv")
def render(reports: Sequence[Report], _view: View) -> str:
    """model, target, stage, operations, count; all stages whatever the view."""
    rows = [("model", "target", "stage", "operations", "count")]
    for report in reports:
        for stage in report.to_dict()["stages"]:
            rows += [
                (report.model, report.table.target, stage["name"], name, str(count))
                for name, count in stage["ops"].items()
            ]
    return "".join("\t".join(row) + "\n" for row in rows)
