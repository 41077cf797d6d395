"""Checkpoints into models: all of it is checked before anything is changed."""

from __future__ import annotations

import errno
import re
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike

import torch
from torch import Tensor, nn

from abcost.core.reading import check_regular
from abcost.errors import CheckpointError
from abcost.models.factory import fitting
from abcost.models.origin import TrainedAs, origin_of

MOST_BYTES = 2**36  # of a file: 64 GiB, and ReActNet-A with its optimizer has 0.4
SCHEMA = 1  # of abcost's own checkpoints


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What was read from a file."""

    path: str
    tensors: Mapping[str, Tensor]  # as they are named in the file
    origin: TrainedAs


def load_checkpoint(model: nn.Module, path: str | PathLike[str]) -> None:
    """Copy the tensors of a checkpoint into `model`. Raises as `read_checkpoint` and `restore`."""
    restore(model, read_checkpoint(path))


def read_checkpoint(path: str | PathLike[str]) -> Checkpoint:
    """Read a checkpoint.

    Accepts what `torch.save` wrote under any file suffix: a bare state dict, as published with A&B BNN, or a
    dictionary that holds one as "state_dict", as `abcost train` writes it (schema 1); the names with or
    without the prefix "module." of torch.nn.DataParallel.  Runs no code from the file.

    Raises CheckpointError if the file is missing, unreadable, damaged or not a checkpoint.
    """
    shown = repr(str(path))
    content = _read(path, shown)
    return Checkpoint(str(path), _state_dict(content, shown), origin_of(content, shown))


def restore(model: nn.Module, checkpoint: Checkpoint) -> None:
    """Copy the tensors into `model`.

    Raises CheckpointError, with `model` unchanged, if they are not exactly those of the model, in name, shape
    and kind, or not finite.
    """
    shown = repr(checkpoint.path)
    found = checkpoint.tensors
    wanted: dict[str, Tensor] = model.state_dict()
    if not any(name.startswith("module.") for name in wanted):
        found = _without_prefix(found)
    _check_names_and_shapes(found, wanted, shown)
    _check_kinds(found, wanted, shown)
    # in the model's type first: a float64 weight of 1e300 is finite, the float32 it becomes is not
    converted = {name: tensor.to(wanted[name].dtype) for name, tensor in found.items()}
    _check_finite(converted, shown)
    model.load_state_dict(converted)


def _read(path: str | PathLike[str], shown: str) -> object:
    """What torch.load makes of the file."""
    check_regular(path, f"checkpoint {shown}", CheckpointError, most=MOST_BYTES)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickle protocols; the outcome is judged below
            content: object = torch.load(path, map_location="cpu", weights_only=True)
        damaged = _damaged_record(path)
    except Exception as error:  # a foreign file can make the unpickler fail in any way
        if (
            isinstance(error, OSError) and error.errno != errno.EINVAL
        ):  # that is a seek before the file's start
            raise CheckpointError(
                f"cannot read checkpoint {shown}: {error.strerror or error}; check the path"
            ) from error
        code = re.search(r"GLOBAL (\S+)", str(error))
        if code:
            raise CheckpointError(
                f"checkpoint {shown} holds a Python object ({code[1]!r}), which abcost does not run; "
                "save the tensors alone, with torch.save(model.state_dict(), file)"
            ) from error
        raise CheckpointError(
            f"checkpoint {shown} is empty, damaged or not written by torch.save; copy or save it again"
        ) from error
    if damaged:
        raise CheckpointError(
            f"checkpoint {shown} is damaged: the checksum of {damaged!r} is wrong; copy it again"
        )
    return content


def _damaged_record(path: str | PathLike[str]) -> str | None:
    """The first record whose checksum is wrong; torch.load itself does not look."""
    if not zipfile.is_zipfile(path):  # the format before PyTorch 1.6 has no checksums
        return None
    with zipfile.ZipFile(path) as archive:
        return archive.testzip()


def _state_dict(content: object, shown: str) -> dict[str, Tensor]:
    """The tensors by name, from either form of checkpoint."""
    if isinstance(content, Mapping) and "state_dict" in content:
        schema = content.get("schema", SCHEMA)
        if type(schema) is not int or schema != SCHEMA:
            raise CheckpointError(
                f"checkpoint {shown} has schema {_brief(schema)}, this abcost reads schema {SCHEMA}; "
                "update abcost"
            )
        content = content["state_dict"]
    if not isinstance(content, Mapping):
        raise CheckpointError(
            f"checkpoint {shown} holds a {type(content).__name__} where a state dict was expected; "
            "save it with torch.save(model.state_dict(), file)"
        )
    for name, value in content.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise CheckpointError(
                f"checkpoint {shown} is not a state dict: entry {_brief(name)} is a {type(value).__name__}, "
                "not a tensor; save it with torch.save(model.state_dict(), file)"
            )
    return dict(content)


def _without_prefix(tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The tensors without the prefix of torch.nn.DataParallel, if every name has it."""
    if not all(name.startswith("module.") for name in tensors):
        return tensors
    return {name.removeprefix("module."): tensor for name, tensor in tensors.items()}


def _check_names_and_shapes(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor], shown: str) -> None:
    """Refuse unless both are the same, and say what the tensors would fit."""
    missing = [f"{name!r} {_shape(wanted[name])}" for name in wanted if name not in found]
    unexpected = [f"{name!r} {_shape(found[name])}" for name in found if name not in wanted]
    misshapen = [
        f"{name!r} is {_shape(found[name])}, wanted {_shape(wanted[name])}"
        for name in wanted
        if name in found and found[name].shape != wanted[name].shape
    ]
    faults = [
        f"{len(tensors)} {what} (first: {tensors[0]})"
        for what, tensors in (
            ("missing", missing),
            ("unexpected", unexpected),
            ("of another shape", misshapen),
        )
        if tensors
    ]
    if faults:
        candidates = fitting({name: tuple(tensor.shape) for name, tensor in found.items()})
        advice = f"it fits {' or '.join(candidates)}" if candidates else "build the model it was trained as"
        raise CheckpointError(f"checkpoint {shown} does not fit the model: {', '.join(faults)}; {advice}")


def _check_kinds(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor], shown: str) -> None:
    """Refuse whole numbers for real ones, and tensors that are sparse or hold no values."""
    for name, tensor in found.items():
        same_kind = tensor.is_floating_point() == wanted[name].is_floating_point()
        if not same_kind or tensor.layout != torch.strided or tensor.is_meta:
            kind = f"{tensor.dtype}, {tensor.layout}, device {tensor.device}".replace("torch.", "")
            wanted_kind = str(wanted[name].dtype).removeprefix("torch.")
            raise CheckpointError(
                f"checkpoint {shown}: {name!r} is {kind}, wanted {wanted_kind}; "
                "save the tensors as they were trained, dense and on the CPU"
            )


def _check_finite(tensors: Mapping[str, Tensor], shown: str) -> None:
    """Refuse infinities and NaNs."""
    for name, tensor in tensors.items():
        bad = int((~torch.isfinite(tensor)).sum())
        if bad:
            raise CheckpointError(
                f"checkpoint {shown} has {bad} of {tensor.numel()} values of {name!r} infinite or NaN; "
                "its training diverged: take an earlier one"
            )


def _shape(tensor: Tensor) -> str:
    return str(list(tensor.shape))


def _brief(foreign: object) -> str:
    """The repr of something from the file, on one short line."""
    return " ".join(repr(foreign).split())[:80]
