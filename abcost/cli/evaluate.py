"""`abcost evaluate`: the accuracy of a checkpoint, as trained or as hardware computes it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from abcost.cli import confusion as matrix
from abcost.cli import options
from abcost.cli.given import given, refuse
from abcost.cli.network import NOTHING, Asked, takes_network
from abcost.cli.output import quiet, view, write
from abcost.cli.places import check_places
from abcost.models.network import PROPERTIES

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.table import Table

    from abcost.training.assessment import Assessment, Score

_MOST_CLASSES = 20  # rows of the class table; of more classes the worst are shown
_FORMATS = ("rich", "json")


@takes_network(
    [name for name in PROPERTIES if name != "num_classes"],
    ["model_arg"],
    {"preset": "Whose stem the network has; default: the checkpoint's, or the data's."},
)
def evaluate(
    context: typer.Context,
    model: options.Model,
    checkpoint: Annotated[
        Path,
        typer.Option(
            help="Weights, as trained by abcost, which say how the network is built, or as published."
        ),
    ],
    data: Annotated[
        str,
        typer.Option(
            help="digits, mnist5k, cifar10, cifar100, imagenet, a folder of images, or file.py:function."
        ),
    ],
    form: Annotated[
        str,
        typer.Option(
            "--as",
            help="trained: the network itself; rewritten: the lowered graph in float64; fixed-point: bit by bit.",
        ),
    ] = "trained",
    width: Annotated[
        int | None,
        typer.Option(help="Bits of fixed-point registers, which wrap; default: as wide as needed."),
    ] = None,
    fraction_bits: options.FractionBits = 12,
    weight_scale: options.WeightScale = "exact",
    constant_multiply: options.ConstantMultiply = "keep",
    images: Annotated[
        int | None, typer.Option(help="Only so many of the test images, evenly spread; default: all.")
    ] = None,
    data_root: Annotated[Path | None, typer.Option(help="Folder that holds the data.")] = None,
    image_size: Annotated[int | None, typer.Option(help="Height and width, for a folder of images.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that read image files.")] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads; 1 for digits and mnist5k, else torch's choice.")
    ] = None,
    network: Asked = NOTHING,
    output_format: Annotated[str, typer.Option("--format", help="rich or json.")] = "rich",
    output: options.Output = None,
    confusion: Annotated[
        Path | None, typer.Option(help="File for the whole confusion matrix, as CSV: rows are the truth.")
    ] = None,
) -> None:
    """Top-1, top-5 and confusion matrix on the test split.

    As rewritten or fixed-point also the agreement with the trained network.
    """
    check_places({"--output": output, "--confusion": confusion}, [model, checkpoint, data])
    if form == "trained":
        refuse(
            given(context),
            ["fraction_bits", "weight_scale", "constant_multiply"],
            "to the network as it was trained; with --as rewritten or --as fixed-point it would",
        )
    chosen = options.choice("--format", output_format, _FORMATS)
    from abcost.api.evaluate import assessed
    from abcost.training.assessment import FORMS, EvaluationForm
    from abcost.training.outcome import confusion_csv
    from abcost.training.told import summary

    rewriting = options.rewriting(weight_scale, constant_multiply, fraction_bits)
    wanted = EvaluationForm(options.choice("--as", form, FORMS), rewriting, width)
    asked = network.request(model, checkpoint)
    with quiet(), _progress() as progress:
        found = assessed(
            asked, wanted, data, root=data_root, image_size=image_size, workers=workers, images=images,
            threads=threads, progress=progress,
        )  # fmt: skip
    if confusion is not None:
        write(confusion_csv(found.classes, found.score.confusion), confusion)
    if chosen == "json":
        write(json.dumps(found.to_dict(), indent=2, allow_nan=False) + "\n", output)
        return
    from rich.console import Group
    from rich.text import Text

    from abcost.report.drawing import draw

    left = _left(found) if found.left else Text()
    lines = Text(summary(found) + "\n")
    parts = Group(_scores(found, checkpoint), left, lines, _classes(found), matrix.table(found))
    write(draw(parts, view("block", output)), output)


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr, if that is a terminal."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("images", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _scores(found: Assessment, checkpoint: Path) -> Table:
    from abcost.report.drawing import grid

    title = (
        f"{found.subject.name}, {checkpoint.name}: {found.score.images:,} test images of {found.data}, "
        f"{len(found.classes):,} classes"
    )
    table = grid(title, "", "top-1", "95 % interval", "top-5", "loss")
    if found.trained is not None:
        table.add_row("trained", *_row(found.trained))
    table.add_row(found.form.name, *_row(found.score))
    for figure in found.published:
        label = ", ".join(filter(None, ("published", figure.row, figure.slopes)))
        table.add_row(label, f"{figure.top1:.2%}")
    return table


def _row(score: Score) -> tuple[str, ...]:
    low, high = score.top1_ci95
    return f"{score.top1:.2%}", f"{low:.2%} to {high:.2%}", f"{score.top5:.2%}", f"{score.loss:.4f}"


def _left(found: Assessment) -> Table:
    from abcost.report.drawing import grid
    from abcost.training.lowered import LISTED

    table = grid("Multiplications that are left, of one image", "origin", "count", "where")
    table.columns[2].justify = "left"
    for origin, (count, layers) in (found.left or {}).items():
        shown = ", ".join(layers[:4]) + (f" and {len(layers) - 4} more" if len(layers) > 4 else "")
        table.add_row(origin.value, f"{count:,}", shown)
    names = [origin.value for origin in LISTED]
    table.caption = f"outside of {', '.join(names[:-1])} and {names[-1]}: {found.outside:,}"
    table.caption_justify = "left"
    return table


def _classes(found: Assessment) -> Table:
    """Accuracy by class; of many classes, the worst."""
    from abcost.report.drawing import grid

    rows = [
        (name, images, right / images)
        for name, (images, right) in zip(found.classes, found.score.by_class, strict=True)
        if images
    ]
    many = len(rows) > _MOST_CLASSES
    if many:
        rows = sorted(rows, key=lambda row: row[2])[:_MOST_CLASSES]
    title = f"The {len(rows)} worst of {len(found.classes):,} classes" if many else "Classes"
    table = grid(title, "class", "images", "top-1")
    for name, images, top1 in rows:
        table.add_row(name, f"{images:,}", f"{top1:.2%}")
    if many:
        table.caption = "all of them: --format json"
    return table
