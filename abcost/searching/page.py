"""The result of a search as a page: the front with a command for every point, sensitivities, and all candidates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from abcost.html.chart import COLOURS, Chart
from abcost.html.page import Note, Section, render_page
from abcost.html.table import Table, TableCell, number, rows, text
from abcost.searching.budget import QUANTITIES
from abcost.searching.files import commands, trial_rows
from abcost.searching.points import TrainedDesign, exponents_of, made_as, rivals
from abcost.searching.run import SearchOutcome
from abcost.training.files import write_text

PAGE = "front.html"
_SYMBOLS = ("square", "triangle-up", "diamond", "triangle-down")


def write_page(outcome: SearchOutcome, folder: Path) -> None:
    """front.html. Raises MissingExtra or OutputError."""
    problem, result = outcome.problem, outcome.result
    found = {
        point.name: commands(point, problem, folder)
        for point in (*result.front, *result.dominated)
        if point.design is not None
    }
    charts = [
        _front(outcome, name, {k: c["analyze"] for k, c in found.items()}) for name in problem.objectives
    ]
    sections = [
        Section("front", "Front", (*charts, _points(outcome, found), *_chosen(outcome, found))),
        Section("sensitivity", "Sensitivity", (_sensitivity(outcome),)),
        Section("candidates", "Candidates", (_trials(outcome),)),
    ]
    settings = problem.settings
    budget = f" within {problem.budget}" if str(problem.budget) else ""
    facts = [
        f"Points on the front: {len(result.front)}. Candidates judged: {outcome.progress.done}; over budget and never "
        f"trained: {outcome.progress.over}.",
        "The validation split chooses, the test split reports; errors are standard errors over seeds.",
    ]
    title = f"{settings.model} on {problem.config.data}, {settings.target}{budget}"
    write_text(folder / PAGE, render_page(title, facts, sections))


def _front(outcome: SearchOutcome, name: str, found: Mapping[str, str]) -> Chart:
    result, quantity = outcome.result, QUANTITIES[name]
    trace = partial(_trace, name=name)
    data = [
        trace(result.dominated, label="dominated", colour="#9a9a9a", symbol="circle", opacity=0.5),
    ]
    data += [
        trace([point], label=point.name, colour=COLOURS[1], symbol=symbol)
        for point, symbol in zip(result.baselines, _SYMBOLS, strict=False)
    ]
    data.append(trace(result.front, label="front", colour=COLOURS[0], symbol="circle"))
    if result.chosen is not None:
        chosen = trace([result.chosen], label="chosen", colour=COLOURS[3], symbol="circle-open")
        chosen["marker"] |= {"size": 18, "line": {"width": 3}}
        data.append(chosen)
    limit = outcome.problem.budget.costs.get(name)
    line = {
        "type": "line", "yref": "paper", "x0": limit, "x1": limit, "y0": 0, "y1": 1,
        "line": {"dash": "dash", "color": COLOURS[1]},
    }  # fmt: skip
    return Chart(
        f"front-{name.replace('_', '-')}",
        f"Test accuracy against {quantity.about}; choose a point to see the command that finds its cost again"
        + ("" if limit is None else f"; the dashed line is the budget, {limit:,.6g}"),
        f"Scatter of {len(result.front)} points of the front, {len(result.dominated)} dominated ones and the "
        "baselines; the table below has the numbers and the commands.",
        [trace for trace in data if trace["x"]],
        {
            "xaxis": {"title": {"text": f"{name}, {quantity.unit}"}},
            "yaxis": {"title": {"text": "test top-1, %"}},
            "shapes": [] if limit is None else [line],
            "hovermode": "closest",
        },
        height=460,
        commands=found,
    )


def _trace(
    points: Sequence[TrainedDesign], *, name: str, label: str, colour: str, symbol: str, opacity: float = 1.0
) -> dict[str, Any]:
    shown = [p for p in points if p.cost.get(name) is not None]
    errors = [100 * (p.test_top1_se or 0.0) for p in shown]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": label,
        "x": [p.cost[name] for p in shown],
        "y": [100 * p.test_top1 for p in shown],
        "error_y": {"type": "data", "array": errors},
        "text": [f"{p.name}<br>loss {p.loss:.4f}" for p in shown],
        "customdata": [p.name for p in shown],
        "opacity": opacity,
        "marker": {"color": colour, "symbol": symbol, "size": 10},
        "hovertemplate": "%{text}<br>%{x:,.6g}, %{y:.2f} %<extra></extra>",
    }


def _points(outcome: SearchOutcome, found: Mapping[str, Mapping[str, str]]) -> Table:
    result, names = outcome.result, outcome.problem.objectives
    wide = any(made_as(point) for point in (*result.front, *result.dominated))
    content = []
    kinds = (("front", result.front), ("dominated", result.dominated), ("baseline", result.baselines))
    for kind, points in kinds:
        for point in points:
            chosen = point is result.chosen
            command = found[point.name]["analyze"] if point.name in found else None
            content.append(
                (
                    TableCell(point.name + (" (chosen)" if chosen else ""), command=command),
                    text(kind),
                    *((text(made_as(point)),) if wide else ()),
                    *(number(point.cost.get(name), _shown(point.cost.get(name))) for name in names),
                    number(point.loss, f"{point.loss:.4f}{_error(point.loss_se, 1, 4)}"),
                    number(point.test_top1, f"{point.test_top1:.2%}{_error(point.test_top1_se, 100, 2)}"),
                )
            )
    units = [f"{name}, {QUANTITIES[name].unit}" for name in names]
    names_of = ("design", "kind", *(["made as"] if wide else []))
    columns = (*names_of, *units, "validation loss", "test top-1")
    return Table("points", "Designs", columns, rows(content), text_columns=len(names_of))


def _chosen(outcome: SearchOutcome, found: Mapping[str, Mapping[str, str]]) -> list[Note]:
    chosen = outcome.result.chosen
    if chosen is None or chosen.name not in found:
        return []
    said = (
        *(f"Exponents {line}" for line in exponents_of(chosen)),
        *rivals(outcome.result, outcome.problem.objectives, outcome.problem.judge),
    )
    return [
        *([Note(said)] if said else []),
        Note((f"Cost of the chosen design, {chosen.name}, again:",), found[chosen.name]["analyze"]),
        Note(("Its accuracy again:",), found[chosen.name]["evaluate"]),
    ]


def _sensitivity(outcome: SearchOutcome) -> Table:
    return Table(
        "sensitivities",
        "Loss added, without retraining, when one group alone has one exponent",
        ("group", "channels", "exponent", "loss added"),
        rows(
            [
                (text(s.group), number(s.channels), number(s.exponent), number(s.loss_added, f"{s.loss_added:+.4f}"))
                for s in outcome.sensitivity
            ]
        ),
    )  # fmt: skip


def _trials(outcome: SearchOutcome) -> Table:
    """Every trial, as in trials.csv, in the columns that have something."""
    found = trial_rows(outcome)
    columns = [
        name for name in (found[0] if found else {}) if any(row[name] not in (None, "") for row in found)
    ]
    content = [[_plain(row[name]) for name in columns] for row in found]
    return Table(
        "trials", "All trials, as in trials.csv", tuple(columns), rows(content), text_columns=len(columns)
    )


def _plain(value: Any) -> TableCell:
    """An empty cell where there is nothing."""
    if isinstance(value, int | float):
        return number(value, _shown(value))
    return text("" if value is None else value)


def _shown(value: float | None) -> str:
    return "unknown" if value is None else f"{value:,.6g}"


def _error(error: float | None, factor: float, digits: int) -> str:
    return "" if error is None else f" ± {factor * error:.{digits}f}"
