"""Comparisons as a page: per pair settings, totals of every stage, and all layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from abcost.comparing.console import cells
from abcost.comparing.delta import Comparison, Delta
from abcost.comparing.format import COMPARISON_FORMATS
from abcost.html.chart import COLOURS, Chart
from abcost.html.page import Note, Section, render_page
from abcost.html.table import Table, TableCell, text
from abcost.report.format import View


@COMPARISON_FORMATS.add("html")
def render_html(found: Sequence[Comparison], _view: View) -> str:
    """One self-contained file. Raises MissingExtra without the extra `html`."""
    sections = [_section(i, one) for i, one in enumerate(found, start=1)]
    names = ", ".join(one.after.name for one in found)
    facts = ["Changes are of the second name against the first. What is unknown on a side has no change."]
    return render_page(f"{names} compared with {found[0].before.name}", facts, sections)


def _section(index: int, one: Comparison) -> Section:
    settings = Table(
        f"settings-{index}",
        "Settings that differ",
        ("setting", "before", "after"),
        tuple((text(k), text(b or "none"), text(a or "none")) for k, (b, a) in one.settings.items()),
        text_columns=3,
        note="" if one.settings else "None.",
    )
    totals = Table(
        f"totals-{index}",
        "Totals",
        ("stage", "quantity", "before", "after", "change", "relative"),
        tuple(
            (text(stage), text(name), *_cells(delta))
            for stage, of in one.stages.items()
            for name, delta in of.items()
            if delta.known
        ),
        text_columns=2,
    )
    layers = Table(
        f"layers-{index}",
        f"Layers that change at {one.stage}",
        ("layer", "quantity", "before", "after", "change", "relative"),
        tuple((text(layer), text(name), *_cells(delta)) for layer, name, delta in one.changes),
        text_columns=2,
        note="" if one.changes else "None.",
    )
    only = tuple(
        Note((f"Layers only {where}: {', '.join(names)}",))
        for where, names in (("before", one.only_before), ("after", one.only_after))
        if names
    )
    chart = changes(index, one.stage, one.shown)
    title = f"{one.before.name} → {one.after.name}"
    return Section(f"pair-{index}", title, (settings, *chart, totals, layers, *only))


def _cells(delta: Delta) -> tuple[TableCell, ...]:
    values = (delta.before, delta.after, delta.absolute, delta.relative)
    return tuple(TableCell(shown, value) for shown, value in zip(cells(delta), values, strict=True))


def changes(index: int, stage: str, last: Mapping[str, Delta]) -> tuple[Chart, ...]:
    """Relative changes of the totals; nothing where nothing changed."""
    moved = {name: 100 * d.relative for name, d in last.items() if d.changed and d.relative is not None}
    if not moved:
        return ()
    bar = {
        "type": "bar",
        "orientation": "h",
        "x": list(moved.values()),
        "y": list(moved),
        "marker": {"color": [COLOURS[1] if change > 0 else COLOURS[2] for change in moved.values()]},
        "hovertemplate": "%{y}: %{x:+.1f} %<extra></extra>",
    }
    chart = Chart(
        f"changes-{index}",
        f"Totals of {stage} that change, in percent; what was 0 before is not shown",
        f"Bars of the relative change of {len(moved)} totals; numbers are in the table of totals.",
        [bar],
        {"xaxis": {"title": {"text": "change, %"}}, "yaxis": {"autorange": "reversed"}},
        height=140 + 24 * len(moved),
    )
    return (chart,)
