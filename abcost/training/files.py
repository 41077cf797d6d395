"""Files that are written whole or not at all, also if the process is killed."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import torch
from filelock import FileLock, Timeout

from abcost.errors import OutputError, UsageError

PREFIX = ".abcost-"  # of files that are being written; a killed process leaves them behind
LOCK = ".lock"
_LOCK_S = 5.0  # a killed process may leave children that read images, which hold its files for some seconds


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Make a run folder, and keep other processes out of it. The system lets go however the process ends.

    Raises UsageError if another process is in it, OutputError if it cannot be made or written to.
    """
    lock = FileLock(folder / LOCK)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=_LOCK_S)
    except Timeout as error:
        raise UsageError(
            f"--run-dir {folder} is in use by another process: wait for it, or name another folder"
        ) from error
    except OSError as error:
        raise OutputError(f"--run-dir {folder}: {error.strerror or error}") from error
    try:
        yield
    finally:
        lock.release()


def write_whole(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Let `write` fill a temporary file beside `path`, bring it to the disk and rename it. Raises OutputError."""
    temporary: Path | None = None
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=PREFIX)
        temporary = Path(name)
        with os.fdopen(descriptor, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except (OSError, RuntimeError) as error:  # torch.save raises RuntimeError on a full disk
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise OutputError(f"cannot write {path}: {reason}") from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write text as UTF-8, as `write_whole` does. Raises OutputError."""
    write_whole(path, lambda file: file.write(text.encode("utf-8")))


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write indented JSON, as `write_whole` does. Raises OutputError."""
    write_text(path, json.dumps(content, indent=2) + "\n")


def write_tensors(path: Path, content: Mapping[str, Any]) -> None:
    """`torch.save`, as `write_whole`."""
    write_whole(path, lambda file: torch.save(dict(content), file))


def copy_whole(source: Path, path: Path) -> None:
    """A copy of a file, as `write_whole`. Raises OutputError, also if `source` cannot be read."""
    try:
        content = source.read_bytes()
    except OSError as error:
        raise OutputError(f"cannot copy {source}: {error.strerror or error}") from error
    write_whole(path, lambda file: file.write(content))


def sweep(folder: Path) -> None:
    """Remove what a killed process left half-written."""
    for leftover in folder.glob(f"{PREFIX}*"):
        leftover.unlink(missing_ok=True)
