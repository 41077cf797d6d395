"""The tables as Markdown: what `reports/reproduce.md` holds."""

from __future__ import annotations

from collections.abc import Sequence

from abcost.reproduce.reproduction import Reproduction
from abcost.reproduce.tables import PrintedGrid, grids

INTRODUCTION = """\
# The A&B BNN paper's tables next to ours

Made by `abcost reproduce --format md`. Published figures: Ma et al., A&B BNN, CVPR 2024, arXiv:2403.03739.
`exact`: rounded as printed, our figure is the published one. `own convention`: so it is under the convention
stated below the table, which differs from row to row. `differs`: the figure does not come out.
"""


def render_markdown(reproduction: Reproduction) -> str:
    """The whole document."""
    return "\n".join([INTRODUCTION, *(_section(grid) for grid in grids(reproduction))])


def _section(grid: PrintedGrid) -> str:
    rules = [":--" if index < grid.text_columns else "--:" for index in range(len(grid.columns))]
    table = [_line(cells) for cells in (grid.columns, rules, *grid.rows)]
    notes = ["", *(f"- {note}" for note in grid.notes)] if grid.notes else []
    return "\n".join([f"## {grid.title}", "", *table, *notes, ""])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
