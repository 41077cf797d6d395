"""Files that a user names: regular ones only, and no more of them than makes sense.

A device such as /dev/zero never ends, a FIFO may never begin, and a file of gigabytes fills the memory. So every
reader of foreign files asks here first.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import IO, Any

from abcost.errors import AbcostError, one_line

_KINDS = (
    (stat.S_ISDIR, "Is a directory; name a file in it"),
    (stat.S_ISFIFO, "it is a FIFO, not a file; write what it gives to a file first"),
    (stat.S_ISSOCK, "it is a socket, not a file"),
    (stat.S_ISCHR, "it is a device, not a file"),
    (stat.S_ISBLK, "it is a device, not a file"),
)


def check_regular(
    path: str | PathLike[str],
    shown: str,
    failure: type[AbcostError],
    *,
    most: int | None = None,
    advice: str = "check the path",
) -> None:
    """Raise `failure`, "cannot read {shown}: why; {advice}", unless `path` is a regular file of at most `most` bytes.

    For libraries that open the file themselves; nothing is opened here.
    """
    try:
        found = Path(path).stat()
    except (OSError, ValueError) as error:  # not there, not permitted, a name too long; a NUL in it
        raise failure(f"cannot read {shown}: {_reason(error)}; {advice}") from error
    _check(found, shown, failure, most)


def read_bytes(
    path: str | PathLike[str],
    shown: str,
    failure: type[AbcostError],
    *,
    most: int,
    advice: str = "check the path",
) -> bytes:
    """All of a regular file. Raises `failure` as `check_regular`, also if it grows beyond `most` bytes meanwhile."""
    check_regular(
        path, shown, failure, most=most, advice=advice
    )  # before it is opened: opening a tape may rewind it
    try:
        with _opened(path) as file:
            _check(os.fstat(file.fileno()), shown, failure, most)  # another file may have taken its place
            content = file.read(most + 1)
    except (OSError, ValueError) as error:
        raise failure(f"cannot read {shown}: {_reason(error)}; {advice}") from error
    if len(content) > most:
        raise failure(f"cannot read {shown}: it has more than {most:,} bytes")
    return content


def read_text(path: str | PathLike[str], shown: str, failure: type[AbcostError], *, most: int) -> str:
    """Read UTF-8, with or without a byte order mark, as `read_bytes` does. Raises `failure` for other bytes."""
    content = read_bytes(path, shown, failure, most=most)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise failure(f"{shown} is not UTF-8 at byte {error.start}; save it as UTF-8") from error


def read_json(path: str | PathLike[str], shown: str, failure: type[AbcostError], *, most: int) -> Any:
    """What a JSON file holds. Raises `failure` as `read_text`, and as `parse_json`."""
    return parse_json(read_text(path, shown, failure, most=most), shown, failure)


def parse_json(text: str, shown: str, failure: type[AbcostError]) -> Any:
    """What a JSON text holds.

    Raises `failure`, "{shown} is not JSON: why", also for nesting without end, NaN and infinities, which JSON does
    not have, and for a key that an object holds twice: Python's parser would take the last one without a word.
    """
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise failure(f"{shown} is not JSON: {one_line(error)}") from error


def check_columns(columns: Sequence[str], shown: str, failure: type[AbcostError]) -> None:
    """Raise `failure` for a column that a table has twice: a reader would take the last one without a word."""
    for index, name in enumerate(columns):
        if name in columns[:index]:
            raise failure(f"{shown} has two columns {name!r}; keep one")


@contextlib.contextmanager
def _opened(path: str | PathLike[str]) -> Iterator[IO[bytes]]:
    """Open without waiting for whoever writes into a FIFO."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(descriptor, "rb") as file:
        yield file


def _check(found: os.stat_result, shown: str, failure: type[AbcostError], most: int | None) -> None:
    for is_kind, reason in _KINDS:
        if is_kind(found.st_mode):
            raise failure(f"cannot read {shown}: {reason}")
    if most is not None and found.st_size > most:
        raise failure(f"cannot read {shown}: it has {found.st_size:,} bytes, more than {most:,}")


def _reason(error: OSError | ValueError) -> str:
    return str(getattr(error, "strerror", None) or error)


def _unique(pairs: Sequence[tuple[str, Any]]) -> Mapping[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice[:80]!r} stands twice in one object; keep one")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")


def same_file(one: Path, other: Path) -> bool:
    """Whether two paths lead to one file, there or not."""
    try:
        return one.resolve() == other.resolve() or (one.exists() and other.exists() and one.samefile(other))
    except (OSError, ValueError, RuntimeError):  # a name too long; a NUL in it; links in a circle
        return False
