"""How far a step has come, and the checkpoint that holds it: enough to go on bit for bit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from abcost.errors import CheckpointError
from abcost.models.checkpoint import read_checkpoint
from abcost.training.config import Config
from abcost.training.files import write_tensors
from abcost.training.log import Row
from abcost.training.slopes import latent_slopes, load_state, plain_state

SCHEMA = 1


@dataclass
class TrainingProgress:
    """Where a step stands: after `epoch` whole epochs and `batch` batches of the next one."""

    epoch: int = 0
    batch: int = 0
    sums: list[float] = field(default_factory=lambda: [0.0] * 4)  # of the batches (see `Tally`)
    seconds: float = 0.0  # that they took
    rows: list[Row] = field(default_factory=list)  # one per epoch
    best: int = 0  # the epoch (from 1) that is best so far; 0: none yet

    def finish_epoch(self) -> None:
        """Begin the next epoch."""
        self.epoch += 1
        self.batch, self.sums, self.seconds = 0, [0.0] * 4, 0.0


def checkpoint(
    config: Config, description: Mapping[str, Any], state: Mapping[str, Tensor], progress: TrainingProgress
) -> dict[str, Any]:
    """What every checkpoint of abcost holds: weights that need no restriction of slopes, and how they came about."""
    return {
        "schema": SCHEMA,
        "model": config.model,
        "variant": config.variant,
        "step": config.step,
        "epoch": progress.epoch,
        "state_dict": dict(state),
        "optimizer": None,
        "metrics": dict(progress.rows[-1]) if progress.rows else {},
        "config": dict(description),
    }


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is kept of a network and its optimizer at one moment: see `plain_state` and `latent_slopes`."""

    state: Mapping[str, Tensor]
    latent: Mapping[str, Tensor]
    optimizer: Mapping[str, Any]

    @classmethod
    def of(cls, model: nn.Module, optimizer: Optimizer) -> Snapshot:
        """The state as it is now; the optimizer's tensors are not copied."""
        return cls(plain_state(model), latent_slopes(model), optimizer.state_dict())


def save(
    path: Path, config: Config, description: Mapping[str, Any], snapshot: Snapshot, progress: TrainingProgress
) -> None:
    """Write all that `restore` needs. Raises OutputError."""
    content = checkpoint(config, description, snapshot.state, progress)
    content["optimizer"] = snapshot.optimizer
    content["resume"] = {
        "batch": progress.batch,
        "sums": progress.sums,
        "seconds": progress.seconds,
        "rows": progress.rows,
        "best": progress.best,
        "latent": snapshot.latent,
        "random": torch.get_rng_state(),
    }
    write_tensors(path, content)


def restore(path: Path, config: Config, model: nn.Module, optimizer: Optimizer) -> TrainingProgress:
    """Put model, optimizer and torch's random numbers where they were. Raises CheckpointError."""
    read_checkpoint(path)  # finds damage that torch.load does not look for
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        held = content["resume"]
        load_state(model, content["state_dict"], held["latent"])
        optimizer.load_state_dict(content["optimizer"])
        torch.set_rng_state(held["random"])
        progress = TrainingProgress(
            content["epoch"], held["batch"], held["sums"], held["seconds"], held["rows"], held["best"]
        )
    except Exception as error:  # a damaged file can fail in any way
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(f"cannot resume from {path}: {type(error).__name__}: {reason}") from error
    if content["step"] != config.step or content["model"] != config.model:
        raise CheckpointError(
            f"cannot resume from {path}: it is step {content['step']} of {content['model']}, "
            f"not step {config.step} of {config.model}"
        )
    return progress
