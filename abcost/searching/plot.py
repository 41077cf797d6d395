"""The front as a picture: accuracy against each cost that was kept low."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import IO, Any

from abcost.extras import require
from abcost.searching.budget import QUANTITIES
from abcost.searching.points import TrainedDesign
from abcost.searching.run import SearchOutcome
from abcost.training.files import write_whole

PICTURES = ("front.svg", "front.png")
_MARKS = ("s", "^", "D", "v")


def write_plots(outcome: SearchOutcome, folder: Path) -> None:
    """front.svg and front.png. Raises MissingExtra or OutputError."""
    require("matplotlib", "plot", "the plot of a search")
    from matplotlib.figure import Figure  # noqa: PLC0415

    names = outcome.problem.objectives
    figure = Figure(figsize=(6.4, 4.2 * len(names)), layout="constrained")
    for axes, name in zip(figure.subplots(len(names), squeeze=False)[:, 0], names, strict=True):
        _draw(axes, outcome, name)
    for picture in PICTURES:
        data = io.BytesIO()
        figure.savefig(data, format=picture.rpartition(".")[2], dpi=150)
        write_whole(folder / picture, partial(_write, data.getvalue()))


def _write(content: bytes, file: IO[bytes]) -> None:
    file.write(content)


def _draw(axes: Any, outcome: SearchOutcome, name: str) -> None:
    result, problem = outcome.result, outcome.problem
    seeds = max((len(p.reached) for p in result.front), default=1)
    _scatter(axes, result.dominated, name, label="dominated", color="0.7", marker="o")
    _scatter(axes, result.front, name, label="front", color="C0", marker="o")
    for marker, point in zip(_MARKS, result.baselines, strict=False):
        _scatter(axes, [point], name, label=point.name, color="C1", marker=marker)
    if result.chosen is not None:
        cost = result.chosen.cost[name]
        axes.scatter([cost], [100 * result.chosen.test_top1], s=160, facecolors="none", edgecolors="C3")
        axes.annotate(
            "chosen", (cost, 100 * result.chosen.test_top1), xytext=(6, -14), textcoords="offset points"
        )
    limit = problem.budget.costs.get(name)
    if limit is not None:
        axes.axvline(limit, color="C3", linestyle="--", linewidth=1, label=f"budget {limit:g}")
    quantity = QUANTITIES[name]
    axes.set_xlabel(f"{quantity.about} on {problem.hardware.table.target}")
    axes.set_ylabel(f"test top-1, %, mean of {seeds} seeds ± s.e.")
    axes.set_title(f"{problem.settings.model} on {problem.config.data}")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")


def _scatter(axes: Any, points: Sequence[TrainedDesign], name: str, **style: Any) -> None:
    shown = [p for p in points if p.cost.get(name) is not None]
    if shown:
        axes.errorbar(
            [p.cost[name] for p in shown],
            [100 * p.test_top1 for p in shown],
            yerr=[100 * (p.test_top1_se or 0.0) for p in shown],
            linestyle="none",
            capsize=3,
            **style,
        )
