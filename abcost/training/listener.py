"""Who watches a training: the console, or nobody."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from abcost.training.config import Config
from abcost.training.log import Row


class TrainingListener(Protocol):
    """What a training tells while it runs; called in the first process only."""

    def started(self, config: Config, *, epoch: int, batches: int) -> None:
        """A step begins, or goes on, at `epoch` (from 0), with so many batches per epoch."""

    def batch(self, done: int, loss: Tensor) -> None:
        """So many batches of this epoch are done; `loss`, (), is that of the last one. Reading it may wait."""

    def epoch(self, row: Row) -> None:
        """An epoch is done, evaluated and saved."""

    def tested(self, found: Mapping[str, Any], folder: Path) -> None:
        """The step is done; `found` is metrics.json, and its files are in `folder`."""


class SilentListener:
    """Watches nothing."""

    def started(self, config: Config, *, epoch: int, batches: int) -> None:
        """Nothing."""

    def batch(self, done: int, loss: Tensor) -> None:
        """Nothing."""

    def epoch(self, row: Row) -> None:
        """Nothing."""

    def tested(self, found: Mapping[str, Any], folder: Path) -> None:
        """Nothing."""
