"""The chart of a sweep: one quantity against another, with the designs that no other beats."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from abcost.html.chart import COLOURS, Chart
from abcost.sweeping.columns import describe
from abcost.sweeping.front import Quantity, among_all, caveat
from abcost.sweeping.row import Row

_SYMBOLS = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "x")
_LOG_FROM = 10.0  # times that the largest value is of the least


def pareto(rows: Sequence[Row], front: Sequence[Row], axes: tuple[Quantity, Quantity]) -> Chart:
    """A point per row that knows both quantities: a colour per network, a symbol per device or target.

    Open points are designs that are not what was asked for; the steps join the front, or that of each network.
    """
    x, y = axes
    shown = [row for row in rows if x.of(row) is not None and y.of(row) is not None]
    names = list(dict.fromkeys(row.model for row in shown))
    places = list(dict.fromkeys(_place(row) for row in shown))
    by_size = among_all(axes)
    lines = {"": (front, "#888888")} if by_size else {
        name: ([row for row in front if row.model == name], COLOURS[i % len(COLOURS)]) for i, name in enumerate(names)
    }  # fmt: skip
    data = [
        _line(of, axes, colour, f"front {name}".strip())
        for name, (of, colour) in lines.items()
        if len(of) > 1
    ]
    for row_sort in dict.fromkeys((row.model, _place(row), row.stands) for row in shown):
        model, place, stands = row_sort
        of = [row for row in shown if (row.model, _place(row), row.stands) == row_sort]
        colour, symbol = names.index(model), places.index(place)
        data.append(
            _points(
                of, axes, f"{model}, {place}{'' if stands else ', not as asked'}", COLOURS[colour % len(COLOURS)],
                _SYMBOLS[symbol % len(_SYMBOLS)] + ("" if stands else "-open"),
            )
        )  # fmt: skip
    left, note = len(rows) - len(shown), caveat(rows, axes)
    return Chart(
        "pareto",
        f"{y.title} against {x.title}; "
        f"{'the line joins' if by_size else 'a line of each network joins'} the designs that no other beats in both"
        + ("; open: not what was asked for" if any(not row.stands for row in shown) else "")
        + (f"; {left} combinations have no place here, see the table" if left else "")
        + (f". {note}" if note else ""),
        f"Scatter of {len(shown)} designs, {len(front)} of them on the front; the table has the numbers.",
        data,
        {
            "xaxis": _axis(x, shown), "yaxis": _axis(y, shown), "hovermode": "closest", "showlegend": True,
        },
        height=460,
    )  # fmt: skip


def _place(row: Row) -> str:
    """Where it would be: the part, or the target where there is none."""
    return row.device or row.target


def _axis(quantity: Quantity, shown: Sequence[Row]) -> dict[str, Any]:
    values = [float(value) for row in shown if (value := quantity.of(row)) is not None]
    log = bool(values) and min(values) > 0 and max(values) >= _LOG_FROM * min(values)
    return {"title": {"text": quantity.axis}, **({"type": "log"} if log else {})}


def _points(
    rows: Sequence[Row], axes: tuple[Quantity, Quantity], name: str, colour: str, symbol: str
) -> dict[str, Any]:
    x, y = axes
    return {
        "type": "scatter", "mode": "markers", "name": name,
        "x": [x.of(row) for row in rows], "y": [y.of(row) for row in rows],
        "text": [describe(row) for row in rows],
        "marker": {"color": colour, "symbol": symbol, "size": 10, "line": {"width": 2}},
        "hovertemplate": "%{text}<br>%{x:,.6g}, %{y:,.6g}<extra></extra>",
    }  # fmt: skip


def _line(front: Sequence[Row], axes: tuple[Quantity, Quantity], colour: str, name: str) -> dict[str, Any]:
    """What can be had at every x: a design serves until the next one that is better there."""
    x, y = axes
    rows = sorted(front, key=lambda row: x.of(row) or 0.0)
    return {
        "type": "scatter", "mode": "lines", "name": name, "showlegend": False,
        "x": [x.of(row) for row in rows], "y": [y.of(row) for row in rows],
        "line": {"shape": "vh" if x.more else "hv", "dash": "dot", "color": colour}, "hoverinfo": "skip",
    }  # fmt: skip
