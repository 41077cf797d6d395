"""Options that several commands share; those of a network are in `network.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from abcost.api.arguments import (
    CONSTANT_MULTIPLY,
    accelerator,
    accelerator_or_clock,
    choice,
    default_target,
    rewriting,
)
from abcost.models.network import PROPERTIES

__all__ = [
    "CONSTANT_MULTIPLY",
    "accelerator",
    "accelerator_or_clock",
    "choice",
    "default_target",
    "rewriting",
]

Model = Annotated[
    str,
    typer.Argument(
        help="Zoo name (abcost models), path/to/file.py:factory, package.module:factory, FILE.pt2 or FILE.onnx."
    ),
]
Preset = Annotated[
    str,
    typer.Option(
        help="imagenet, cifar10, cifar100, digits or mnist5k: stem, classes and input size together."
    ),
]
PresetOrOwn = Annotated[str | None, typer.Option("--preset", help=PROPERTIES["preset"].about)]
InputSize = Annotated[
    list[str] | None,
    typer.Option(help="NxCxHxW such as 1x3x224x224, or 1x16:int64; once per input of the model."),
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
    typer.Option(
        help="keep; csd: products with constants as shifts and adds in canonical signed digits; graph: with "
        "sub-expressions that outputs share (extra adders)."
    ),
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
