"""`abcost train`: the two-step recipe on a data set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from abcost.cli.given import given, refuse
from abcost.cli.network import NOTHING, Asked, takes_network
from abcost.cli.output import note, quiet
from abcost.cli.places import named_folder
from abcost.errors import UsageError
from abcost.models.network import PROPERTIES

if TYPE_CHECKING:
    from abcost.training.config import Config


@takes_network(
    [name for name in PROPERTIES if name not in {"step", "num_classes"}],
    ["model_arg"],
    {"preset": "Whose stem the network has; default: that of the data."},
)
def train(
    context: typer.Context,
    model: Annotated[
        str, typer.Argument(help="Network of the zoo (abcost models), or your own: file.py:factory.")
    ],
    run_dir: Annotated[
        Path,
        typer.Option(
            parser=named_folder,
            metavar="PATH",
            help="Folder of the results: best.pt, last.pt, log.csv, metrics.json, ….",
        ),
    ],
    data: Annotated[
        str | None,
        typer.Option(
            help="digits (default), mnist5k, cifar10, cifar100, imagenet, a folder of images, or file.py:function."
        ),
    ] = None,
    data_root: Annotated[Path | None, typer.Option(help="Folder that holds the data.")] = None,
    image_size: Annotated[int | None, typer.Option(help="Height and width, for a folder of images.")] = None,
    augment: Annotated[
        bool | None, typer.Option("--augment/--no-augment", help="Published augmentation (default) or none.")
    ] = None,
    shift: Annotated[int | None, typer.Option(help="Pixels that small images are moved by at most.")] = None,
    flip: Annotated[
        bool | None, typer.Option("--flip/--no-flip", help="Left to right; default: as suits the data.")
    ] = None,
    lighting: Annotated[
        str | None,
        typer.Option(
            help="Noise along ImageNet's colours, for image files: 8-bit (default) adds it to 8-bit pixels and cuts, "
            "as published; float in 0 to 1; none."
        ),
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that read image files.")] = None,
    select_on: Annotated[
        str | None,
        typer.Option(help="Split that chooses the best epoch: validation (default), or test as published."),
    ] = None,
    ties: Annotated[
        str | None,
        typer.Option(
            help="Of epochs that share the best top-1: later keeps the last, as published; loss that of least loss, "
            "the default of short recipes."
        ),
    ] = None,
    step: Annotated[
        str | None, typer.Option(help="1: real weights; 2: binary; both (default), one after the other.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --run-dir.")] = False,
    config: Annotated[
        Path | None,
        typer.Option(help="TOML with values of the recipe; \\[step1] and \\[step2] for one step."),
    ] = None,
    init: Annotated[Path | None, typer.Option(help="Checkpoint that the first step starts from.")] = None,
    network: Asked = NOTHING,
    seed: Annotated[int | None, typer.Option(help="Of weights, order and augmentation.")] = None,
    seeds: Annotated[
        str | None,
        typer.Option(
            help="FIRST:END, such as 0:8: so many trainings side by side, each in a folder of its own, and seeds.json "
            "with means and standard deviations."
        ),
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Of each step.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Over all processes.")] = None,
    lr: Annotated[float | None, typer.Option(help="Learning rate; falls linearly, per epoch.")] = None,
    slope_lr: Annotated[
        float | None, typer.Option(help="Learning rate of the slope exponents; published: as --lr.")
    ] = None,
    weight_decay: Annotated[
        float | None,
        typer.Option(help="Of weights, gains and shifts; published: 5e-6 in step 1, 0 in step 2."),
    ] = None,
    clip: Annotated[float | None, typer.Option(help="Factor of adaptive gradient clipping.")] = None,
    distillation: Annotated[
        float | None, typer.Option(help="Share of the loss that compares with --teacher, 0 to 1.")
    ] = None,
    teacher: Annotated[str | None, typer.Option(help="resnet34 (torchvision), or a checkpoint.")] = None,
    teacher_model: Annotated[
        str | None, typer.Option(help="Model of that checkpoint, if it does not say so itself.")
    ] = None,
    slopes: Annotated[
        Path | None, typer.Option(help="JSON with the slope exponents that each layer may take.")
    ] = None,
    fixed_slope: Annotated[
        int | None, typer.Option(help="Exponent of all slopes, not trained: -3 is 1/8.")
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(
            help="32 (default), 64, bf16-mixed, or bf16-backward: gradients from products in bfloat16, all else as 32."
        ),
    ] = None,
    compile_: Annotated[
        bool | None, typer.Option("--compile/--no-compile", help="torch.compile: slow to start, fast to run.")
    ] = None,
    accelerator: Annotated[str | None, typer.Option(help="auto (default), cpu or cuda.")] = None,
    devices: Annotated[
        int | None, typer.Option(help="Processes on this machine; torchrun brings its own number.")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(help="Threads per process; 1 for small sets, else torch's choice.")
    ] = None,
) -> None:
    """Train a network in two steps: binary activations with real weights, then binary weights too.

    The defaults are the published recipe of the data set, and a short one for digits and mnist5k. Under torchrun the
    same command trains on several GPUs or machines.
    """
    values = {
        "data": data, "data_root": data_root and str(data_root), "image_size": image_size, "augment": augment,
        "shift": shift, "flip": flip, "lighting": lighting, "workers": workers,
        "select_on": select_on, "ties": ties, "init": init and str(init), **network.properties,
        "model_args": network.arguments() or None,
        "seed": seed, "epochs": epochs, "batch_size": batch_size, "lr": lr, "slope_lr": slope_lr,
        "weight_decay": weight_decay, "clip": clip, "distillation": distillation, "teacher": teacher,
        "teacher_model": teacher_model,
        "slopes": slopes, "fixed_slope": fixed_slope,
        "precision": precision, "compile": compile_,
        "accelerator": accelerator, "devices": devices, "threads": threads,
    }  # fmt: skip
    from abcost.api.recipe import steps_of

    said = {name: value for name, value in values.items() if value is not None}
    several = None if seeds is None else _seeds(seeds)
    if several is not None:
        refuse(given(context), ["seed"], "beside --seeds")
    started = run_dir if several is None else run_dir / f"seed-{several[0]}"
    steps = steps_of(model, step, started, config, said, resume=resume)
    _check_used(given(context), steps)
    from abcost.cli.training import Console, seeds_text
    from abcost.training.interrupt import catching
    from abcost.training.memory import keep_memory
    from abcost.training.run import train as run
    from abcost.training.seeds import train_seeds

    keep_memory()
    with quiet(), catching() as stop, Console() as console:
        try:
            if several is None:
                run(steps, run_dir, resume=resume, listener=console, stop=lambda: stop.asked)
            else:
                note(f"seeds {several[0]} to {several[-1]}; what follows is said of seed {several[0]}")
                found = train_seeds(
                    steps,
                    several,
                    run_dir,
                    resume=resume,
                    listener=console,
                    note=note,
                    stop=lambda: stop.asked,
                )
                note(seeds_text(found, run_dir))
        except KeyboardInterrupt:
            console.close()
            again = "" if seeds is None else f" --seeds {seeds}"
            note(f"stopped; go on with: abcost train {model}{again} --run-dir {run_dir} --resume")
            raise


def _seeds(text: str) -> range:
    """Raises UsageError for what is not FIRST:END."""
    first, colon, end = text.partition(":")
    try:
        found = range(int(first), int(end))
    except ValueError:
        found = range(0)
    if not colon or not found or found[0] < 0:
        raise UsageError(
            f"--seeds {text!r} is not of the form 0:8, the first seed and the one after the last"
        )
    return found


def _check_used(there: frozenset[str], steps: tuple[Config, ...]) -> None:
    """Raise UsageError for an option that changes nothing in any step."""
    if not any(config.distillation for config in steps):
        refuse(there, ["teacher", "teacher_model"], "without --distillation")
    if all(config.teacher == "resnet34" for config in steps):
        refuse(there, ["teacher_model"], "beside --teacher resnet34")
    if all(config.fixed_slope is not None or config.variant not in {"ab", None} for config in steps):
        refuse(there, ["slope_lr"], "where no slope exponent is trained")
    if not any(config.augment for config in steps):
        refuse(there, ["shift", "flip", "lighting"], "with --no-augment")
