"""Tensors whose data lies in files next to the model: only files in the model's own folder are read."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from abcost.errors import ModelError

_EXTERNAL = 1  # TensorProto.DataLocation.EXTERNAL


def load_external(tensors: Iterable[Any], path: Path, room: int) -> None:
    """Put external data into the tensors themselves, at most `room` bytes in all. Raises ModelError."""
    folder = path.resolve().parent
    for tensor in tensors:
        if tensor.data_location != _EXTERNAL:
            continue
        entries = {entry.key: entry.value for entry in tensor.external_data}
        file = _inside(folder, entries.get("location", ""), path, tensor.name)
        offset, length = _span(entries, file, path, tensor.name)
        room -= length
        if room < 0:
            raise ModelError(f"{path} and its external data have more than 2 GB, which protobuf cannot hold")
        try:
            with file.open("rb") as stream:
                stream.seek(offset)
                tensor.raw_data = stream.read(length)
        except OSError as error:
            raise ModelError(f"{path}: cannot read {file}: {error.strerror or error}") from error
        del tensor.external_data[:]
        tensor.ClearField("data_location")


def _inside(folder: Path, location: str, path: Path, name: str) -> Path:
    """The file, if it (and what it links to) lies in the folder of the model."""
    try:
        file = (folder / location).resolve()
        if not location or Path(location).is_absolute() or not file.is_relative_to(folder):
            raise ModelError(
                f"{path}: tensor {name!r} asks for data in {location!r}, "
                "outside the model's folder; such files are not read"
            )
        if not file.is_file():
            raise ModelError(
                f"{path}: tensor {name!r} needs {location!r} next to the model, which is not there"
            )
    except (OSError, ValueError, RuntimeError) as error:  # a name too long, a NUL in it, links in a circle
        raise ModelError(f"{path}: tensor {name!r} asks for data in {location[:80]!r}: {error}") from error
    return file


def _span(entries: dict[str, str], file: Path, path: Path, name: str) -> tuple[int, int]:
    size = file.stat().st_size
    try:
        offset = int(entries.get("offset", "0"))
        length = int(entries.get("length", str(size - offset)))
    except ValueError as error:
        raise ModelError(f"{path}: offset or length of tensor {name!r} is no number") from error
    if offset < 0 or length < 0 or offset + length > size:
        raise ModelError(
            f"{path}: tensor {name!r} asks for bytes {offset} to {offset + length} of {file.name}, which has {size}"
        )
    return offset, length
