"""The log of a training: one row per epoch, as CSV and for TensorBoard."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

Row = dict[str, int | float]
"""step, epoch (from 1), lr, train_loss, train_top1, train_top5, the same three of the split that chooses the best epoch
(`validation_…` or `test_…`), images_per_second and seconds, both of the epoch's training and evaluation together."""


def log_csv(rows: Sequence[Row]) -> str:
    """Header and rows; numbers in full, so that equal logs are equal trainings. The empty text without rows."""
    if not rows:
        return ""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


class Board:
    """Event files that TensorBoard reads, in `folder`; rows from `epoch` on replace those of an interrupted run."""

    def __init__(self, folder: Path, epoch: int) -> None:
        from tensorboardX import SummaryWriter  # noqa: PLC0415 - takes half a second

        self._writer = SummaryWriter(str(folder), purge_step=epoch or None)

    def add(self, row: Row) -> None:
        """One epoch: every number against the epoch."""
        for name, value in row.items():
            if name not in {"step", "epoch"}:
                part, _, what = name.rpartition("_")
                self._writer.add_scalar(f"{what}/{part}" if part else name, value, row["epoch"])
        self._writer.flush()

    def close(self) -> None:
        """Finish the file."""
        self._writer.close()
