"""The chart of a sweep: one quantity against another, with the designs that no other beats."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from abcost.html.chart import COLOURS, Chart
from abcost.sweeping.columns import describe
from abcost.sweeping.front import FrontQuantity, group_of, shared
from abcost.sweeping.row import SweepRow

_SYMBOLS = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "x")
_LOG_FROM = 10.0  # times that the largest value is of the least


def pareto(
    rows: Sequence[SweepRow], front: Sequence[SweepRow], axes: tuple[FrontQuantity, FrontQuantity]
) -> Chart:
    """A point per row that knows both quantities: a colour per network, a symbol per device or target.

    Open points are designs that are not what was asked for; the steps join the front of rows that are judged
    by each other.
    """
    x, y = axes
    shown = [row for row in rows if x.of(row) is not None and y.of(row) is not None]
    left, alike = len(rows) - len(shown), " and ".join(shared(axes))
    return Chart(
        "pareto",
        f"{y.title} against {x.title}; "
        f"lines join the designs that no other{f' of the same {alike}' if alike else ''} beats in both"
        + ("; open: not what was asked for" if any(not row.stands for row in shown) else "")
        + (f"; {left} combinations have no place here, see the table" if left else ""),
        f"Scatter of {len(shown)} designs, {len(front)} of them on the front; the table has the numbers.",
        [*_lines(front, axes, shown), *_marks(axes, shown)],
        {
            "xaxis": _axis(x, shown), "yaxis": _axis(y, shown), "hovermode": "closest", "showlegend": True,
        },
        height=460,
    )  # fmt: skip


def _lines(
    front: Sequence[SweepRow], axes: tuple[FrontQuantity, FrontQuantity], shown: Sequence[SweepRow]
) -> list[dict[str, Any]]:
    """One for each group of rows that are judged by each other, of more than one design; coloured as its network."""
    groups: dict[tuple[str, ...], list[SweepRow]] = {}
    for row in front:
        groups.setdefault(group_of(row, axes), []).append(row)
    colours = _colours(shown) if "model" in shared(axes) else {}
    return [
        _line(of, axes, colours.get(of[0].model, "#888888"), f"front {' '.join(group)}".strip())
        for group, of in groups.items()
        if len(of) > 1
    ]


def _marks(axes: tuple[FrontQuantity, FrontQuantity], shown: Sequence[SweepRow]) -> list[dict[str, Any]]:
    """A set of points for each network, place, and whether they are what was asked for."""
    sorts: dict[tuple[str, str, bool], list[SweepRow]] = {}
    for row in shown:
        sorts.setdefault((row.model, _place(row), row.stands), []).append(row)
    places, colours = list(dict.fromkeys(place for _, place, _ in sorts)), _colours(shown)
    return [
        _points(
            of, axes, f"{model}, {place}{'' if stands else ', not as asked'}", colours[model],
            _SYMBOLS[places.index(place) % len(_SYMBOLS)] + ("" if stands else "-open"),
        )
        for (model, place, stands), of in sorts.items()
    ]  # fmt: skip


def _colours(shown: Sequence[SweepRow]) -> dict[str, str]:
    names = dict.fromkeys(row.model for row in shown)
    return {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(names)}


def _place(row: SweepRow) -> str:
    """The part that the design would be on, or the target where there is none."""
    return row.device or row.target


def _axis(quantity: FrontQuantity, shown: Sequence[SweepRow]) -> dict[str, Any]:
    values = [float(value) for row in shown if (value := quantity.of(row)) is not None]
    log = bool(values) and min(values) > 0 and max(values) >= _LOG_FROM * min(values)
    return {"title": {"text": quantity.axis}, **({"type": "log"} if log else {})}


def _points(
    rows: Sequence[SweepRow], axes: tuple[FrontQuantity, FrontQuantity], name: str, colour: str, symbol: str
) -> dict[str, Any]:
    x, y = axes
    return {
        "type": "scatter", "mode": "markers", "name": name,
        "x": [x.of(row) for row in rows], "y": [y.of(row) for row in rows],
        "text": [describe(row) for row in rows],
        "marker": {"color": colour, "symbol": symbol, "size": 10, "line": {"width": 2}},
        "hovertemplate": "%{text}<br>%{x:,.6g}, %{y:,.6g}<extra></extra>",
    }  # fmt: skip


def _line(
    front: Sequence[SweepRow], axes: tuple[FrontQuantity, FrontQuantity], colour: str, name: str
) -> dict[str, Any]:
    """What can be had at every x: a design serves until the next one that is better there."""
    x, y = axes
    rows = sorted(front, key=lambda row: x.of(row) or 0.0)
    return {
        "type": "scatter", "mode": "lines", "name": name, "showlegend": False,
        "x": [x.of(row) for row in rows], "y": [y.of(row) for row in rows],
        "line": {"shape": "vh" if x.more else "hv", "dash": "dot", "color": colour}, "hoverinfo": "skip",
    }  # fmt: skip
