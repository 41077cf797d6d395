"""From what the user named to a model that can be analysed.

reactnet_a                      a network of the zoo
path/to/file.py:factory         the user's file; running it is running their code, because they named it
package.module:factory          the same, importable
path/to/model.pt2               a program saved by torch.export.save
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import importlib.util
import logging
import os
import sys
import warnings
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from abcost.core.inputs import InputSpec
from abcost.errors import AbcostError, ModelError, UnknownName, UsageError
from abcost.models.checkpoint import Checkpoint, read_checkpoint, restore
from abcost.models.factory import build, check_images
from abcost.models.presets import preset
from abcost.models.registry import MODELS

_SMALL = (
    32  # pixels; smaller images may not reach through all stages, which is found out before the slow part
)
_SEED = 0  # fresh weights are the same in every run, so that the same command gives the same report


@dataclass(frozen=True, slots=True)
class Request:
    """What the user asked for.

    None takes what the checkpoint says (see `Origin`), else the default: variant ab, step 2, preset imagenet and its
    classes, widths and blocks as published.  Without inputs: the checkpoint's, the preset's or the exported program's.
    """

    model: str
    variant: str | None = None
    step: int | None = None
    preset: str | None = None
    num_classes: int | None = None
    base_width: int | None = None
    blocks: tuple[int, ...] | None = None
    alpha_exponent: int | None = None
    inputs: tuple[InputSpec, ...] = ()
    checkpoint: Path | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Subject:
    """A model and what it is fed."""

    model: nn.Module
    name: str
    variant: str | None  # None for models that are not of the zoo
    inputs: tuple[InputSpec, ...]
    trained: bool  # weights come from a checkpoint or from the user, not from initialisation
    base_width: int | None = None  # of a reduced network of the zoo; None: as published
    blocks: tuple[int, ...] | None = None
    step: int | None = None  # None for models that are not of the zoo
    alpha_exponent: int | None = None  # None: as published


def resolve(request: Request) -> Subject:
    """Build or load the model. Raises UnknownName, UsageError, ModelError or CheckpointError."""
    zoo = ":" not in request.model and not request.model.endswith(".pt2")
    _check_options(request, zoo=zoo)
    if zoo:
        _zoo_name(request.model)  # a bad name comes before a bad checkpoint
    checkpoint = None if request.checkpoint is None else read_checkpoint(request.checkpoint)
    if zoo and checkpoint is not None:
        request = _as_trained(request, checkpoint)
    chosen = preset(request.preset or "imagenet")
    inputs = request.inputs or (InputSpec(chosen.input_shape),)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_SEED)
        if zoo:
            variant = request.variant or "ab"
            recipe = {
                "variant": variant,
                "step": 2 if request.step is None else request.step,
                "stem": chosen.stem,
                "num_classes": chosen.num_classes if request.num_classes is None else request.num_classes,
                "base_width": request.base_width,
                "blocks": request.blocks,
                "alpha_exponent": request.alpha_exponent,
            }
            model = _from_zoo(request.model, **recipe)
            if len(inputs) == 1 and _small_images(inputs[0].shape):
                check_images(request.model, inputs[0].shape, **recipe)
            subject = Subject(
                model,
                request.model,
                variant,
                inputs,
                trained=request.checkpoint is not None,
                base_width=request.base_width,
                blocks=request.blocks,
                step=recipe["step"],  # type: ignore[arg-type]
                alpha_exponent=request.alpha_exponent,
            )
        elif ":" in request.model:
            subject = Subject(
                _from_factory(request.model, request.arguments), request.model, None, inputs, trained=True
            )
        else:
            subject = _exported(Path(request.model), request.inputs)
    if checkpoint is not None:
        restore(subject.model, checkpoint)
    return subject


def _as_trained(request: Request, checkpoint: Checkpoint) -> Request:
    """The request, completed by what the checkpoint says. Raises UsageError where the two contradict."""
    origin, shown = checkpoint.origin, repr(checkpoint.path)
    if origin.model not in {None, request.model}:
        raise UsageError(
            f"checkpoint {shown} is of {origin.model}, not of {request.model}; name the network that was trained"
        )
    completed: dict[str, Any] = {}
    for name in ("variant", "step", "preset", "num_classes", "base_width", "blocks", "alpha_exponent"):
        asked, trained = getattr(request, name), getattr(origin, name)
        if trained is None:
            continue
        if asked not in {None, trained}:
            option = f"--{name.replace('_', '-')}"
            raise UsageError(
                f"{option} {_text(asked)} contradicts checkpoint {shown}, which was trained with {_text(trained)}; "
                f"leave {option} out"
            )
        completed[name] = trained
    if origin.input_shape is not None and not request.inputs:
        completed["inputs"] = (InputSpec((1, *origin.input_shape)),)
    return replace(request, **completed)


def _text(value: object) -> str:
    """As on the command line."""
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def parse_arguments(texts: Sequence[str]) -> dict[str, Any]:
    """`--model-arg k=v` pairs; v is a Python literal where it reads as one, else text. Raises UsageError."""
    arguments: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key.isidentifier():
            raise UsageError(f"--model-arg {text!r} is not of the form name=value")
        try:
            arguments[key] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            arguments[key] = value
    return arguments


def _check_options(request: Request, *, zoo: bool) -> None:
    """Options of the other sort of model are mistakes, not to be ignored."""
    if zoo and request.arguments:
        raise UsageError(
            "--model-arg is for your own factory; zoo models take --variant, --step, --preset, --num-classes, "
            "--base-width, --blocks"
        )
    for option in ("variant", "step", "num_classes", "base_width", "blocks", "alpha_exponent"):
        if not zoo and getattr(request, option) is not None:
            raise UsageError(
                f"--{option.replace('_', '-')} is for zoo models; your own factory takes --model-arg name=value"
            )


def _small_images(shape: tuple[int, ...]) -> bool:
    return len(shape) == 4 and shape[1] == 3 and max(shape[2:]) < _SMALL


def _zoo_name(name: str) -> str:
    if name not in MODELS.names():
        try:
            MODELS.get(name)
        except UnknownName as error:
            raise UnknownName(
                f"{error}; your own model is named as path/to/file.py:factory, package.module:factory or FILE.pt2"
            ) from None
    return name


def _from_zoo(name: str, **recipe: Any) -> nn.Module:
    try:
        return build(_zoo_name(name), **recipe)
    except (RuntimeError, MemoryError, OverflowError, TypeError) as error:  # a billion classes
        asked = ", ".join(f"{option} {value}" for option, value in recipe.items() if value is not None)
        raise ModelError(f"{name} cannot be built with {asked}: {_one_line(error)}") from error


def _from_factory(text: str, arguments: Mapping[str, Any]) -> nn.Module:
    where, _, factory_name = text.rpartition(":")
    module = _load_file(Path(where)) if where.endswith(".py") else _import(where)
    factory = getattr(module, factory_name, None)
    if factory is None:
        raise ModelError(f"{where} has no {factory_name!r}; name a function or class that makes the model")
    try:
        with _importable(Path(where).parent if where.endswith(".py") else Path.cwd()):
            made = callable(factory) and not isinstance(factory, nn.Module)
            model = factory(**arguments) if made else factory
    except AbcostError:
        raise
    except (Exception, SystemExit) as error:  # the user's code may raise anything; it becomes one line
        raise ModelError(f"{text} raised {type(error).__name__}: {_one_line(error)}") from error
    if not isinstance(model, nn.Module):
        raise ModelError(f"{text} gave a {type(model).__name__}, not a torch.nn.Module")
    return model


def _load_file(path: Path) -> ModuleType:
    if not _is_file(path):
        raise ModelError(f"no model file {path}")
    spec = importlib.util.spec_from_file_location(f"_abcost_user_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ModelError(f"{path} cannot be loaded as Python")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses and pickling inside the file look the module up
    try:
        with _importable(path.parent):
            spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # the user's code may raise anything; it becomes one line
        raise ModelError(
            f"{path} raised {type(error).__name__} while it was loaded: {_one_line(error)}"
        ) from error
    return module


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name too long; a NUL in it
        return False


def _import(name: str) -> ModuleType:
    try:
        with _importable(Path.cwd()):
            return importlib.import_module(name)
    except (Exception, SystemExit) as error:  # the user's code may raise anything; it becomes one line
        raise ModelError(f"cannot import {name!r}: {type(error).__name__}: {_one_line(error)}") from error


@contextlib.contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Let the user's file import its neighbours, as `python file.py` would."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):  # the user's code may have taken it out itself
            sys.path.remove(str(folder))


def _exported(path: Path, inputs: tuple[InputSpec, ...]) -> Subject:
    if not _is_file(path):
        raise ModelError(f"no exported program {path}")
    if not zipfile.is_zipfile(path):
        raise ModelError(f"{path} is not a program saved by torch.export.save: it is no zip archive")
    try:
        with _tensors_only():
            program = torch.export.load(path)
        example = program.example_inputs
        module = program.module(check_guards=False)
    except Exception as error:
        raise ModelError(f"{path} is not a program saved by torch.export.save: {_one_line(error)}") from error
    own: tuple[InputSpec, ...] = ()
    if example is not None:
        own = tuple(InputSpec(tuple(x.shape), x.dtype) for x in example[0] if isinstance(x, torch.Tensor))
    if inputs and own and [i.shape for i in inputs] != [i.shape for i in own]:
        raise UsageError(
            f"{path} was exported for {' and '.join(i.text for i in own)}; leave --input-size out"
        )
    if not (inputs or own):
        raise UsageError(f"{path} does not say its input shape; give --input-size")
    return Subject(module, str(path), None, own or inputs, trained=True)


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


def _one_line(error: BaseException) -> str:
    return (" ".join(str(error).split()) or "no message")[:300]
