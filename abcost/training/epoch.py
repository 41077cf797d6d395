"""The end of an epoch: what is said of it, whether it is the best one, and what is kept."""

from __future__ import annotations

from abcost.errors import TrainError
from abcost.training.config import Config
from abcost.training.context import BEST, LAST, LOG, RunContext
from abcost.training.files import write_tensors, write_text
from abcost.training.log import Row, log_csv
from abcost.training.network import described
from abcost.training.progress import Snapshot, TrainingProgress, checkpoint, save
from abcost.training.schedule import learning_rate


def epoch_row(
    config: Config,
    epoch: int,
    trained: tuple[float, float, float],
    chosen: tuple[float, float, float],
    images: int,
    seconds: float,
) -> Row:
    """The line of the log for `epoch` (from 0): loss, top-1 and top-5 in training, and on the split that chooses."""
    names = ("loss", "top1", "top5")
    return {
        "step": config.step,
        "epoch": epoch + 1,
        "lr": learning_rate(config.lr, epoch, config.epochs),
        **{f"train_{name}": value for name, value in zip(names, trained, strict=True)},
        **{f"{config.select_on}_{name}": value for name, value in zip(names, chosen, strict=True)},
        "images_per_second": images / seconds,
        "seconds": seconds,
    }


def diverged(config: Config, epoch: int, loss: float) -> TrainError:
    """The error to raise where the loss of `epoch` (from 0) is not finite."""
    return TrainError(
        f"the loss is {loss} in epoch {epoch + 1} of step {config.step}: training diverged; "
        f"lower --lr (now {config.lr:g}) or --clip (now {config.clip})"
    )


def ended_better(config: Config, progress: TrainingProgress) -> bool:
    """Whether an epoch has just ended, and is the best: by top-1; of equal ones the later, or that of less loss."""
    if progress.batch != 0:
        return False
    if progress.best == 0:
        return True
    split = config.select_on
    last, best = progress.rows[-1], progress.rows[progress.best - 1]
    if last[f"{split}_top1"] != best[f"{split}_top1"]:
        return last[f"{split}_top1"] > best[f"{split}_top1"]
    return config.ties == "later" or last[f"{split}_loss"] < best[f"{split}_loss"]


def keep(config: Config, context: RunContext, snapshot: Snapshot, progress: TrainingProgress) -> None:
    """best.pt if the epoch that has just ended is the best, then the log, then last.pt. Raises OutputError."""
    folder, description = context.folder, described(config, context.data)
    if progress.batch == 0 and progress.best == progress.epoch:
        write_tensors(folder / BEST, checkpoint(config, description, snapshot.state, progress))
    write_text(folder / LOG, log_csv(progress.rows))
    save(folder / LAST, config, description, snapshot, progress)
