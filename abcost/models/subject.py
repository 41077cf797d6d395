"""From what the user named to a model that can be analysed.

reactnet_a                      a network of the zoo
path/to/file.py:factory         the user's file; running it is running their code, because they named it
package.module:factory          the same, importable
path/to/model.pt2               a program saved by torch.export.save
path/to/model.onnx              an ONNX or QONNX file
"""

from __future__ import annotations

import ast
import contextlib
import logging
import os
import warnings
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from abcost.core.inputs import InputSpec
from abcost.core.reading import check_regular
from abcost.core.usercode import made_by
from abcost.errors import ModelError, UnknownName, UsageError, one_line
from abcost.models.checkpoint import MOST_BYTES, Checkpoint, read_checkpoint, restore
from abcost.models.network import ONNX, PROPERTIES, NetworkSpec, holds_weights, of_zoo
from abcost.models.presets import preset
from abcost.models.registry import MODELS
from abcost.nn.late import drawing_late

_SMALL = 32
"""Pixels; smaller images may not reach through all stages, which is found out before the slow part."""
_SEED = 0  # fresh weights are the same in every run, so that the same command gives the same report


@dataclass(frozen=True, slots=True, kw_only=True)
class Request(NetworkSpec):
    """What the user asked for: a network, what it is fed, and what it holds.

    Without inputs: the checkpoint's, the preset's or the exported program's.
    """

    inputs: tuple[InputSpec, ...] = ()
    checkpoint: Path | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)  # of the user's own factory


@dataclass(frozen=True, slots=True)
class Subject:
    """A model and what it is fed."""

    model: nn.Module
    name: str
    network: NetworkSpec | None  # as it was built; None for models that are not of the zoo
    inputs: tuple[InputSpec, ...]
    trained: bool  # weights come from a checkpoint or from the user, not from initialisation
    warnings: tuple[str, ...] = ()  # what looks wrong in the file it came from
    one_batch: bool = False  # a file: its views name the batch that it was exported with

    @property
    def variant(self) -> str | None:
        """None for models that are not of the zoo."""
        return None if self.network is None else self.network.variant


def resolve(request: Request, *, late: bool = False) -> Subject:
    """Build or load the model. Raises UnknownName, UsageError, ModelError or CheckpointError.

    late: the model is only traced, in its own type: what is not trained keeps no weights (`abcost.nn.late`).
    """
    zoo = of_zoo(request.model)
    _check_options(request, zoo=zoo)
    if zoo:
        check_zoo_name(request.model)  # a bad name comes before a bad checkpoint
    checkpoint = None if request.checkpoint is None else read_checkpoint(request.checkpoint)
    if zoo and checkpoint is not None:
        request = _as_trained(request, checkpoint)
    inputs = request.inputs or (InputSpec(preset(request.preset or "imagenet").input_shape),)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_SEED)
        if zoo:
            network = request.network.resolved()
            with drawing_late() if late and checkpoint is None else contextlib.nullcontext():
                model = network.build()
            if len(inputs) == 1 and _small_images(inputs[0].shape):
                network.check_images(inputs[0].shape)
            subject = Subject(model, request.model, network, inputs, trained=request.checkpoint is not None)
        elif request.model.endswith(ONNX):
            subject = _from_onnx(Path(request.model), request)
        elif ":" in request.model:
            subject = Subject(
                own_model(request.model, request.arguments), request.model, None, inputs, trained=True
            )
        else:
            subject = _exported(Path(request.model), request.inputs)
    if checkpoint is not None:
        restore(subject.model, checkpoint)
    return subject


def _as_trained(request: Request, checkpoint: Checkpoint) -> Request:
    """The request, completed by what the checkpoint says. Raises UsageError where the two contradict."""
    completed, shape = request.completed(checkpoint.origin, checkpoint.path), checkpoint.origin.input_shape
    if shape is None or request.inputs:
        return completed
    return replace(completed, inputs=(InputSpec((1, *shape)),))


def parse_arguments(texts: Sequence[str]) -> dict[str, Any]:
    """`--model-arg k=v` pairs; v is a Python literal where it reads as one, else text. Raises UsageError."""
    arguments: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key.isidentifier():
            raise UsageError(f"--model-arg {text!r} is not of the form name=value")
        if key in arguments:
            raise UsageError(f"--model-arg {key} is given twice; give it once")
        try:
            with warnings.catch_warnings(action="ignore"):  # "1if" warns about a literal that it is not
                arguments[key] = ast.literal_eval(value)
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            arguments[key] = value
    return arguments


def _check_options(request: Request, *, zoo: bool) -> None:
    """Options of the other sort of model are mistakes, not to be ignored."""
    if zoo and request.arguments:
        raise UsageError(
            "--model-arg is for your own factory; zoo models take "
            + ", ".join(f"--{name.replace('_', '-')}" for name in PROPERTIES)
        )
    if request.preset is not None and not zoo and (request.inputs or holds_weights(request.model)):
        raise UsageError(
            f"--preset does nothing to {request.model}: its input size is "
            f"{'given by --input-size' if request.inputs else 'in the file'}; leave it out"
        )
    if request.arguments and request.model.endswith(".pt2"):
        raise UsageError(f"{request.model} holds a network and its weights; leave --model-arg out")
    if not zoo:
        request.check_own("preset")


def _small_images(shape: tuple[int, ...]) -> bool:
    return len(shape) == 4 and shape[1] == 3 and max(shape[2:]) < _SMALL


def check_zoo_name(name: str) -> None:
    """Raise UnknownName, with what else could be named, unless the zoo has such a network."""
    try:
        MODELS.get(name)
    except UnknownName as error:
        raise UnknownName(
            f"{error}; your own model is named as path/to/file.py:factory, package.module:factory, FILE.pt2 or "
            "FILE.onnx"
        ) from None


def own_model(text: str, arguments: Mapping[str, Any]) -> nn.Module:
    """What a factory of the user's makes, whose code runs because they named it. Raises ModelError."""
    model = made_by(text, arguments, what="model", failure=ModelError)
    if not isinstance(model, nn.Module):
        raise ModelError(f"{text} gave a {type(model).__name__}, not a torch.nn.Module")
    return model


def _exported(path: Path, inputs: tuple[InputSpec, ...]) -> Subject:
    if not os.path.lexists(path):
        raise ModelError(f"no exported program {path}")
    check_regular(path, str(path), ModelError, most=MOST_BYTES)
    if not _is_zip(path):
        raise ModelError(f"{path} is not a program saved by torch.export.save: it is no zip archive")
    try:
        with _tensors_only():
            program = torch.export.load(path)
        example = program.example_inputs
        module = program.module(check_guards=False)
    except Exception as error:
        raise ModelError(f"{path} is not a program saved by torch.export.save: {one_line(error)}") from error
    own: tuple[InputSpec, ...] = ()
    if example is not None:
        own = tuple(InputSpec(tuple(x.shape), x.dtype) for x in example[0] if isinstance(x, torch.Tensor))
    if inputs and own and [i.shape for i in inputs] != [i.shape for i in own]:
        raise UsageError(
            f"{path} was exported for {' and '.join(i.text for i in own)}; leave --input-size out"
        )
    if not (inputs or own):
        raise UsageError(f"{path} does not say its input shape; give --input-size")
    return Subject(module, str(path), None, own or inputs, trained=True, one_batch=True)


def _is_zip(path: Path) -> bool:
    try:
        return zipfile.is_zipfile(path)
    except zipfile.BadZipFile:  # it says that it is one of several files
        return False


def _from_onnx(path: Path, request: Request) -> Subject:
    from abcost.onnx.load import load_onnx  # noqa: PLC0415 - few commands need it

    for option, given in (("--checkpoint", request.checkpoint), ("--model-arg", request.arguments)):
        if given:
            raise UsageError(f"{path} holds weights of its own; leave {option} out")
    loaded = load_onnx(path, request.inputs)
    return Subject(loaded.program, str(path), None, loaded.inputs, trained=True, warnings=loaded.warnings,
                   one_batch=True)  # fmt: skip


@contextlib.contextmanager
def _tensors_only() -> Iterator[None]:
    """torch.export.load unpickles whatever a file asks for; here it runs no code, and keeps its log to itself."""
    name = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
    before = os.environ.get(name)
    os.environ[name] = "1"
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)
        os.environ.pop(name)
        if before is not None:
            os.environ[name] = before
