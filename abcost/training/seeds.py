"""One network trained with several seeds, side by side where that is possible, and what they reach together."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from abcost.errors import OutputError, TrainError, UsageError
from abcost.training.config import Config
from abcost.training.context import BEST, CONFIG, METRICS, RunContext
from abcost.training.files import alone, write_json
from abcost.training.listener import SilentListener, TrainingListener
from abcost.training.loop import check_step
from abcost.training.ownership import TRAINED, check_owner
from abcost.training.run import check_folder, images, metrics, prepare
from abcost.training.runtime import start
from abcost.training.side_by_side import Outcome, Run, obstacle, train_alone, train_side_by_side

REPORT = "seeds.json"
GROUP = 8  # trainings side by side at most: with more, activations no longer fit into caches
MEASURED = ("test_top1", "test_loss", "selected_top1", "selected_loss")


def train_seeds(
    steps: Sequence[Config],
    seeds: Sequence[int],
    folder: Path,
    *,
    resume: bool = False,
    listener: TrainingListener | None = None,
    note: Callable[[str], None] = lambda _text: None,
    stop: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """Train the steps with every seed, each in a folder of its own as `run.train` leaves it; returns `seeds.json`.

    folder: has `seed-0`, `seed-1`, … and, when all have ended, seeds.json with means and standard deviations.
    `listener` sees the first seed. What a seed trains is what it trains alone, up to the rounding of sums in another
    order. With `resume`, goes on. Raises as `run.train`; a seed that diverges is said in the report.
    """
    fabric = start(steps[0])
    if fabric.world_size > 1:
        raise UsageError("--seeds is for one process: leave --devices and torchrun out")
    check_owner(folder, "train", (*TRAINED, REPORT) if not resume else TRAINED)
    if (folder / CONFIG).exists():
        raise UsageError(f"--run-dir {folder} holds a run of one seed: name another folder")
    each = {seed: [replace(config, seed=seed) for config in steps] for seed in seeds}
    places = {seed: folder / f"seed-{seed}" for seed in seeds}
    for seed in seeds:
        check_folder(each[seed], places[seed], resume=resume and places[seed].exists())
    data = {seed: images(each[seed][0]) for seed in seeds}
    first = None if steps[0].init is None else Path(steps[0].init)
    for config in steps:
        check_step(config, data[seeds[0]], 1, start=first if config is steps[0] else None)
    reason = obstacle(steps[-1], data[seeds[0]])
    if reason is not None:
        note(f"the seeds are trained one after the other, not side by side: {reason}")
    failed: dict[int, TrainError] = {}
    with alone(folder):
        for seed in seeds:
            _make(places[seed])
            prepare(each[seed], places[seed], resume=resume)
        for number, config in enumerate(steps):
            waiting = {}
            for seed in seeds:
                place = _place(places[seed], steps, number)
                if seed not in failed and not (place / METRICS).exists():
                    seen = listener if listener is not None and seed == seeds[0] else SilentListener()
                    context = RunContext(fabric, data[seed], place, seen, stop)
                    before = first if number == 0 else _place(places[seed], steps, number - 1) / BEST
                    waiting[seed] = Run(each[seed][number], context, before)
            together = obstacle(config, data[seeds[0]]) is None
            outcomes = _trained(waiting, together=together)
            failed |= {seed: found for seed, found in outcomes.items() if isinstance(found, TrainError)}
        report = _report(steps[-1], {s: metrics(places[s]) for s in seeds if s not in failed}, failed)
        write_json(folder / REPORT, report)
    return report


def _place(folder: Path, steps: Sequence[Config], number: int) -> Path:
    """Folder of a step, as `run.train` has it."""
    return folder if number == len(steps) - 1 else folder / f"step{steps[number].step}"


def _make(place: Path) -> None:
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"--run-dir {place}: {error.strerror or error}") from error


def _trained(waiting: dict[int, Run], *, together: bool) -> dict[int, Outcome]:
    if not together:
        return {seed: train_alone(run) for seed, run in waiting.items()}
    found: dict[int, Outcome] = {}
    seeds = list(waiting)
    for begin in range(0, len(seeds), GROUP):
        some = seeds[begin : begin + GROUP]
        found |= zip(some, train_side_by_side([waiting[seed] for seed in some]), strict=True)
    return found


def _report(
    config: Config, found: dict[int, dict[str, Any]], failed: dict[int, TrainError]
) -> dict[str, Any]:
    """The report of all seeds: of each quantity its values by seed, mean and standard deviation, None for one seed."""

    def summary(name: str) -> dict[str, Any]:
        values = [float(of[name]) for of in found.values()]
        return {
            "mean": statistics.fmean(values) if values else None,
            "sd": statistics.stdev(values) if len(values) > 1 else None,
            "values": values,
        }

    return {
        "schema": 1,
        "model": config.model,
        "variant": config.variant,
        "step": config.step,
        "data": config.data,
        "seeds": list(found),
        "diverged": {str(seed): str(error) for seed, error in failed.items()},
        **{name: summary(name) for name in MEASURED},
    }
