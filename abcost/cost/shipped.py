"""Registers the bundled tables; imported by the first look-up of a target."""

from __future__ import annotations

from abcost.cost.bundled import bundled_tables
from abcost.cost.targets import TARGETS

for _path in bundled_tables():
    TARGETS.add(_path.stem)(_path)
