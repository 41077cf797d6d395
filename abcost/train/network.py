"""The network that a config trains."""

from __future__ import annotations

from typing import Any

from torch import nn

from abcost.data import DataSet
from abcost.models.factory import build
from abcost.models.presets import preset
from abcost.train.config import Config


def network(config: Config, data: DataSet) -> nn.Module:
    """With fresh weights, and an output per class of `data`. Raises UnknownName or UsageError."""
    return build(
        config.model,
        variant=config.variant,
        step=config.step,
        stem=preset(config.preset).stem,
        num_classes=len(data.classes),
        base_width=config.base_width,
        blocks=config.blocks,
    )


def described(config: Config, data: DataSet) -> dict[str, Any]:
    """The "config" of a checkpoint: the recipe, and what rebuilds the network."""
    return {
        **config.to_dict(),
        "num_classes": len(data.classes),
        "input_shape": [1, *data.input_shape],
    }
