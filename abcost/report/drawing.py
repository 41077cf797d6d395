"""Tables and text for the terminal, in one style; loads no torch."""

from __future__ import annotations

import io

from rich import box
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from abcost.report.format import View


def draw(item: RenderableType, view: View) -> str:
    """The item as text of the view's width; no escape codes without colour."""
    out = io.StringIO()
    console = Console(
        file=out,
        width=view.width,
        force_terminal=view.colour,
        no_color=not view.colour,
        highlight=False,
        markup=False,
        emoji=False,
        color_system="standard" if view.colour else None,
    )
    console.print(item)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def grid(title: str, *columns: str, text_columns: int = 1) -> Table:
    """A table whose first columns are text and the rest numbers."""
    table = Table(title=Text(title, style="bold"), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index < text_columns else "right", overflow="fold")
    return table
