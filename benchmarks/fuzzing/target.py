"""A parser under test, and where its input files are written."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis.strategies import SearchStrategy


@dataclass(frozen=True, slots=True)
class Target:
    """`read` takes an input of `strategy`: it accepts it or raises an AbcostError of one line; all else is a defect.

    what: what a user gives. inputs: of the long form.
    """

    name: str
    what: str
    strategy: SearchStrategy[Any]
    read: Callable[[Any], object]
    inputs: int


@cache
def _folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="abcost-fuzz-"))


def written(content: str | bytes, name: str) -> Path:
    """A file that holds the input."""
    path = _folder() / name
    path.write_bytes(
        content if isinstance(content, bytes) else content.encode("utf-8", errors="surrogatepass")
    )
    return path
