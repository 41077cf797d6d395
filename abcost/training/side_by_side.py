"""Trainings side by side: networks of one structure in one, each with batches, loss, clipping and results of its own.

What is trained, and what is left in the folder of each, is what `train_step` trains and leaves, up to the rounding of
sums in another order. The bits are the same whichever trainings stand beside one another (see `Grouped`).
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from abcost.data import DataSet, Split
from abcost.errors import TrainError
from abcost.models.checkpoint import load_checkpoint
from abcost.training.adam import Adam
from abcost.training.agc import clip_
from abcost.training.config import Config
from abcost.training.context import BEST, BOARD, LAST, LOG, RunContext
from abcost.training.epoch import diverged, ended_better, epoch_row
from abcost.training.evaluation import evaluate
from abcost.training.files import write_tensors, write_text
from abcost.training.groupable import check_groupable
from abcost.training.grouped import Grouped, NotGroupable
from abcost.training.groups import clipped_parameters, parameter_groups
from abcost.training.log import Board, log_csv
from abcost.training.loop import train_step
from abcost.training.losses import mixed_loss
from abcost.training.network import described, network
from abcost.training.order import epoch_order, share_of_batches
from abcost.training.outcome import conclude
from abcost.training.progress import TrainingProgress, checkpoint, restore, save
from abcost.training.runtime import gradient_precision
from abcost.training.schedule import learning_rate
from abcost.training.slopes import restrict_slopes
from abcost.training.splits import SideBySide
from abcost.training.tally import LossTally
from abcost.training.teacher import load_teacher


@dataclass(frozen=True, slots=True)
class Run:
    """One training: what `train_step` is called with."""

    config: Config
    context: RunContext
    start: Path | None = None


_SAVE_S = 2.0  # epochs of small networks take tenths of a second, and to write them as long

Outcome = dict[str, Any] | TrainError
"""What metrics.json says, or why there is none."""


def alike(configs: Sequence[Config]) -> bool:
    """Whether trainings differ in nothing but their seeds and the exponents that the same layers may take."""
    bare = [
        replace(config, seed=0, slopes=dict.fromkeys(config.slopes or (), (0,)) or None) for config in configs
    ]
    return all(config == bare[0] for config in bare)


def obstacle(config: Config, data: DataSet) -> str | None:
    """Why trainings of this network cannot stand side by side; None if they can. Raises as `network`."""
    if config.compile or config.devices > 1 or "TORCHELASTIC_RUN_ID" in os.environ:
        return "that is for one process without --compile"
    images, _ = data.validation.batch(torch.arange(2), epoch=0, augment=False)
    with torch.random.fork_rng(devices=[]):
        model = network(config, data)
    try:
        check_groupable(model, images)
    except NotGroupable as reason:
        return str(reason)
    return None


def train_side_by_side(runs: Sequence[Run]) -> list[Outcome]:
    """Train all, or go on, as `train_step` does with each; those that stand at the same batch side by side.

    The runs are `alike`, without an `obstacle`. Raises KeyboardInterrupt, after saving, if asked to stop; UsageError,
    CheckpointError or OutputError. A training that diverges is a TrainError among the outcomes, and the others go on.
    """
    members = _members(runs)
    where = {id(member): number for number, member in enumerate(members)}
    found: dict[int, Outcome] = {}
    ordered = sorted(members, key=lambda m: m.place)
    for _, together in groupby(ordered, key=lambda m: m.place):
        group = list(together)
        for member, outcome in zip(group, _train(group), strict=True):
            found[where[id(member)]] = outcome
    return [found[number] for number in range(len(runs))]


def train_alone(run: Run) -> Outcome:
    """Train as `train_step` does, with its TrainError as the outcome."""
    try:
        return train_step(run.config, run.context, start=run.start)
    except TrainError as error:
        return error


@dataclass(slots=True)
class _Member:
    """One training, before it is put side by side with others."""

    run: Run
    fresh: nn.Module  # as it is made, for whoever reads its checkpoint
    model: nn.Module
    adam: Adam
    progress: TrainingProgress
    failed: TrainError | None = None
    best: dict[str, Any] | None = None  # a checkpoint that is not yet written

    @property
    def place(self) -> tuple[int, int]:
        return self.progress.epoch, self.progress.batch


def _members(runs: Sequence[Run]) -> list[_Member]:
    """Made as `train_step` makes them; what starts from checkpoints needs to be made only once."""
    found: list[_Member] = []
    for run in runs:
        config, data = run.config, run.context.data
        if run.start is not None and found:
            fresh = found[0].fresh
        else:
            torch.manual_seed(config.seed)
            if config.teacher and config.distillation:  # making it takes random numbers
                load_teacher(config.teacher, config.teacher_model, data)
            fresh = network(config, data)
        model = deepcopy(fresh)
        if run.start is not None:
            load_checkpoint(model, run.start)
        restrict_slopes(model, config)
        adam = Adam(parameter_groups(model, config), fused=True)
        last = run.context.folder / LAST
        progress = restore(last, config, model, adam) if last.exists() else TrainingProgress()
        found.append(_Member(run, fresh, model, adam, progress))
    return found


def _train(members: Sequence[_Member]) -> list[Outcome]:
    """Train those that stand at the same batch, to the end."""
    first = members[0].run
    config, fabric = first.config, first.context.fabric
    teacher = None
    if config.teacher and config.distillation:
        teacher = load_teacher(config.teacher, config.teacher_model, first.context.data).to(config.dtype)
        teacher = teacher.to(fabric.device)
    grouped = Grouped([m.model for m in members])
    adam = Adam(parameter_groups(grouped.network, config), fused=True)
    grouped.load_optimizer(adam, [m.adam for m in members])
    runner, optimizer = fabric.setup(grouped, adam)
    trainer = _Trainer(members, grouped, runner, adam, optimizer, teacher)
    for m in members:
        m.run.context.listener.started(m.run.config, epoch=m.progress.epoch, batches=trainer.batches())
    boards = [Board(m.run.context.folder / BOARD, m.progress.epoch) for m in members]
    try:
        while trainer.place[0] < config.epochs and not all(m.failed for m in members):
            trainer.epoch()
            for m, board in zip(members, boards, strict=True):
                if m.failed is None:
                    board.add(m.progress.rows[-1])
                    m.run.context.listener.epoch(m.progress.rows[-1])
            if trainer.place[0] < config.epochs and first.context.stop():
                trainer.save()
                raise KeyboardInterrupt
    finally:
        for board in boards:
            board.close()
    return _tested(members)


def _tested(members: Sequence[_Member]) -> list[Outcome]:
    """Outcomes of the networks, tested side by side as `outcome.test` tests each."""
    whole = [m for m in members if m.failed is None]
    models = [deepcopy(m.fresh) for m in whole]
    for m, model in zip(whole, models, strict=True):
        load_checkpoint(model, m.run.context.folder / BEST)
    reached: list[dict[str, Any]] = []
    if whole:
        tally = _evaluated(whole, Grouped(models), "test", confusion=True)
        for number, (m, model) in enumerate(zip(whole, models, strict=True)):
            reached.append(conclude(m.run.config, m.run.context, m.progress, model, tally.member(number)))
    outcomes = iter(reached)
    return [m.failed or next(outcomes) for m in members]


def _evaluated(
    members: Sequence[_Member], grouped: Grouped, split: str, *, confusion: bool = False
) -> LossTally:
    """Networks of the members on a split, each on its own."""
    context, size = members[0].run.context, members[0].run.config.batch_size
    classes = len(context.data.classes)
    images = _split(members, split)
    return evaluate(context.fabric, grouped, images, classes=classes, batch_size=size, confusion=confusion)


def _split(members: Sequence[_Member], name: str) -> Split | SideBySide:
    splits = [getattr(m.run.context.data, name) for m in members]
    return splits[0] if _one_seed(members) else SideBySide(splits)


def _one_seed(members: Sequence[_Member]) -> bool:
    """Whether all see the same images in the same order."""
    first = members[0].run
    return all(
        m.run.context.data is first.context.data and m.run.config.seed == first.config.seed for m in members
    )


@dataclass(slots=True)
class _Trainer:
    """Networks side by side with their optimiser, and how an epoch changes them: `loop._Trainer` for several."""

    members: Sequence[_Member]
    grouped: Grouped  # as it is saved and evaluated
    runner: nn.Module  # the same, as the runtime runs it
    adam: Adam
    optimizer: Any
    teacher: nn.Module | None
    saved: float = field(default_factory=time.monotonic)

    @property
    def place(self) -> tuple[int, int]:
        """Epoch and batch at which all stand."""
        return self.members[0].place

    def epoch(self) -> None:
        """Train one epoch, or what is left of it, evaluate, and save if that is due; each `progress` moves on.

        A member whose loss is not finite has `failed`. Raises KeyboardInterrupt, after saving, if asked to stop.
        """
        first = self.members[0].run
        config, fabric, data = first.config, first.context.fabric, first.context.data
        epoch, batch = self.place
        for group in self.adam.param_groups:
            group["lr"] = learning_rate(group["start_lr"], epoch, config.epochs)
        tally = LossTally(len(data.classes), fabric.device, members=len(self.members))
        tally.sums += torch.tensor(
            [m.progress.sums for m in self.members], dtype=torch.float64, device=fabric.device
        )
        began = time.monotonic()
        before = [m.progress.seconds for m in self.members]

        orders = self._orders(epoch)
        remaining = orders[..., batch * config.batch_size :]
        clipped = clipped_parameters(self.grouped.network)
        self.grouped.train()
        unread = _split(self.members, "train").batches(
            remaining, config.batch_size, epoch=epoch, augment=config.augment
        )
        for pixels in unread if remaining.numel() else ():
            losses = self._batch(pixels, clipped, tally)
            for m, loss in zip(self.members, losses, strict=True):
                m.progress.batch += 1
                m.run.context.listener.batch(m.progress.batch, loss)
            if first.context.stop():
                share = (time.monotonic() - began) / len(self.members)
                for m, sums, seconds in zip(self.members, tally.sums.tolist(), before, strict=True):
                    m.progress.sums, m.progress.seconds = sums, seconds + share
                self.save()
                raise KeyboardInterrupt

        chosen = _evaluated(self.members, self.grouped, "validation")
        share = (time.monotonic() - began) / len(self.members)
        for number, m in enumerate(self.members):
            trained = tally.member(number)
            if m.failed is None and not math.isfinite(trained.means()[0]):
                m.failed = diverged(m.run.config, epoch, trained.means()[0])
            row = epoch_row(
                m.run.config,
                epoch,
                trained.means(),
                chosen.member(number).means(),
                trained.images,
                before[number] + share,
            )
            m.progress.rows.append(row)
            m.progress.finish_epoch()
        self._keep_best()
        if self.place[0] == config.epochs or time.monotonic() - self.saved >= _SAVE_S:
            self.save()

    def _keep_best(self) -> None:
        """Remember the networks whose best epoch has just ended."""
        better = [m.failed is None and ended_better(m.run.config, m.progress) for m in self.members]
        if not any(better):
            return
        for m, is_better, state in zip(self.members, better, self.grouped.states(), strict=True):
            if is_better:
                config = m.run.config
                m.progress.best = m.progress.epoch
                m.best = checkpoint(config, described(config, m.run.context.data), state, m.progress)

    def _batch(self, batch: tuple[Tensor, Tensor], clipped: list[nn.Parameter], tally: LossTally) -> Tensor:
        """Forward, backward, clip, step; the loss of each, (K,)."""
        first = self.members[0].run
        config, fabric = first.config, first.context.fabric
        images, labels = fabric.to_device(batch)
        with fabric.autocast(), gradient_precision(config):
            logits = self.runner(images)
        taught = None
        if self.teacher is not None:
            with torch.no_grad(), fabric.autocast():
                each = images.to(config.dtype).split(3, dim=1)
                taught = torch.stack([self.teacher(own) for own in each])
            taught = taught if len(taught) > 1 else taught[0]
        losses = mixed_loss(logits, labels, taught, config.distillation)
        self.optimizer.zero_grad()
        fabric.backward(losses.sum())
        if config.clip is not None:
            clip_(clipped, config.clip, self.grouped.width)
        self.optimizer.step()
        tally.add(logits, labels, losses)
        return losses.detach()

    def batches(self) -> int:
        """Batches per epoch. Raises UsageError if a batch does not fit the set."""
        return self._orders(0).shape[-1] // self.members[0].run.config.batch_size

    def _orders(self, epoch: int) -> Tensor:
        """Order in which images are read: (n,) where all have one seed, else (K, n)."""
        found = []
        for m in self.members[:1] if _one_seed(self.members) else self.members:
            config, data = m.run.config, m.run.context.data
            order = epoch_order(len(data.train), seed=config.seed, step=config.step, epoch=epoch)
            found.append(share_of_batches(order, config.batch_size, rank=0, processes=1))
        return found[0] if _one_seed(self.members) else torch.stack(found)

    def save(self) -> None:
        """Write what all need to go on: best.pt, then the log, then last.pt, as `epoch.keep`. Raises OutputError."""
        for m, snapshot in zip(self.members, self.grouped.snapshots(self.adam), strict=True):
            config, folder = m.run.config, m.run.context.folder
            if m.best is not None:
                write_tensors(folder / BEST, m.best)
                m.best = None
            if m.failed is not None:
                continue
            write_text(folder / LOG, log_csv(m.progress.rows))
            save(folder / LAST, config, described(config, m.run.context.data), snapshot, m.progress)
        self.saved = time.monotonic()
