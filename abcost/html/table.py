"""A table of a page: sorts by its columns, filters by what is typed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TableCell:
    """Text, and what the column sorts by: a number, None where it is unknown or where the text itself does.

    command: a shell command that a button beside the text copies.
    """

    text: str
    value: float | None = None
    command: str | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """text_columns: how many columns are text, from the left; the others are numbers.

    identifier: letters and hyphens, one of its own on a page. note: what stands below the table.
    """

    identifier: str
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[TableCell, ...], ...]
    text_columns: int = 1
    note: str = ""

    kind = "table"


def text(value: object) -> TableCell:
    """A cell that sorts by its text."""
    return TableCell(str(value))


def number(value: float | None, shown: str | None = None) -> TableCell:
    """A cell that sorts by its number; "unknown" for None.

    >>> number(1234.5).text, number(None).text, number(0.5, "50 %").text
    ('1,234.5', 'unknown', '50 %')
    """
    if value is None:
        return TableCell("unknown" if shown is None else shown)
    return TableCell(f"{value:,.12g}" if shown is None else shown, float(value))


def rows(content: Sequence[Sequence[TableCell]]) -> tuple[tuple[TableCell, ...], ...]:
    """Rows as a table wants them."""
    return tuple(tuple(row) for row in content)
