"""What a finished step has reached: its best epoch on the test split."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from typing import Any

from torch import nn

from abcost.core.exponents import ExponentSet
from abcost.models.checkpoint import load_checkpoint
from abcost.nn import QuantizedPReLU
from abcost.training.config import Config
from abcost.training.context import BEST, CONFUSION, METRICS, RunContext
from abcost.training.evaluation import evaluate
from abcost.training.files import write_json, write_text
from abcost.training.groups import slope_parameters
from abcost.training.network import network
from abcost.training.progress import TrainingProgress
from abcost.training.tally import LossTally, wilson


def test(
    config: Config, context: RunContext, progress: TrainingProgress, model: nn.Module | None
) -> dict[str, Any]:
    """Load best.pt as anybody would, evaluate it, and write confusion.csv, then metrics.json. Raises OutputError.

    model: to load it into, if there is one; its tensors are changed.
    """
    fabric, data = context.fabric, context.data
    model = network(config, data) if model is None else model
    load_checkpoint(model, context.folder / BEST)
    model.to(fabric.device)
    tally = evaluate(
        fabric, model, data.test, classes=len(data.classes), batch_size=config.batch_size, confusion=True
    )
    return conclude(config, context, progress, model, tally)


def conclude(
    config: Config, context: RunContext, progress: TrainingProgress, model: nn.Module, tally: LossTally
) -> dict[str, Any]:
    """Write confusion.csv, then metrics.json, of the best epoch's network and what it reached. Raises OutputError."""
    fabric, data, folder = context.fabric, context.data, context.folder
    found = {
        "schema": 1,
        "model": config.model,
        "variant": config.variant,
        "step": config.step,
        "data": data.name,
        "seed": config.seed,
        "parameters": sum(p.numel() for p in model.parameters()),
        "train_images": len(data.train),
        **_reached(tally),
        **_chosen(config, progress),
        **_speed(progress),
        "slope_exponents": exponents(model),
        "exponents_by_layer": exponents_by_layer(model),
    }
    if fabric.is_global_zero:
        counts = [] if tally.confusion is None else tally.confusion.tolist()
        write_text(folder / CONFUSION, confusion_csv(data.classes, counts))
        write_json(folder / METRICS, found)
        context.listener.tested(found, folder)
    fabric.barrier()
    return found


def _reached(tally: LossTally) -> dict[str, Any]:
    """Accuracies, between 0 and 1."""
    loss, top1, top5 = tally.means()
    return {
        "test_top1": top1,
        "test_top1_ci95": list(wilson(tally.right, tally.images)),
        "test_top5": top5,
        "test_loss": loss,
        "test_images": tally.images,
    }


def _chosen(config: Config, progress: TrainingProgress) -> dict[str, Any]:
    """Which epoch was the best, and by what."""
    return {
        "epochs": progress.epoch,
        "best_epoch": progress.best,
        "selected_on": config.select_on,
        "selected_top1": progress.rows[progress.best - 1][f"{config.select_on}_top1"],
        "selected_loss": progress.rows[progress.best - 1][f"{config.select_on}_loss"],
    }


def _speed(progress: TrainingProgress) -> dict[str, float]:
    seconds = sum(row["seconds"] for row in progress.rows)
    images = sum(row["images_per_second"] * row["seconds"] for row in progress.rows)
    return {"seconds": seconds, "images_per_second": images / seconds}


def exponents(model: nn.Module) -> dict[str, int]:
    """How many channels have which slope exponent; empty without power-of-two slopes."""
    rounded = [
        int(e) for slopes in slope_parameters(model).values() for e in slopes.detach().round().tolist()
    ]
    return {str(exponent): count for exponent, count in sorted(Counter(rounded).items())}


def exponents_by_layer(model: nn.Module) -> dict[str, ExponentSet]:
    """Layer -> the slope exponents that its channels use; empty without power-of-two slopes."""
    prelus = {name: m for name, m in model.named_modules() if isinstance(m, QuantizedPReLU)}
    return {
        name: ExponentSet(int(e) for e in m.L_alpha.detach().round().tolist()) for name, m in prelus.items()
    }


def confusion_csv(classes: Sequence[str], counts: Sequence[Sequence[int]]) -> str:
    """One row per true class, one column per predicted one."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["true", *classes])
    writer.writerows([name, *row] for name, row in zip(classes, counts, strict=True))
    return out.getvalue()
