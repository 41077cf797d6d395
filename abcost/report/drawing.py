"""Tables and text for the terminal, in one style; loads no torch."""

from __future__ import annotations

import copy
import io
from collections.abc import Sequence
from dataclasses import replace

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.table import Column, Table
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


class DrawnTable(Table):
    """A table that breaks no name and no number: text wraps at spaces, then spare columns are left out, and it says so.

    spare: columns that may be left out, in groups, the first group first, each called by its first column. What is too
    wide without all of them has words of its text folded, and then all else.
    """

    spare: Sequence[Sequence[int]] = ()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw as rich's own table does, with the columns that fit."""
        yield from Table.__rich_console__(self._fitting(options.max_width), console, options)

    def _fitting(self, width: int) -> Table:
        kept, said = list(self.columns), []
        for group in self.spare:
            if _fits(kept, width, _LONGEST_WORD):
                break
            kept = [column for column in kept if column not in [self.columns[i] for i in group]]
            said.append(str(self.columns[group[0]].header))
        table = copy.copy(self)
        table.columns = [replace(column, _index=i) for i, column in enumerate(kept)]
        longest = next((most for most in (_LONGEST_WORD, _FOLDED_WORD) if _fits(kept, width, most)), None)
        if longest is not None:
            _set_widths(table.columns, width, longest)
        lines = [str(self.caption)] if self.caption else []
        lines += [f"left out at {width} columns: {', '.join(said)}"] if said else []
        if lines:
            table.caption, table.caption_justify = "\n".join([*lines, ""]), "left"
        return table


_LONGEST_WORD = 1000  # columns of a word of a text that is not folded
_FOLDED_WORD = 8


def _fits(columns: Sequence[Column], width: int, longest: int) -> bool:
    return sum(_least(column, longest) for column in columns) + _between(columns) <= width


def _between(columns: Sequence[Column]) -> int:
    """What the borders and the space around cells take."""
    return 3 * len(columns) - 1


def _set_widths(columns: Sequence[Column], width: int, longest: int) -> None:
    """Narrow the widest columns of several words until all fit."""
    widths = [max(map(cell_len, _lines(column)), default=0) for column in columns]
    least = [_least(column, longest) for column in columns]
    for _ in range(sum(widths) + _between(columns) - width):
        widest = max((i for i in range(len(widths)) if widths[i] > least[i]), key=lambda i: widths[i])
        widths[widest] -= 1
    for column, of in zip(columns, widths, strict=True):
        column.width = of


def _least(column: Column, longest: int) -> int:
    """Least width of a column: its longest name or number; of text its longest word, folded at `longest` columns."""
    lines = _lines(column)
    words = [cell_len(word) for line in lines for word in line.split()]
    text = any(len(line.split()) > 1 for line in lines)
    return min(max(words, default=0), longest) if text else max(words, default=0)


def _lines(column: Column) -> list[str]:
    return [line for text in (column.header, *column.cells) for line in str(text).splitlines()]


def grid(title: str, *columns: str, text_columns: int = 1, spare: Sequence[Sequence[int]] = ()) -> DrawnTable:
    """A table whose first columns are text and the rest numbers; spare: see `DrawnTable`."""
    table = DrawnTable(
        title=Text(title, style="bold"), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False
    )
    table.spare = spare
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index < text_columns else "right", overflow="fold")
    return table
