"""One step of the recipe, from fresh or given weights to a tested checkpoint."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from abcost.data import DataSet
from abcost.models.checkpoint import load_checkpoint
from abcost.training.adam import Adam
from abcost.training.agc import clip_
from abcost.training.config import Config
from abcost.training.context import BOARD, LAST, RunContext
from abcost.training.epoch import diverged, ended_better, epoch_row, keep
from abcost.training.evaluation import evaluate, summed
from abcost.training.groups import clipped_parameters, parameter_groups
from abcost.training.log import Board
from abcost.training.losses import mixed_loss
from abcost.training.network import network
from abcost.training.order import epoch_order, share_of_batches
from abcost.training.outcome import test
from abcost.training.progress import Snapshot, TrainingProgress, restore
from abcost.training.runtime import gradient_precision
from abcost.training.schedule import learning_rate
from abcost.training.slopes import restrict_slopes
from abcost.training.tally import LossTally
from abcost.training.teacher import load_teacher

_AGREE_EVERY = 16  # batches between two times that several processes agree whether to stop


def train_step(config: Config, context: RunContext, *, start: Path | None = None) -> dict[str, Any]:
    """Train, from the weights of `start` if given; go on from `last.pt` if the folder has one.

    Leaves best.pt, last.pt, log.csv, metrics.json, confusion.csv and tensorboard/ in the folder, each whole at any
    moment, and returns what metrics.json says. Every epoch is saved; last.pt is written last, so that all else can be
    made again from it.

    Raises KeyboardInterrupt, after saving, if asked to stop; TrainError if the loss is no longer finite; UsageError,
    CheckpointError or OutputError.
    """
    fabric, data = context.fabric, context.data
    torch.manual_seed(config.seed)
    teacher = None
    if config.teacher and config.distillation:  # made first, as published: making it takes random numbers
        teacher = load_teacher(config.teacher, config.teacher_model, data).to(config.dtype)
    model = network(config, data)
    if start is not None:
        load_checkpoint(model, start)
    restrict_slopes(model, config)

    adam = Adam(parameter_groups(model, config), fused=True)
    compiled: nn.Module = torch.compile(model) if config.compile else model  # type: ignore[assignment]
    runner, optimizer = fabric.setup(compiled, adam)
    if teacher is not None:
        teacher = teacher.to(fabric.device)
    trainer = _Trainer(config, context, model, runner, adam, optimizer, teacher)

    last = context.folder / LAST
    progress = restore(last, config, model, adam) if last.exists() else TrainingProgress()
    if fabric.is_global_zero:
        context.listener.started(config, epoch=progress.epoch, batches=trainer.batches())
    board = Board(context.folder / BOARD, progress.epoch) if fabric.is_global_zero else None
    try:
        while progress.epoch < config.epochs:
            trainer.epoch(progress)
            if board is not None:
                board.add(progress.rows[-1])
                context.listener.epoch(progress.rows[-1])
            if progress.epoch < config.epochs and trainer.asked_to_stop():
                raise KeyboardInterrupt
    finally:
        if board is not None:
            board.close()
    return test(config, context, progress, None)


def check_step(config: Config, data: DataSet, processes: int, *, start: Path | None = None) -> None:
    """Make all that `train_step` makes before it trains, and write nothing. Raises as it does."""
    model = network(config, data)
    if start is not None:
        load_checkpoint(model, start)
    restrict_slopes(model, config)
    parameter_groups(model, config)
    share_of_batches(torch.arange(len(data.train)), config.batch_size, rank=0, processes=processes)
    if config.teacher and config.distillation:
        load_teacher(config.teacher, config.teacher_model, data)


@dataclass(frozen=True, slots=True)
class _Trainer:
    """A network with its optimiser, and how an epoch changes them."""

    config: Config
    context: RunContext
    model: nn.Module  # as it is saved and evaluated
    runner: nn.Module  # the same, as the runtime runs it: compiled, on several devices, in its precision
    adam: torch.optim.Adam  # as it is saved
    optimizer: Any  # the same, as the runtime steps it
    teacher: nn.Module | None

    def epoch(self, progress: TrainingProgress) -> None:
        """Train one epoch, or what is left of it, evaluate and save; `progress` moves on.

        Raises KeyboardInterrupt, after saving, if asked to stop; TrainError.
        """
        config, fabric, data = self.config, self.context.fabric, self.context.data
        for group in self.adam.param_groups:
            group["lr"] = learning_rate(group["start_lr"], progress.epoch, config.epochs)
        tally = LossTally(len(data.classes), fabric.device)
        if fabric.is_global_zero:  # they are the sums over all processes
            tally.sums += torch.tensor(progress.sums, dtype=torch.float64, device=fabric.device)
        began = time.monotonic() - progress.seconds

        order = self._order(progress.epoch)
        size = config.batch_size // fabric.world_size
        clipped = clipped_parameters(self.model)
        self.model.train()
        remaining = order[progress.batch * size :]
        unread = data.train.batches(remaining, size, epoch=progress.epoch, augment=config.augment)
        for batch in (
            unread if len(remaining) else ()
        ):  # none: stopped between the last batch and the evaluation
            loss = self._batch(batch, clipped, tally)
            progress.batch += 1
            if fabric.is_global_zero:
                self.context.listener.batch(progress.batch, loss)
            if progress.batch % self._patience() == 0 and self.asked_to_stop():
                progress.sums = self._together(tally).tolist()
                progress.seconds = time.monotonic() - began
                self._save(progress)
                raise KeyboardInterrupt

        tally.sums = self._together(tally)
        trained = tally.means()
        if not math.isfinite(trained[0]):
            raise diverged(config, progress.epoch, trained[0])
        chosen = evaluate(
            fabric,
            self.model,
            data.validation,
            classes=len(data.classes),
            batch_size=config.batch_size,
        )
        seconds = time.monotonic() - began
        progress.rows.append(
            epoch_row(config, progress.epoch, trained, chosen.means(), tally.images, seconds)
        )
        progress.finish_epoch()
        self._save(progress)

    def _batch(self, batch: tuple[Tensor, Tensor], clipped: list[nn.Parameter], tally: LossTally) -> Tensor:
        """Forward, backward, clip, step."""
        config, fabric = self.config, self.context.fabric
        images, labels = fabric.to_device(batch)
        layout = torch.contiguous_format if config.own else torch.channels_last  # own networks may take views
        fast = images.contiguous(memory_format=layout)  # all layers take the layout over
        # without autocast, the runtime hands out float64 logits as float32
        with fabric.autocast(), gradient_precision(config):
            logits = self.runner(fast)
        taught = None
        if self.teacher is not None:
            with torch.no_grad(), fabric.autocast():
                taught = self.teacher(images.to(config.dtype))
        loss = mixed_loss(logits, labels, taught, config.distillation)
        self.optimizer.zero_grad()
        fabric.backward(loss)
        if config.clip is not None:
            clip_(clipped, config.clip)
        self.optimizer.step()
        tally.add(logits, labels, loss)
        return loss.detach()

    def batches(self) -> int:
        """Batches per epoch. Raises UsageError if a batch does not fit the set or the processes."""
        return len(self._order(0)) // (self.config.batch_size // self.context.fabric.world_size)

    def asked_to_stop(self) -> bool:
        """Whether any process was asked to; all of them come here at the same batch."""
        fabric = self.context.fabric
        if fabric.world_size == 1:
            return self.context.stop()
        asked = torch.tensor(float(self.context.stop()), device=fabric.device)
        return bool(summed(fabric, asked) > 0)

    def _patience(self) -> int:
        return 1 if self.context.fabric.world_size == 1 else _AGREE_EVERY

    def _order(self, epoch: int) -> Tensor:
        config, fabric = self.config, self.context.fabric
        order = epoch_order(len(self.context.data.train), seed=config.seed, step=config.step, epoch=epoch)
        return share_of_batches(
            order, config.batch_size, rank=fabric.global_rank, processes=fabric.world_size
        )

    def _together(self, tally: LossTally) -> Tensor:
        """The sums over all processes."""
        return summed(self.context.fabric, tally.sums)

    def _save(self, progress: TrainingProgress) -> None:
        fabric = self.context.fabric
        if ended_better(self.config, progress):
            progress.best = progress.epoch
        if fabric.is_global_zero:
            keep(self.config, self.context, Snapshot.of(self.model, self.adam), progress)
        fabric.barrier()
