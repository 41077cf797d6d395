"""What a step of a training runs in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from abcost.data import DataSet
from abcost.training.listener import TrainingListener

if TYPE_CHECKING:
    from lightning_fabric import Fabric

CONFIG = "config.json"  # of the whole run
BEST, LAST = "best.pt", "last.pt"
LOG, METRICS, CONFUSION, BOARD = "log.csv", "metrics.json", "confusion.csv", "tensorboard"


@dataclass(frozen=True, slots=True)
class RunContext:
    """What a step runs in: runtime, data, the folder of its results, who watches, and whether to stop."""

    fabric: Fabric
    data: DataSet
    folder: Path
    listener: TrainingListener
    stop: Callable[[], bool]
