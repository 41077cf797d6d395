"""A whole training: its folder, and one step after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from abcost.core.reading import read_json
from abcost.data import DataSet, load
from abcost.errors import AbcostError, CheckpointError, OutputError, UsageError, one_line
from abcost.training.config import NAMES, Config
from abcost.training.context import BEST, CONFIG, METRICS, RunContext
from abcost.training.files import alone, sweep, write_json
from abcost.training.listener import SilentListener, TrainingListener
from abcost.training.loop import check_step, train_step
from abcost.training.ownership import TRAINED, check_owner
from abcost.training.runtime import start

SCHEMA = 1
MOST_BYTES = 100_000_000  # of a JSON file in a run folder
MACHINE = ("accelerator", "devices", "threads", "compile", "data_root", "workers")
"""What a resumed run may change: where it runs, not what it computes."""


def train(
    steps: Sequence[Config],
    folder: Path,
    *,
    resume: bool = False,
    listener: TrainingListener | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """Train the steps in turn, each from the best checkpoint of the one before; returns metrics.json of the last.

    The last step's results are in `folder`, those of a step before it in `folder`/step1. With `resume` the steps are
    those of `stored`; what is finished is passed over, and a step in between goes on where it was saved.

    Raises KeyboardInterrupt, after saving, when `stop` says so; UsageError if the folder holds another run, anything
    else that would be written over, or another process is in it; and what `train_step` raises.
    """
    fabric, first = start(steps[0]), steps[0]
    before = None if first.init is None else Path(first.init)
    if fabric.is_global_zero:
        check_folder(steps, folder, resume=resume)
    data = images(first)
    for config in steps:  # whatever is wrong is found before anything is written
        check_step(config, data, fabric.world_size, start=before if config is first else None)
    with alone(folder) if fabric.is_global_zero else nullcontext():
        if fabric.is_global_zero:
            prepare(steps, folder, resume=resume)
        fabric.barrier()
        found: dict[str, Any] = {}
        for config in steps:
            place = folder if config is steps[-1] else folder / f"step{config.step}"
            if (place / METRICS).exists():
                found = metrics(place)
            else:
                context = RunContext(fabric, data, place, listener or SilentListener(), stop)
                found = train_step(config, context, start=before)
            before = place / BEST
        return found


def images(config: Config) -> DataSet:
    """The data set that a config trains on. Raises as `abcost.data.load`."""
    return load(
        config.data,
        config.data_root,
        seed=config.seed,
        image_size=config.image_size,
        shift=config.shift,
        flip=config.flip,
        workers=config.workers,
        select_on=config.select_on,
        lighting=config.lighting,
    )


def metrics(place: Path) -> dict[str, Any]:
    """What a finished training of `place` has reached. Raises CheckpointError if that cannot be read."""
    found = read_json(place / METRICS, str(place / METRICS), CheckpointError, most=MOST_BYTES)
    if not isinstance(found, dict):
        raise CheckpointError(f"{place / METRICS} is damaged: remove it, and the epochs are tested again")
    return found


def check_folder(steps: Sequence[Config], folder: Path, *, resume: bool) -> None:
    """Raise UsageError if training these steps in the folder would write over what it holds; write nothing."""
    check_owner(folder, "train", TRAINED)
    if not resume and (folder / CONFIG).exists():
        raise UsageError(f"--run-dir {folder} holds a run: continue it with --resume, or name another folder")
    started = stored(folder)
    if started is not None:
        asked = [(c.step, {name: getattr(c, name) for name in NAMES if name != "step"}) for c in steps]
        resumed(started, folder, asked)


def prepare(steps: Sequence[Config], folder: Path, *, resume: bool) -> None:
    """Make the folders of earlier steps, write down what is trained, remove what a killed process left half-written."""
    check_folder(steps, folder, resume=resume)  # again: now nobody else can write there
    try:
        write_json(folder / CONFIG, {"schema": SCHEMA, "steps": [config.to_dict() for config in steps]})
        for config in steps[:-1]:
            (folder / f"step{config.step}").mkdir(exist_ok=True)
    except OSError as error:
        raise OutputError(f"--run-dir {folder}: {error.strerror or error}") from error
    for place in (folder, *folder.glob("step*/")):
        sweep(place)


def stored(folder: Path) -> tuple[Config, ...] | None:
    """The steps of the run in `folder`; None if there is none. Raises CheckpointError if it cannot be read."""
    path = folder / CONFIG
    if not path.exists():
        return None
    try:
        content = read_json(path, str(path), CheckpointError, most=MOST_BYTES)
        return tuple(Config.from_dict(step) for step in content["steps"])
    except (ValueError, LookupError, TypeError, AttributeError, AbcostError) as error:
        raise CheckpointError(
            f"cannot resume: {path} is damaged ({type(error).__name__}: {one_line(error)}); "
            "start again in another folder"
        ) from error


def resumed(
    steps: Sequence[Config], folder: Path, asked: Sequence[tuple[int, Mapping[str, Any]]]
) -> tuple[Config, ...]:
    """The steps of a run, on the machine that `asked` (step, values given again) says.

    Raises UsageError if a value was given that the run does not have: it would not be the same run.
    """
    by_step = {config.step: config for config in steps}
    if asked and sorted(by_step) != sorted(step for step, _ in asked):
        raise UsageError(
            f"--run-dir {folder} holds step {' and '.join(map(str, by_step))}: leave --step out, "
            "or name another folder"
        )
    found = dict(by_step)
    for step, values in asked:
        for name, value in values.items():
            held = getattr(by_step[step], name)
            if name in MACHINE:
                found[step] = replace(found[step], **{name: value})
            elif held != value:
                raise UsageError(
                    f"--run-dir {folder} was started with {name} {held}, not {value}: leave it out, "
                    "or name another folder"
                )
    return tuple(found[config.step] for config in steps)
