"""A TOML file as checked values: one place for size, encoding, syntax, key and text errors."""

from __future__ import annotations

import difflib
import hashlib
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from abcost.core.reading import read_bytes
from abcost.cost.formula import shown
from abcost.errors import CostError

MAX_BYTES = 1 << 20
MAX_TEXT = 2000  # characters of one title or note


def read_document(path: Path) -> tuple[dict[str, Any], str]:
    """The parsed file and a digest of its bytes, which names the version of the table in reports.

    Raises CostError: not there, not a file, too large, empty, not UTF-8, not TOML (a key given twice).
    """
    try:
        there = path.exists() and not path.is_dir()
    except (OSError, ValueError):  # a name too long; a NUL in it
        there = False
    if not there:
        raise CostError(f"{path}: no such file; give a bundled target or the path of a .toml file")
    data = read_bytes(path, str(path), CostError, most=MAX_BYTES)
    with located(str(path)):
        if not data.strip():
            raise CostError("empty; start from one of the bundled tables in cost_models/")
        try:
            return tomllib.loads(data.decode("utf-8")), hashlib.sha256(data).hexdigest()[:12]
        except UnicodeDecodeError as error:
            raise CostError(f"not UTF-8 at byte {error.start}; save it as UTF-8") from None
        except (ValueError, RecursionError) as error:
            reason = (
                "nested too deeply" if isinstance(error, RecursionError) else " ".join(str(error).split())
            )
            raise CostError(f"not valid TOML: {reason}") from None


@contextmanager
def located(where: str) -> Iterator[None]:
    """Put the place in front of every CostError raised inside: `where: reason`."""
    try:
        yield
    except CostError as error:
        raise CostError(f"{where}: {error}") from None


def suggestion(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` if some known name is near, and all known names."""
    names = list(known)
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"{hint}(known: {', '.join(names)})"


def check_keys(table: Mapping[str, Any], known: Iterable[str]) -> None:
    """Raise CostError for the first key that is not known, with the nearest one that is."""
    names = list(known)
    for key in table:
        if key not in names:
            raise CostError(f"unknown key {shown(key)}; {suggestion(key, names)}")


def text(table: Mapping[str, Any], key: str, *, default: str | None = None) -> str:
    """A printable text without line breaks (a TOML multi-line text is joined). Raises CostError."""
    value = table.get(key, default)
    if value is None:
        raise CostError(f'{key} is missing; add {key} = "…"')
    if not isinstance(value, str):
        raise CostError(f"{key} must be a text in quotes, got {shown(value)}")
    joined = " ".join(value.split())
    if not joined and default is None:
        raise CostError(f"{key} is empty; fill it in")
    if not joined.isprintable() or len(joined) > MAX_TEXT:
        raise CostError(f"{key} must be printable text of at most {MAX_TEXT} characters, got {shown(value)}")
    return joined


def choice(table: Mapping[str, Any], key: str, known: Iterable[str]) -> str:
    """A text out of a fixed list. Raises CostError with the list."""
    names = list(known)
    value = text(table, key)
    if value not in names:
        raise CostError(f"{key} = {shown(value)} is unknown; {suggestion(value, names)}")
    return value


def texts(table: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """One text or a list of texts, each once. Raises CostError."""
    value = table.get(key)
    items = value if isinstance(value, list) else [value]
    names = [item for item in items if isinstance(item, str) and item and item.isprintable()]
    if not items or len(set(names)) < len(items):
        raise CostError(f"{key} must be a name in quotes or a list of different names, got {shown(value)}")
    return tuple(names)


def integer(table: Mapping[str, Any], key: str, *, default: int | None = None) -> int:
    """An integer of at least 1. Raises CostError."""
    value = table.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 1 << 50:
        raise CostError(f"{key} must be an integer >= 1, got {shown(value)}")
    return value


def tables(table: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    """A list of TOML tables, `[[key]]`; at most 500. Raises CostError."""
    value = table.get(key, [])
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value) or len(value) > 500:
        raise CostError(f"{key} must be written as [[{key}]] sections, at most 500 of them")
    return value


def section(table: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """A TOML table, `[key]`; empty if absent. Raises CostError."""
    value = table.get(key, {})
    if not isinstance(value, dict):
        raise CostError(f"{key} must be a section [{key}], got {shown(value)}")
    return value
