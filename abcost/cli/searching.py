"""Progress of a search on stderr, and its summary."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Self

import rich.console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from abcost.cli.output import note, view, write

if TYPE_CHECKING:
    from abcost.searching import progress as state
    from abcost.searching.points import TrainedDesign
    from abcost.searching.run import RunLocation, SearchOutcome

_LINE_EVERY_S = 20.0  # without a terminal


class SearchConsole:
    """Shows a search (a `SearchListener`): a bar on a terminal, else a line now and then."""

    def __init__(self) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[now]}"),
        )
        self._terminal = sys.stderr.isatty()
        self._progress = Progress(
            *columns,
            console=rich.console.Console(stderr=True),
            transient=True,
            disable=not self._terminal,
        )
        self._task = self._progress.add_task("search", total=None, visible=False, now="")
        self._said = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Take the bar away."""
        self._progress.stop()

    def note(self, text: str) -> None:
        """A line."""
        self._progress.console.print(text, highlight=False)

    def moved(self, progress: state.SearchProgress) -> None:
        """Move the bar, or say how far it is."""
        text = _text(progress)
        if self._terminal:
            self._progress.start()
            self._progress.update(
                self._task, description=progress.phase, completed=progress.done, total=progress.wanted,
                visible=True, now=text,
            )  # fmt: skip
        elif time.monotonic() - self._said > _LINE_EVERY_S:
            self._said = time.monotonic()
            note(f"{progress.phase}: {progress.done} of {progress.wanted}, {text}")


def show(outcome: SearchOutcome, place: RunLocation) -> None:
    """The summary on stdout."""
    from rich.console import Group

    from abcost.report.drawing import draw

    tables = draw(Group(_front(outcome), _sensitivity(outcome)), view("block", None))
    write(tables + _summary(outcome, place), None)  # commands are one line each, to be copied


def _text(progress: state.SearchProgress) -> str:
    parts = []
    if progress.phase == "explore":
        parts += [f"{progress.stopped} stopped early", f"{progress.over} over budget"]
        parts += [f"{progress.diverged} failed"] if progress.diverged else []
        if progress.best is not None:
            best = progress.best if progress.judge == "loss" else 1 - progress.best
            parts.append(f"best {progress.judge} {best:.4f}")
    left = progress.seconds_left
    parts.append("time left unknown" if left is None else f"{_duration(left)} left")
    return ", ".join(parts)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _front(outcome: SearchOutcome) -> Table:
    from abcost.report.drawing import grid
    from abcost.searching.budget import QUANTITIES

    problem, result = outcome.problem, outcome.result
    settings = problem.settings
    names = problem.objectives
    budget = f" within {settings.budget}" if settings.budget else ""
    title = f"{settings.model} on {problem.config.data}, {settings.target}{budget}"
    units = [f"{name}, {QUANTITIES[name].unit}" for name in names]
    table = grid(title, "design", *units, "validation loss", "test top-1", "exponents per layer")
    for point in result.front:
        mark = " <- chosen" if point is result.chosen else ""
        table.add_row(point.name + mark, *_row(point, names), _sizes(point))
    for point in result.baselines:
        table.add_row(point.name, *_row(point, names), "")
    seeds = max((len(p.reached) for p in (*result.front, *result.baselines)), default=1)
    table.caption = (
        f"Mean ± standard error over {seeds} seeds. Chosen: the cheapest whose {problem.judge} is within twice the "
        f"noise ({_or_unknown(result.noise)}) of the best, by the validation split."
        if seeds > 1
        else "One seed: differences within the noise of training are not told apart."
    )
    table.caption_justify = "left"
    return table


def _row(point: TrainedDesign, names: tuple[str, ...]) -> tuple[str, ...]:
    costs = ["unknown" if (cost := point.cost.get(name)) is None else f"{cost:,.6g}" for name in names]
    loss, top1 = f"{point.loss:.4f}", f"{point.test_top1:.2%}"
    if point.loss_se is not None and point.test_top1_se is not None:
        loss, top1 = f"{loss} ± {point.loss_se:.4f}", f"{top1} ± {100 * point.test_top1_se:.2f}"
    return (*costs, loss, top1)


def _sizes(point: TrainedDesign) -> str:
    from abcost.searching.points import made_as

    if point.design is None or point.design.slopes is None:
        return ""
    sizes = " ".join(str(len(exponents)) for exponents in point.design.slopes.values())
    others = made_as(point)
    return f"{sizes}; {others}" if others else sizes


def _or_unknown(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.4f}"


def _sensitivity(outcome: SearchOutcome) -> Table:
    from abcost.report.drawing import grid

    table = grid(
        "Loss added, without retraining, when one group alone has one exponent",
        "group", "channels", "exponent", "loss added",
    )  # fmt: skip
    for row in outcome.sensitivity:
        table.add_row(row.group, f"{row.channels:,}", str(row.exponent), f"{row.loss_added:+.4f}")
    return table


def _summary(outcome: SearchOutcome, place: RunLocation) -> str:
    from abcost.searching.files import commands
    from abcost.searching.points import exponents_of, rivals

    result, progress = outcome.result, outcome.progress
    lines = [
        f"{progress.done} candidates judged ({progress.stopped} stopped early, {progress.diverged} diverged), "
        f"{progress.over} over budget and never trained.",
        f"Results: {place.folder}/front.csv, trials.csv, front.json, slopes/, best.pt, front.svg, front.html",
    ]
    if result.chosen is not None:
        lines += [f"Exponents {line}" for line in exponents_of(result.chosen)]
        lines += rivals(result, outcome.problem.objectives, outcome.problem.judge)
        found = commands(result.chosen, outcome.problem, place.folder)
        lines += [f"Its cost again:     {found['analyze']}", f"Its accuracy again: {found['evaluate']}"]
    if result.over:
        lines.append(
            f"{len(result.over)} finalists are over budget with their trained parameters and left out (front.json)."
        )
    lines.append(f"Search on: the same command with more --trials than {outcome.problem.settings.trials}")
    return "\n".join(lines) + "\n"
