"""The names of targets: bundled tables are there by being files, tables of plug-ins are registered by path.

TARGETS.add("my-asic")(Path(__file__).with_name("my-asic.toml"))
"""

from __future__ import annotations

from pathlib import Path

from abcost.registry import Registry

TARGETS: Registry[Path] = Registry("target", "abcost.cost.shipped", "abcost.targets")
