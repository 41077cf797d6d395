"""The network that a config trains: of the zoo, or made by a factory of the user's own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from abcost.core.inputs import InputSpec
from abcost.core.usercode import parameters_of
from abcost.data import DataSet
from abcost.errors import ModelError, UsageError, one_line
from abcost.models.network import NetworkSpec, holds_weights, of_zoo
from abcost.models.properties import STEPS
from abcost.models.subject import Request, own_model
from abcost.training.config import Config


def steps_for(model: str) -> tuple[int, ...]:
    """The steps that a network is trained in: both; the second alone of the user's own that do not take `step`.

    Raises ModelError if there is no such factory.
    """
    own = not (of_zoo(model) or holds_weights(model))
    return (2,) if own and not _takes_step(model) else STEPS


def check_steps(model: str, steps: tuple[int, ...]) -> None:
    """Raise UsageError where two steps would train the same network twice."""
    if len(steps) > len(steps_for(model)):
        raise UsageError(
            f"--step both: {model} has no parameter step, so that both would train the same network: give it one (1: "
            "real weights; 2: binary), or leave --step out"
        )


def network_for(config: Config, data: DataSet) -> NetworkSpec:
    """Spec with an output per class of `data`, and the stem that suits its images unless the config says another."""
    if config.own:
        return NetworkSpec(config.model)
    return replace(config.network, preset=config.preset or data.preset, num_classes=len(data.classes))


def network(config: Config, data: DataSet) -> nn.Module:
    """Fresh network in the config's precision, in training mode. Raises UnknownName, UsageError or ModelError."""
    if config.own:
        return _own(config, data)
    asked = network_for(config, data)
    model = asked.build()
    asked.check_images((1, *data.input_shape))
    return model.to(config.dtype)  # before weights are loaded: float64 ones are not rounded on the way


def request_for(config: Config, data: DataSet, checkpoint: Path | None = None) -> Request:
    """What makes the network of a config again, fed with one image."""
    asked = network_for(config, data)
    return Request(
        asked.model,
        inputs=(InputSpec((1, *data.input_shape)),),
        checkpoint=checkpoint,
        arguments=arguments_of(config) if config.own else {},
        **asked.said(),
    )


def described(config: Config, data: DataSet) -> dict[str, Any]:
    """The "config" of a checkpoint: the recipe, and what rebuilds the network."""
    return {
        **config.to_dict(),
        "preset": config.preset or data.preset,
        "num_classes": len(data.classes),
        "input_shape": list(data.input_shape),
    }


def arguments_of(config: Config) -> dict[str, Any]:
    """What the user's factory is called with: what they said, and the step if it takes one. Raises UsageError."""
    said = dict(config.model_args or {})
    if not _takes_step(config.model):
        return said
    if "step" in said:
        raise UsageError("--model-arg step: which step is trained says --step; leave it out")
    return {**said, "step": config.step}


def logits_of(model: nn.Module, images: Tensor, classes: int) -> Tensor:
    """(N, classes) of images (N, 3, H, W), without gradients. Raises ModelError where there is not one per class."""
    try:
        with torch.no_grad():
            logits = model(images)
    except (Exception, GeneratorExit) as error:  # the user's code may raise anything
        raise ModelError(
            f"the model fails on images of shape {list(images.shape)}: {one_line(error)}"
        ) from error
    if not isinstance(logits, Tensor) or logits.shape != (len(images), classes):
        found = list(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise ModelError(
            f"the model gives {found} for {len(images)} images, not [{len(images)}, {classes}]: a logit per class"
        )
    return logits


def _own(config: Config, data: DataSet) -> nn.Module:
    model = own_model(config.model, arguments_of(config)).to(config.dtype)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ModelError(f"{config.model} has no parameters that could be trained")
    logits_of(model.eval(), torch.zeros(1, *data.input_shape, dtype=config.dtype), len(data.classes))
    return model.train()


def _takes_step(model: str) -> bool:
    return "step" in parameters_of(model, what="model", failure=ModelError)
