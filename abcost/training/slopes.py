"""Slopes that may take only some exponents: projected in the forward pass, straight through in the backward pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx
from torch.nn.utils import parametrize

from abcost.errors import UsageError
from abcost.nn import QuantizedPReLU
from abcost.registry import unknown_name
from abcost.training.config import Config
from abcost.training.groups import slope_parameters

_LATENT = ".parametrizations.L_alpha.original"  # torch's name for what a parametrization starts from


class _NearestIdentityGradient(torch.autograd.Function):
    @staticmethod
    def forward(_ctx: FunctionCtx, latent: Tensor, allowed: Tensor) -> Tensor:
        return allowed[(latent[:, None] - allowed).abs().argmin(dim=1)]

    @staticmethod
    def backward(_ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor, None]:
        return grad, None


class _NearestOfMemberIdentityGradient(torch.autograd.Function):
    @staticmethod
    def forward(_ctx: FunctionCtx, latent: Tensor, allowed: Tensor) -> Tensor:
        members, most = allowed.shape
        each = latent.view(members, -1, 1)
        choices = allowed[:, None].expand(members, each.shape[1], most)
        nearest = (each - choices).abs().argmin(dim=2, keepdim=True)
        return choices.gather(2, nearest).flatten()

    @staticmethod
    def backward(_ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor, None]:
        return grad, None


class NearestExponent(nn.Module):
    """L_alpha = the allowed exponent nearest to the latent one, the smaller of two at equal distance.

    latent, result: (C,).  The gradient passes unchanged, as it does through the rounding of `QuantizedPReLU`.

    >>> NearestExponent([-3, 0])(torch.tensor([-9.0, -1.6, -1.5, 2.0])).tolist()
    [-3.0, -3.0, -3.0, 0.0]
    """

    allowed: Tensor

    def __init__(self, exponents: Sequence[int]) -> None:
        super().__init__()
        self.register_buffer(
            "allowed", torch.tensor(sorted(exponents), dtype=torch.float32), persistent=False
        )

    def forward(self, latent: Tensor) -> Tensor:
        """Projected exponents."""
        result: Tensor = _NearestIdentityGradient.apply(latent, self.allowed)  # type: ignore[no-untyped-call]
        return result


class NearestOfMember(nn.Module):
    """`NearestExponent` of networks side by side, every one with a set of its own.

    latent, result: (networks * C,), network after network.

    >>> both = NearestOfMember([torch.tensor([-3.0]), torch.tensor([-2.0, 0.0])])
    >>> both(torch.tensor([-9.0, 2.0, -9.0, 2.0])).tolist()
    [-3.0, -3.0, -2.0, 0.0]
    """

    allowed: Tensor

    def __init__(self, sets: Sequence[Tensor]) -> None:
        super().__init__()
        most = max(len(exponents) for exponents in sets)
        rows = [torch.cat([s, s[-1:].expand(most - len(s))]) for s in sets]  # the last again changes nothing
        self.register_buffer("allowed", torch.stack(rows), persistent=False)

    def forward(self, latent: Tensor) -> Tensor:
        """Projected exponents."""
        result: Tensor = _NearestOfMemberIdentityGradient.apply(latent, self.allowed)  # type: ignore[no-untyped-call]
        return result


def restrict_slopes(model: nn.Module, config: Config) -> None:
    """Hold the slopes of `model` to what `config` allows. Layers that it does not name are free.

    Latent exponents start on the allowed value nearest to where they are. Raises UsageError for a layer that has no
    power-of-two slopes.
    """
    if config.fixed_slope is not None:
        _fix(model, config.fixed_slope)
    for name, exponents in (config.slopes or {}).items():
        prelu = _prelu(model, name)
        nearest = NearestExponent(exponents).to(prelu.L_alpha)  # its type and device
        with torch.no_grad():
            prelu.L_alpha.copy_(nearest(prelu.L_alpha))
        parametrize.register_parametrization(prelu, "L_alpha", nearest)


def _fix(model: nn.Module, exponent: int) -> None:
    slopes = slope_parameters(model)
    if not slopes:
        raise UsageError(f"--fixed-slope {exponent}: this network has no power-of-two slopes to fix")
    for parameter in slopes.values():
        parameter.requires_grad_(False)
        with torch.no_grad():
            parameter.fill_(exponent)


def _prelu(model: nn.Module, name: str) -> QuantizedPReLU:
    prelus = {key: module for key, module in model.named_modules() if isinstance(module, QuantizedPReLU)}
    if not prelus:
        raise UsageError(f"--slopes names {name!r}, but this network has no power-of-two slopes")
    if name not in prelus:
        raise UsageError(f"--slopes: {unknown_name('PReLU', name, prelus)}")
    return prelus[name]


def plain_state(model: nn.Module) -> dict[str, Tensor]:
    """The state dict under the names of the network as it is built, with the exponents that the forward pass uses.

    A copy on the CPU. What it gives without the restriction is what was trained with it.
    """
    state = model.state_dict()
    for name in [key for key in state if key.endswith(_LATENT)]:
        path = name.removesuffix(_LATENT)
        del state[name]
        state[f"{path}.L_alpha"] = model.get_submodule(path).L_alpha
    order = [name.replace(_LATENT, ".L_alpha") for name in model.state_dict()]
    return {name: state[name].detach().cpu().clone() for name in order}


def latent_slopes(model: nn.Module) -> dict[str, Tensor]:
    """The latent exponents of restricted layers, by layer; with `plain_state`, all that resuming needs."""
    return {
        name.removesuffix(_LATENT): tensor.detach().cpu().clone()
        for name, tensor in model.state_dict().items()
        if name.endswith(_LATENT)
    }


def load_state(model: nn.Module, state: Mapping[str, Tensor], latent: Mapping[str, Tensor]) -> None:
    """The inverse of `plain_state` and `latent_slopes`."""
    renamed: dict[str, Any] = dict(state)
    for path, tensor in latent.items():
        del renamed[f"{path}.L_alpha"]
        renamed[f"{path}{_LATENT}"] = tensor
    model.load_state_dict(renamed)
