"""A sweep for the terminal: one table, and what it comes to."""

from __future__ import annotations

import textwrap

from abcost.report.drawing import draw, grid
from abcost.report.format import View
from abcost.sweeping.columns import columns, fixed, reasons
from abcost.sweeping.format import SWEEP_FORMATS
from abcost.sweeping.front import shared
from abcost.sweeping.result import Sweep

_SPARE = (
    "parameters (KiB)", "Fmax (MHz)", "URAM", "flip-flops", "multiplications", "MACs", "cycles", "latency (ms)", "DSPs",
    "blocks", "area (um2)", "device share", "energy (uJ)", "LUTs",
)  # fmt: skip
"""What is left out on a narrow terminal, the first first; files have all of it."""


@SWEEP_FORMATS.add("console")
def render(found: Sweep, view: View) -> str:
    """Rows in the order of what was asked; keys in which all rows agree stand in the title, reasons below."""
    why, common = reasons(found.rows), fixed(found.rows)
    numbers = {reason: f"({number})" for number, reason in enumerate(why, start=1)}
    shown = [column for column in columns(found.rows, found.front) if column.title not in ("front", "why")]
    best = found.front
    titles = [column.title for column in shown]
    table = grid(
        f"{len(found.rows)} combinations{f': {common}' if common else ''}", *titles,
        text_columns=next(i for i, column in enumerate(shown) if not column.words),
        spare=[[titles.index(name)] for name in _SPARE if name in titles],
    )  # fmt: skip
    for i, row in enumerate(found.rows):
        texts = {column.title: column.cells[i][0] for column in shown}
        mark = numbers.get(row.why) or ("*" if row in best else "")
        texts["answer"] = f"{row.answer} {mark}".strip()
        table.add_row(*texts.values())
    alike = " and ".join(shared(found.axes))
    table.caption = f"* no other row{f' of its {alike}' if alike else ''} beats it" if best else ""
    below = [f"{numbers[reason]} {reason}" for reason in why]
    lines = [_wrapped(line, view.width) for line in (*below, *found.conclusion)]
    return draw(table, view) + "\n".join([*lines, ""])


def _wrapped(line: str, width: int) -> str:
    """The line wrapped between words, its further lines indented; a word that is too long stays whole."""
    begin = line[: len(line) - len(line.lstrip())]
    return textwrap.fill(
        line, width, subsequent_indent=f"{begin}    ", break_long_words=False, break_on_hyphens=False
    )
