"""Data sets that ship inside a package."""

from __future__ import annotations

from pathlib import Path

from abcost.errors import UsageError


def refuse_root(name: str, package: str, root: Path | None) -> None:
    """Raises UsageError if the user named a folder for a set that needs none."""
    if root is not None:
        raise UsageError(f"{name} ships with {package}; leave the folder {root} out")
