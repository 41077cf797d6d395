"""Comparisons for the terminal: settings that differ, totals, and the layers that change most."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from abcost.comparing.delta import Comparison, Delta
from abcost.comparing.format import COMPARISON_FORMATS
from abcost.report.drawing import draw, grid
from abcost.report.format import View

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

LAYERS = 20  # rows of the layer table: the largest changes
NAMES = 8  # layers of one side only that are named
ALWAYS = ("cost.", "organisation.")
"""Totals that are shown although they are the same."""


@COMPARISON_FORMATS.add("rich")
def render_rich(found: Sequence[Comparison], view: View) -> str:
    """Tables of each pair."""
    return "".join(draw(item, view) for one in found for item in _items(one))


def _items(found: Comparison) -> Iterator[RenderableType]:
    yield f"{found.before.name} -> {found.after.name}\n"
    if found.settings:
        settings = grid("Settings that differ", "setting", "before", "after", text_columns=3)
        for name, (before, after) in found.settings.items():
            settings.add_row(name, before or "none", after or "none")
        yield settings
    totals = grid(f"Totals of stage {found.stage}", "quantity", "before", "after", "change", "")
    for name, delta in found.shown.items():
        if delta.changed or (name.startswith(ALWAYS) and delta.known):
            totals.add_row(name, *cells(delta))
    yield totals
    changed = found.changes
    if changed:
        yield _layers(changed)
    for text, names in (("before", found.only_before), ("after", found.only_after)):
        if names:
            rest = f" and {len(names) - NAMES} more" if len(names) > NAMES else ""
            yield f"Layers only {text}: {', '.join(names[:NAMES])}{rest}\n"


def _layers(changed: Sequence[tuple[str, str, Delta]]) -> Table:
    table = grid("Layers", "layer", "quantity", "before", "after", "change", "", text_columns=2)
    for layer, name, delta in changed[:LAYERS]:
        table.add_row(layer, name, *cells(delta))
    if len(changed) > LAYERS:
        table.caption = f"the {LAYERS} largest of {len(changed)} changes; all of them: --format csv"
    return table


def cells(delta: Delta) -> tuple[str, str, str, str]:
    """Texts of the value before, the value after, the change and the relative change."""
    relative = delta.relative
    return (
        _number(delta.before),
        _number(delta.after),
        "unknown" if delta.absolute is None else f"{delta.absolute:+{_form(delta.absolute)}}",
        "" if relative is None else f"{100 * relative:+.1f} %",
    )


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:{_form(value)}}"


def _form(value: float) -> str:
    """Whole numbers where they are large, six digits otherwise; no exponent for what is counted."""
    return ",.0f" if abs(value) >= 1e5 else ",.6g"
