"""The names of the zoo, read from its files without importing them, for torch takes seconds to load."""

from __future__ import annotations

import importlib.metadata
import re
from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).parents[1] / "models" / "zoo"
_ADDED = re.compile(r'^@MODELS\.add\("([^"]+)"\)$', re.MULTILINE)
_PLUG_INS = "abcost.models"
"""Entry points of packages that add models."""


@cache
def zoo_names() -> tuple[str, ...]:
    """All bundled networks, sorted."""
    files = sorted(_FOLDER.glob("*.py"))
    return tuple(sorted(name for file in files for name in _ADDED.findall(file.read_text(encoding="utf-8"))))


def more_may_be_known() -> bool:
    """Whether an installed package adds models, whose names are known once it is loaded."""
    return bool(importlib.metadata.entry_points(group=_PLUG_INS))
