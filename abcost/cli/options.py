"""Options that several commands share, and how they become a request."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from abcost.api.arguments import accelerator, blocks_of, choice, default_target, rewriting

if TYPE_CHECKING:
    from abcost.models.subject import Request

__all__ = ["accelerator", "blocks_of", "choice", "default_target", "rewriting"]

Model = Annotated[
    str,
    typer.Argument(
        help="Zoo name (abcost models), path/to/file.py:factory, package.module:factory, FILE.pt2 or FILE.onnx."
    ),
]
Variant = Annotated[str | None, typer.Option(help="ab (default), bn-free or bn; zoo models only.")]
Step = Annotated[
    int | None, typer.Option(help="Training step: 1 real weights, 2 (default) binary; zoo models only.")
]
_PRESETS = "imagenet, cifar10, cifar100, digits or mnist5k: stem, classes and input size together"
Preset = Annotated[str, typer.Option(help=f"{_PRESETS}.")]
PresetOrOwn = Annotated[
    str | None, typer.Option("--preset", help=f"{_PRESETS}. Default: the checkpoint's, or imagenet.")
]
InputSize = Annotated[
    list[str] | None,
    typer.Option(help="NxCxHxW such as 1x3x224x224, or 1x16:int64; once per input of the model."),
]
NumClasses = Annotated[int | None, typer.Option(help="Outputs of the classifier; zoo models only.")]
BaseWidth = Annotated[
    int | None,
    typer.Option(
        help="Reduced network: channels of the first stage (reactnet_a: of the stem), doubling per stage."
    ),
]
Blocks = Annotated[
    str | None,
    typer.Option(help="Reduced network: blocks per stage, such as 2,2,2; as many stages as entries."),
]
Checkpoint = Annotated[
    Path | None,
    typer.Option(
        help="Weights to load, as published or as trained by abcost, which also says how the network is built."
    ),
]
ModelArg = Annotated[list[str] | None, typer.Option(help="name=value for your factory; repeat for more.")]
WeightScale = Annotated[
    str, typer.Option(help="exact, or po2: round the scales of binary weights to powers of two (lossy).")
]
ConstantMultiply = Annotated[
    str,
    typer.Option(help="keep, or csd: products with constants as shifts and adds in canonical signed digits."),
]
FractionBits = Annotated[
    int, typer.Option(help="Bits after the binary point, of csd constants and of fixed-point execution.")
]
Slopes = Annotated[
    Path | None,
    typer.Option(help="JSON with the slope exponents that each layer may take, as abcost search writes it."),
]
LeaveOutSoftmax = Annotated[
    bool,
    typer.Option(
        "--leave-out-softmax", help="Leave a softmax at the output out: only an argmax would read it (lossy)."
    ),
]
Format = Annotated[
    str | None,
    typer.Option("--format", help="rich, csv, json, html, md or tex. Default: as --output ends, else rich."),
]
Plot = Annotated[
    Path | None, typer.Option(help="Also draw the charts of the page into this file: .svg, .png or .pdf.")
]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", "--out", help="File to write instead of stdout.")
]


def request(
    model: str,
    *,
    variant: str | None,
    step: int | None,
    preset: str | None,
    input_size: Sequence[str] | None,
    num_classes: int | None,
    base_width: int | None,
    blocks: str | None,
    checkpoint: Path | None,
    model_arg: Sequence[str] | None,
) -> Request:
    """What the user asked to analyse."""
    from abcost.core.inputs import InputSpec
    from abcost.models.subject import Request, parse_arguments

    return Request(
        model=model,
        variant=variant,
        step=step,
        preset=preset,
        num_classes=num_classes,
        base_width=base_width,
        blocks=None if blocks is None else blocks_of(blocks),
        inputs=tuple(InputSpec.parse(text) for text in input_size or ()),
        checkpoint=checkpoint,
        arguments=parse_arguments(model_arg or ()),
    )
