"""Networks to learn from: frozen, and the same in every step."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from abcost.data import DataSet
from abcost.errors import UsageError
from abcost.extras import require

PUBLISHED = "resnet34"


def load_teacher(name: str, data: DataSet) -> nn.Module:
    """ResNet-34 of torchvision (weights IMAGENET1K_V1, downloaded once), as in the paper, or a checkpoint of abcost.

    Raises UsageError if it cannot be had or does not know the classes of `data`; CheckpointError.
    """
    teacher = _resnet34() if name == PUBLISHED else _trained(Path(name))
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


def _trained(path: Path) -> nn.Module:
    raise UsageError(f"--teacher {path}: not yet")
