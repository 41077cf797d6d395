"""Options that several calls share, by name: the same words as on the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, TypedDict

from torch import nn

from abcost.accelerator.solve import AcceleratorGoal
from abcost.api.arguments import accelerator, accelerator_or_clock, rewriting
from abcost.core.inputs import InputSpec
from abcost.cost import CostTable
from abcost.errors import UsageError
from abcost.models.network import PROPERTIES, FormOptions, held
from abcost.models.subject import Request, Subject, resolve
from abcost.rewrite import RewriteOptions


class ZooOptions(FormOptions, total=False):
    """Which network, of a model by name. What is left out, or None, is what its checkpoint says, else as published.

    The form and shape of the network: see `FormOptions`.  step: of the training, 1 (real weights) or 2 (binary, the
    default).  model_args: arguments of your own factory.
    """

    step: int | None
    model_args: Mapping[str, Any] | None


class NetworkOptions(ZooOptions, total=False):
    """As `ZooOptions`, and what it is fed and holds.

    num_classes: outputs of the classifier.
    checkpoint: file of weights, as published or as `abcost.train` writes it, which also says how the network is built.
    input_shape: (N, C, H, W) of the one input.  inputs: shape and type of each, where there are several.
    """

    num_classes: int | None
    checkpoint: str | Path | None
    input_shape: Sequence[int] | None
    inputs: Sequence[InputSpec]


class LoweringOptions(TypedDict, total=False):
    """What else becomes shifts and adds.

    weight_scale: "exact" (default), or "po2": scales of binary weights are rounded to powers of two (lossy).
    constant_multiply: "keep" (default); "csd": products with constants in canonical signed digits; "graph": with
    sub-expressions that outputs share (needs the extra adders).
    fraction_bits: bits after the binary point, of such constants and of fixed-point execution (12).
    """

    weight_scale: Literal["exact", "po2"]
    constant_multiply: Literal["keep", "csd", "graph"]
    fraction_bits: int


class SlopeOptions(LoweringOptions, total=False):
    """As `LoweringOptions`, and what a trained network may do.

    slopes: exponents that the slopes of each layer may take: a file of `abcost.search`, or layer -> exponents.
    leave_out_softmax: a softmax at the output is left out, for only an argmax would read it (lossy).
    """

    slopes: str | Path | Mapping[str, Sequence[int]] | None
    leave_out_softmax: bool


class AcceleratorOptions(TypedDict, total=False):
    """A whole accelerator, sized where `device` or `fps` is given.

    device: a part or board, such as "xc7z020" or "pynq-z2", a .csv of your own, or a die, such as "tt-sky130-8x2".
    fps: frames per second to reach; default: the most.
    clock_mhz: its clock in MHz (100), or "max", the highest that is met; without a device or a rate, of standard
        cells: the clock of their lanes, for the energy that leaks in the time of an inference.
    organisation: "pipelined" (default), an engine per layer; "shared", one engine for all.
    weights: "on-chip" or "external"; default: on the chip, and outside what does not fit.
    folding: file with PE and SIMD of layers, ours or FINN's.
    area_mm2: of silicon, for a block of standard cells; default: as much as it takes.
    utilisation: share of it that cells fill (0.5, OpenLane's default).
    """

    device: str | None
    fps: float | None
    clock_mhz: float | Literal["max"] | None
    organisation: Literal["pipelined", "shared"] | None
    weights: Literal["on-chip", "external"] | None
    folding: str | Path | None
    area_mm2: float | None
    utilisation: float | None


class AnalysisOptions(NetworkOptions, SlopeOptions, AcceleratorOptions, total=False):
    """All that `abcost.analyze` takes: `NetworkOptions`, `SlopeOptions`, `AcceleratorOptions`."""


class SweepOptions(NetworkOptions, SlopeOptions, total=False):
    """All that `abcost.sweep` takes for its models: `NetworkOptions`, `SlopeOptions`."""


class EvaluateOptions(ZooOptions, LoweringOptions, total=False):
    """All that `abcost.evaluate` takes: `ZooOptions`, `LoweringOptions`."""


class VerifyOptions(NetworkOptions, LoweringOptions, total=False):
    """All that `abcost.verify` takes: `NetworkOptions`, `LoweringOptions`."""


def request_of(model: str, given: ZooOptions, checkpoint: str | Path | None = None) -> Request:
    """What was asked for, of a model by name."""
    properties = {name: held(name, given.get(name)) for name in PROPERTIES if name in given}
    return Request(
        model,
        checkpoint=None if checkpoint is None else Path(checkpoint),
        arguments=given.get("model_args") or {},
        **properties,
    )


def named_request(model: str, given: NetworkOptions) -> Request:
    """What was asked for, with what it is fed. Raises UsageError for a shape that is none."""
    return replace(request_of(model, given, given.get("checkpoint")), inputs=_inputs(given))


def subject_of(model: str | nn.Module, given: NetworkOptions, *, late: bool = False) -> Subject:
    """The model and what it is fed. Raises UsageError for options of named models beside a module.

    late: see `abcost.models.subject.resolve`.
    """
    if isinstance(model, str):
        return resolve(named_request(model, given), late=late)
    named = {*ZooOptions.__annotations__, "num_classes", "checkpoint"}
    for name, value in given.items():
        if name in named and value is not None:
            raise UsageError(f"{name} is for models given by name: leave it out")
    inputs = _inputs(given) or (InputSpec((1, 3, 224, 224)),)
    return Subject(model, type(model).__name__, None, inputs, trained=True)


def _inputs(given: NetworkOptions) -> tuple[InputSpec, ...]:
    shape, inputs = given.get("input_shape"), tuple(given.get("inputs", ()))
    if shape is None:
        return inputs
    if inputs:
        raise UsageError("input_shape is of the one input, inputs are several: leave one of the two out")
    return (InputSpec(tuple(shape)),)


def rewriting_of(given: LoweringOptions | SlopeOptions, model: str = "") -> RewriteOptions:
    """How it is lowered. Raises UnknownName or UsageError."""
    return rewriting(
        given.get("weight_scale", "exact"),
        given.get("constant_multiply", "keep"),
        given.get("fraction_bits", 12),
        given.get("slopes"),  # type: ignore[arg-type]
        model,
        leave_out_softmax=bool(given.get("leave_out_softmax")),
    )


def wishes_and_clock(
    given: AcceleratorOptions, tables: Sequence[CostTable]
) -> tuple[AcceleratorGoal | None, float | None]:
    """The goal as `wishes_of` gives it; or the clock of lanes, see `accelerator_or_clock`."""
    return accelerator_or_clock(tables, *_asked(given), **_silicon(given))


def wishes_of(given: AcceleratorOptions) -> AcceleratorGoal | None:
    """The accelerator that is to be sized; None where none is. Raises UnknownName or UsageError."""
    return accelerator(*_asked(given), **_silicon(given))


_Asked = tuple[str | None, float | None, str | float | None, str | None, str | None, Path | None]


class _Silicon(TypedDict):
    """Keywords of `accelerator`."""

    area_mm2: float | None
    utilisation: float | None


def _asked(given: AcceleratorOptions) -> _Asked:
    """The arguments of `accelerator`."""
    folding = given.get("folding")
    return (
        given.get("device"),
        given.get("fps"),
        given.get("clock_mhz"),
        given.get("organisation"),
        given.get("weights"),
        None if folding is None else Path(folding),
    )


def _silicon(given: AcceleratorOptions) -> _Silicon:
    return {"area_mm2": given.get("area_mm2"), "utilisation": given.get("utilisation")}
