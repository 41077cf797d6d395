"""Networks to learn from: frozen, and the same in every step."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from abcost.data import DataSet
from abcost.errors import UsageError
from abcost.extras import require
from abcost.models.checkpoint import read_checkpoint
from abcost.models.subject import Request, resolve

PUBLISHED = "resnet34"


def load_teacher(name: str, model: str | None, data: DataSet) -> nn.Module:
    """ResNet-34 of torchvision (weights IMAGENET1K_V1, downloaded once), as in the paper, or a checkpoint.

    model: what the checkpoint is of, a name of the zoo or your own factory; None: it says so itself.

    Raises UsageError if it cannot be loaded or does not know the classes of `data`; CheckpointError.
    """
    teacher = _resnet34() if name == PUBLISHED else _trained(Path(name), model)
    teacher.eval().requires_grad_(False)
    with torch.no_grad():
        classes = teacher(torch.zeros(1, *data.input_shape)).shape[1]
    if classes != len(data.classes):
        raise UsageError(
            f"--teacher {name} knows {classes} classes, {data.name} has {len(data.classes)}; "
            "take one that was trained on the same data, or --distillation 0"
        )
    return teacher


def _resnet34() -> nn.Module:
    models = require("torchvision.models", "vision", f"--teacher {PUBLISHED}")
    try:
        teacher: nn.Module = models.resnet34(weights=models.ResNet34_Weights.IMAGENET1K_V1)
    except OSError as error:
        raise UsageError(
            f"--teacher {PUBLISHED}: its weights cannot be downloaded ({error}); "
            "give a checkpoint instead, or --distillation 0"
        ) from error
    return teacher


def _trained(path: Path, model: str | None) -> nn.Module:
    name = model or read_checkpoint(path).origin.model
    if not name:
        raise UsageError(f"--teacher {path} does not say which network it is of: add --teacher-model")
    return resolve(Request(name, checkpoint=path)).model
