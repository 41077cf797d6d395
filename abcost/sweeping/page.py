"""A sweep as a page: the chart, and the table of all rows."""

from __future__ import annotations

from abcost.html.page import Section, render_page
from abcost.html.table import Table, TableCell
from abcost.report.format import View
from abcost.sweeping.chart import pareto
from abcost.sweeping.columns import columns, fixed
from abcost.sweeping.format import SWEEP_FORMATS
from abcost.sweeping.result import Sweep


@SWEEP_FORMATS.add("html")
def render(found: Sweep, _view: View) -> str:
    """One self-contained file. Raises MissingExtra without the extra `html`."""
    shown = columns(found.rows, found.front)
    common = fixed(found.rows)
    words = next(i for i, column in enumerate(shown) if not column.words)
    table = Table(
        "rows",
        f"All combinations{f': {common}' if common else ''}",
        tuple(column.title for column in shown),
        tuple(
            tuple(TableCell(text, value) for text, value in cells)
            for cells in zip(*(column.cells for column in shown), strict=True)
        ),
        text_columns=words,
    )
    models = ", ".join(dict.fromkeys(row.model for row in found.rows))
    sections = [
        Section("front", "What no other beats", (pareto(found.rows, found.front, found.axes),)),
        Section("table", "Table", (table,)),
    ]
    return render_page(f"Sweep of {models}", found.summary().splitlines(), sections)
