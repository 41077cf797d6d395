"""The CSV report: one row per layer, stage and kind of operation, and one per stage for memory traffic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from abcost.report.format import FORMATS, View
from abcost.report.report import Report

if TYPE_CHECKING:
    import pandas as pd

_KEYS = ["model", "variant", "target", "layer", "block", "stage", "kind", "class"]
_SUMS = ["energy_pj", "luts", "ffs", "dsps", "area_um2"]


@FORMATS.add("csv")
def render(reports: Sequence[Report], _view: View) -> str:
    """Header first; layers in execution order; an unknown cost is an empty field.

    width_bits and origin list the distinct values of the row's operations, joined by ";". Where the target has a
    memory table, a row of kind `memory` per stage makes the energies of its rows sum to its total.
    """
    import pandas as pd  # noqa: PLC0415 - slow to import, and formats are registered together

    text: str = pd.concat([_table(report) for report in reports]).to_csv(index=False, lineterminator="\n")
    return text


def _table(report: Report) -> pd.DataFrame:
    import pandas as pd  # noqa: PLC0415 - as above

    from abcost.report.frame import frame, memory_frame, sum_if_known  # noqa: PLC0415 - as above

    rows = pd.concat([part for part in (frame(report), memory_frame(report)) if len(part)] or [frame(report)])
    rows = rows.assign(model=report.model, variant=report.variant or "", target=report.table.target)
    grouped = rows.groupby(_KEYS, sort=False)
    table = grouped.agg(
        count=("count", "sum"),
        width_bits=("width_bits", _distinct),
        origin=("origin", _distinct),
        **{name: (name, sum_if_known) for name in _SUMS},
    )
    return table.reset_index()


def _distinct(values: pd.Series) -> str:
    return ";".join(str(value) for value in sorted(set(values)) if value != "")
