"""Bundled cost tables, read once per process: of tests, and of commands that are forked (tests/warm)."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from abcost.cost import CostTable, cost_models_dir
from abcost.cost.table import locate

_load = CostTable.load
_read_once = cache(_load)
_bundled = cost_models_dir()


def _load_bundled_once(name_or_path, *, sampled=None):
    path = locate(name_or_path)
    if path.parent != _bundled:
        return _load(name_or_path, sampled=sampled)
    return replace(_read_once(path, sampled=sampled), _prices={}, remembered={}, _narrowest={})


def read_tables_once():
    """Nearly every test takes a table or two, and each is a tenth of a second; what a table remembers is its own."""
    CostTable.load = _load_bundled_once
