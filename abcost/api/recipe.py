"""Options of a training, by name: the same words as on the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from abcost.api.arguments import choice
from abcost.errors import UsageError
from abcost.models.network import FormOptions, held
from abcost.training.config import Config
from abcost.training.context import CONFIG
from abcost.training.network import check_steps, steps_for
from abcost.training.recipes import asked_for, configs
from abcost.training.run import resumed, stored


class RecipeOptions(FormOptions, total=False):
    """How to train. What is left out, or None, is the recipe of the data set (see `abcost.training.recipes`).

    The network: see `FormOptions`; model_args, of your own factory.
    The data: data_root, folder of its files; image_size, pixels, for a folder of images; augment; shift, pixels;
    flip; lighting, "8-bit", "float" or "none"; workers, processes that read; select_on, "validation" or "test";
    ties, "later" or "loss".
    The recipe: seed; epochs, of each step; batch_size, images over all processes; lr, slope_lr, learning rates;
    weight_decay; clip; distillation, 0 to 1, with teacher and teacher_model; init, checkpoint to start from.
    The slopes: slopes, a file or layer -> exponents; fixed_slope, the exponent of all.
    The machine: precision, "32", "64", "bf16-mixed" or "bf16-backward"; compile; accelerator, "auto", "cpu" or
    "cuda"; devices, processes; threads, of each.
    """

    model_args: Mapping[str, Any] | None
    data_root: str | Path | None
    image_size: int | None
    augment: bool | None
    shift: int | None
    flip: bool | None
    lighting: str | None
    workers: int | None
    select_on: Literal["validation", "test"] | None
    ties: Literal["later", "loss"] | None
    seed: int | None
    epochs: int | None
    batch_size: int | None
    lr: float | None
    slope_lr: float | None
    weight_decay: float | None
    clip: float | None
    distillation: float | None
    teacher: str | None
    teacher_model: str | None
    init: str | Path | None
    slopes: str | Path | Mapping[str, Sequence[int]] | None
    fixed_slope: int | None
    precision: Literal["32", "64", "bf16-mixed", "bf16-backward"] | None
    compile: bool | None
    accelerator: Literal["auto", "cpu", "cuda"] | None
    devices: int | None
    threads: int | None


STEPS = {"1": (1,), "2": (2,), "both": (1, 2)}


def values_of(given: RecipeOptions, **more: Any) -> dict[str, Any]:
    """What was said, as a `Config` takes it."""
    said = {name: held(name, value) for name, value in {**given, **more}.items() if value is not None}
    for name in ("data_root", "init"):
        if name in said:
            said[name] = str(said[name])
    if isinstance(said.get("slopes"), Mapping):
        said["slopes"] = {layer: tuple(exponents) for layer, exponents in said["slopes"].items()}
    return said


def steps_of(
    model: str, step: str | None, run_dir: Path, file: Path | None, given: Mapping[str, Any], *, resume: bool
) -> tuple[Config, ...]:
    """What is trained: as asked, or as the run to be resumed was started. Raises UsageError or UnknownName."""
    asked = None if step is None else STEPS[choice("--step", step, tuple(STEPS))]
    if asked is not None:
        check_steps(model, asked)
    started = stored(run_dir) if resume else None
    if resume and started is None:
        raise UsageError(
            f"--resume: --run-dir {run_dir} holds no training ({CONFIG}): leave --resume out to start one"
        )
    if started is None:
        return configs(model, asked or steps_for(model), file=file, given=given)
    if started[0].model != model:
        raise UsageError(f"--run-dir {run_dir} holds a run of {started[0].model}, not of {model}")
    chosen = asked or tuple(config.step for config in started)
    return resumed(started, run_dir, asked_for(model, chosen, file=file, given=given))
