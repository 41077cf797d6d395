"""The network that a config trains."""

from __future__ import annotations

from typing import Any

from torch import nn

from abcost.data import DataSet
from abcost.models.factory import build, check_images
from abcost.models.presets import preset
from abcost.training.config import Config


def network(config: Config, data: DataSet) -> nn.Module:
    """With fresh weights in the config's precision, and an output per class of `data`.

    Raises UnknownName or UsageError.
    """
    recipe = {
        "variant": config.variant,
        "step": config.step,
        "stem": preset(config.preset or data.preset).stem,
        "num_classes": len(data.classes),
        "base_width": config.base_width,
        "blocks": config.blocks,
        "alpha_exponent": config.alpha_exponent,
    }
    model = build(config.model, **recipe)  # type: ignore[arg-type]
    check_images(config.model, (1, *data.input_shape), **recipe)
    return model.to(config.dtype)  # before weights are loaded: float64 ones are not rounded on the way


def described(config: Config, data: DataSet) -> dict[str, Any]:
    """The "config" of a checkpoint: the recipe, and what rebuilds the network."""
    return {
        **config.to_dict(),
        "preset": config.preset or data.preset,
        "num_classes": len(data.classes),
        "input_shape": list(data.input_shape),
    }
