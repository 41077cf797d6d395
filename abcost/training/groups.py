"""Which parameters are decayed, which are clipped, and which learn at a rate of their own."""

from __future__ import annotations

from typing import Any

from torch import nn

from abcost.nn import QuantizedPReLU
from abcost.training.config import Config


def slope_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """The slope exponents (latent ones, where a set restricts them), by the name of their PReLU."""
    found: dict[str, nn.Parameter] = {}
    for name, module in model.named_modules():
        if isinstance(module, QuantizedPReLU):
            (found[name],) = module.parameters()
    return found


def classifier_parameters(model: nn.Module) -> list[nn.Parameter]:
    """Those of the last linear layer, which gradient clipping leaves out; none if there is no linear layer."""
    linear = [module for module in model.modules() if isinstance(module, nn.Linear)]
    return list(linear[-1].parameters()) if linear else []


def clipped_parameters(model: nn.Module) -> list[nn.Parameter]:
    """What adaptive gradient clipping sees: all that is trained but the classifier."""
    classifier = {id(parameter) for parameter in classifier_parameters(model)}
    return [p for p in model.parameters() if p.requires_grad and id(p) not in classifier]


def parameter_groups(model: nn.Module, config: Config) -> list[dict[str, Any]]:
    """Groups for Adam: decayed, plain, slopes; empty ones are left out. `start_lr` is what the schedule decays.

    Decayed are parameters of four dimensions: convolution weights, and with them gains and shifts. In
    ReActNet-18 these are 88 tensors, and 18 are not.
    Source: A&B BNN (Ma et al., CVPR 2024, arXiv:2403.03739); the slopes' own rate is abcost's, by default the same.
    """
    slopes = {id(parameter) for parameter in slope_parameters(model).values()}
    trained = [p for p in model.parameters() if p.requires_grad]
    decayed = [p for p in trained if p.dim() == 4]
    plain = [p for p in trained if p.dim() != 4 and id(p) not in slopes]
    exponents = [p for p in trained if id(p) in slopes]
    slope_lr = config.lr if config.slope_lr is None else config.slope_lr
    groups = [
        {"params": decayed, "lr": config.lr, "start_lr": config.lr, "weight_decay": config.weight_decay},
        {"params": plain, "lr": config.lr, "start_lr": config.lr, "weight_decay": 0.0},
        {"params": exponents, "lr": slope_lr, "start_lr": slope_lr, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]
