"""Progress of a training on stderr: a bar on a terminal, a line per epoch everywhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import rich.console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from abcost.cli.output import note
from abcost.training.config import Config
from abcost.training.log import Row

_READ_EVERY = 0.5  # seconds between two looks at the loss, for reading it waits for the device


class Console:
    """Shows a training (a `TrainingListener`); a context manager, so that the bar is always taken away."""

    def __init__(self) -> None:
        columns = (
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[now]}"),
            TimeRemainingColumn(elapsed_when_finished=True),
        )  # fmt: skip
        self._progress = Progress(
            *columns,
            console=rich.console.Console(stderr=True),
            transient=True,
            disable=not sys.stderr.isatty(),
        )
        self._task = self._progress.add_task("", total=None, visible=False, now="")
        self._epochs = self._batches = self._epoch = self._size = 0
        self._read = self._began = 0.0

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Take the bar away."""
        self._progress.stop()

    def started(self, config: Config, *, epoch: int, batches: int) -> None:
        """Name the step."""
        self._epochs, self._batches, self._epoch = config.epochs, batches, epoch
        self._size = config.batch_size
        self._began = time.monotonic()
        self._progress.reset(
            self._task, total=config.epochs * batches, completed=epoch * batches, visible=True,
            description=f"step {config.step}", now="",
        )  # fmt: skip
        again = f", from epoch {epoch + 1}" if epoch else ""
        note(f"step {config.step} of {config.model} on {config.data}: {config.epochs} epochs{again}")

    def batch(self, done: int, loss: Any) -> None:
        """Move the bar; look at the loss now and then."""
        now = time.monotonic()
        if self._progress.disable or now - self._read < _READ_EVERY:
            return
        self._read = now
        text = f"epoch {self._epoch + 1}, loss {float(loss):.4f}"
        self._progress.update(self._task, completed=self._epoch * self._batches + done, now=text)

    def epoch(self, row: Row) -> None:
        """One line."""
        self._epoch = int(row["epoch"])
        split = "validation" if "validation_top1" in row else "test"
        self._progress.update(self._task, completed=self._epoch * self._batches)
        line = (
            f"epoch {self._epoch:3}/{self._epochs}  loss {row['train_loss']:.4f}  top-1 {row['train_top1']:.2%}  "
            f"{split} {row[f'{split}_top1']:.2%}  {row['images_per_second']:,.0f} images/s"
        )
        self._progress.console.print(line, highlight=False)

    def tested(self, found: Mapping[str, Any], folder: Path) -> None:
        """What the step has reached."""
        low, high = found["test_top1_ci95"]
        self._progress.console.print(
            f"step {found['step']}: test top-1 {found['test_top1']:.2%} (95 % interval {low:.2%} to {high:.2%}, "
            f"{found['test_images']:,} images), by epoch {found['best_epoch']}, chosen on {found['selected_on']}: "
            f"{folder / 'best.pt'}",
            highlight=False,
            soft_wrap=True,
        )


def seeds_text(found: Mapping[str, Any], folder: Path) -> str:
    """What trainings with several seeds reached, one line, and one more for each that diverged."""
    top1, loss, count = found["test_top1"], found["test_loss"], len(found["seeds"])
    lines = [f"seed {seed}: {reason}" for seed, reason in found["diverged"].items()]
    if count > 1:
        lines.append(
            f"{count} seeds: test top-1 {top1['mean']:.2%} ± {100 * top1['sd']:.2f} ({min(top1['values']):.2%} to "
            f"{max(top1['values']):.2%}), test loss {loss['mean']:.4f} ± {loss['sd']:.4f}, means and standard "
            f"deviations: {folder / 'seeds.json'}"
        )
    elif count:
        lines.append(
            f"1 seed: test top-1 {top1['mean']:.2%}, test loss {loss['mean']:.4f}: {folder / 'seeds.json'}"
        )
    return "\n".join(lines)
