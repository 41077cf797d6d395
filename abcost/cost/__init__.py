"""What units cost on a target: tables, laws, and the price of a network."""

from __future__ import annotations

from abcost.cost.bundled import bundled_targets, cost_models_dir
from abcost.cost.entry import Detail, MemoryLevel, MemoryLevels, Source, UnitPrice
from abcost.cost.table import CostTable
from abcost.cost.targets import TARGETS

__all__ = [
    "TARGETS",
    "CostTable",
    "Detail",
    "MemoryLevel",
    "MemoryLevels",
    "Source",
    "UnitPrice",
    "bundled_targets",
    "cost_models_dir",
]
