"""Options that several commands share, and how they become a request."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from abcost.errors import UsageError
from abcost.registry import unknown_name

if TYPE_CHECKING:
    from abcost.accelerator.solve import Wishes
    from abcost.models.subject import Request
    from abcost.rewrite import RewriteOptions

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
Plot = Annotated[
    Path | None, typer.Option(help="Also draw the charts of the page into this file: .svg or .png.")
]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="File to write instead of stdout.")]

_T = TypeVar("_T", bound=str)


def choice(option: str, value: str, known: Sequence[_T]) -> _T:
    """`value` if it is one of `known`. Raises UnknownName with the nearest."""
    for item in known:
        if item == value:
            return item
    raise unknown_name(f"{option} choice", value, known)


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


def blocks_of(text: str) -> tuple[int, ...]:
    """`--blocks 2,2,2` as numbers. Raises UsageError."""
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"--blocks {text!r} is not of the form 2,2,2: blocks of every stage") from None


def default_target(device: str | None) -> str:
    """The target whose figures are those of a device. Raises UnknownName."""
    from abcost.accelerator.devices import device as find_device

    return "fpga-lut6" if device is None else find_device(device).family.targets[0]


def accelerator(
    device: str | None,
    fps: float | None,
    clock_mhz: str | float | None,
    organisation: str | None,
    weights: str | None = None,
    folding: Path | None = None,
) -> Wishes | None:
    """The accelerator that the user asked for; None without --device and --fps. Raises UsageError or UnknownName.

    All but device and fps: None where the user did not say.
    """
    from abcost.accelerator.devices import device as find_device
    from abcost.accelerator.folding_file import read_folding
    from abcost.accelerator.own_folding import NO_FOLDING
    from abcost.accelerator.placing import WEIGHTS
    from abcost.accelerator.solve import DEFAULT_CLOCK_MHZ, KINDS, Wishes

    choice("--organisation", organisation or "pipelined", tuple(KINDS))
    where = None if weights is None else choice("--weights", weights, WEIGHTS)
    if device is None and fps is None:
        if clock_mhz is not None or organisation is not None:
            raise UsageError("--clock-mhz and --organisation size an accelerator: add --device or --fps")
        if where is not None or folding is not None:
            raise UsageError("--weights and --folding size an accelerator: add --device or --fps")
        return None
    return Wishes(
        None if device is None else find_device(device),
        fps,
        DEFAULT_CLOCK_MHZ if clock_mhz in (None, FASTEST) else _megahertz(str(clock_mhz)),
        organisation or "pipelined",
        where,
        NO_FOLDING if folding is None else read_folding(folding),
        fastest=clock_mhz == FASTEST,
    )


FASTEST = "max"
"""The clock of who asks for the highest that is met."""


def _megahertz(text: str) -> float:
    """Raises UsageError for what is no number."""
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"--clock-mhz takes a number of MHz, or {FASTEST}; got {text[:40]!r}") from None


def rewriting(
    weight_scale: str,
    constant_multiply: str,
    fraction_bits: int,
    slopes: Path | None = None,
    model: str = "",
    *,
    leave_out_softmax: bool = False,
) -> RewriteOptions:
    """The opt-in lowering that the user asked for; `slopes` is of `model`. Raises UnknownName or UsageError."""
    from abcost.models.slope_sets import read_slope_sets
    from abcost.rewrite import RewriteOptions

    return RewriteOptions(
        weight_scale=choice("--weight-scale", weight_scale, ("exact", "po2")),
        constant_multiply=choice("--constant-multiply", constant_multiply, ("keep", "csd")),
        fraction_bits=fraction_bits,
        slopes={} if slopes is None else read_slope_sets(slopes, model),
        leave_out_softmax=leave_out_softmax,
    )
