"""The names of the data sets; files in `abcost/data/sets/` and plug-ins fill it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from abcost.data.dataset import DataSet
from abcost.data.options import Options
from abcost.registry import Registry

Loader = Callable[[Path | None, Options], DataSet]
"""Reads a data set from a folder, None for its usual place. Raises DataError, MissingExtra or UsageError."""

DATA: Registry[Loader] = Registry("data set", "abcost.data.sets", "abcost.data")
