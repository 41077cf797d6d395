"""The network that a config trains."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import nn

from abcost.data import DataSet
from abcost.models.network import NetworkSpec
from abcost.training.config import Config


def network_for(config: Config, data: DataSet) -> NetworkSpec:
    """With an output per class of `data`, and the stem that suits its images unless the config says another."""
    return replace(config.network, preset=config.preset or data.preset, num_classes=len(data.classes))


def network(config: Config, data: DataSet) -> nn.Module:
    """With fresh weights in the config's precision.

    Raises UnknownName or ModelError.
    """
    asked = network_for(config, data)
    model = asked.build()
    asked.check_images((1, *data.input_shape))
    return model.to(config.dtype)  # before weights are loaded: float64 ones are not rounded on the way


def described(config: Config, data: DataSet) -> dict[str, Any]:
    """The "config" of a checkpoint: the recipe, and what rebuilds the network."""
    return {**config.to_dict(), **network_for(config, data).to_dict(), "input_shape": list(data.input_shape)}
