"""Networks of one structure side by side, as one network: their channels concatenated, all weights their own.

A step of a small network mostly costs the calls of its operators. K networks side by side take as many calls as one:
a convolution has K times as many groups, and whatever works channel by channel has K times as many channels. A tensor
of K networks is contiguous, network after network, so that a view of it gives those of each.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.parametrize import ParametrizationList
from torch.optim import Optimizer

from abcost.errors import AbcostError
from abcost.nn import LearnableBias, QuantizedPReLU
from abcost.training.progress import Snapshot
from abcost.training.slopes import NearestExponent, NearestOfMember, latent_slopes, plain_state

_T = TypeVar("_T")
_BLOCK = 32  # channels: four vectors of eight floats, also where there are wider ones
_MOST_PLACES = 8
_PER_CHANNEL = (nn.Conv2d, _BatchNorm, LearnableBias, QuantizedPReLU, nn.PReLU)


class NotGroupable(AbcostError):  # noqa: N818 - an answer, not a fault
    """Networks that cannot stand side by side; the text says why."""


class Grouped(nn.Module):
    """Copies of K networks as one.

    Every network has the same bits, however many stand beside it and whichever they are (a test holds it). For that,
    activations are channels last, where convolutions of two groups or more compute each alike; and there are so many
    networks that all channels of a layer are summed up alike, in blocks of `_BLOCK` (see `_width`): the places that
    are left over hold networks that are there already, and their results are thrown away.
    """

    def __init__(self, models: Sequence[nn.Module], image_channels: int = 3) -> None:
        """Raises NotGroupable for modules of which it is not known how they stand side by side."""
        super().__init__()
        self.members = len(models)
        self.width = _width(models[0], len(models))
        self._image_channels = image_channels
        self.network = _stacked(self._padded(models))
        self._shapes = {name: t.shape for name, t in _named_state(models[0]).items()}
        self._parameters_of_one = [p.shape for p in _trained(models[0])]

    def _padded(self, members: Sequence[_T]) -> list[_T]:
        return [members[place % self.members] for place in range(self.width)]

    def forward(self, images: Tensor) -> Tensor:
        """Logits (K, N, classes) of images (N, C, H, W), the same for all networks, or (N, K*C, H, W)."""
        each = list(torch.split(images, self._image_channels, dim=1))
        together = torch.cat(self._padded(each * (self.members // len(each))), dim=1)
        logits: Tensor = self.network(together.contiguous(memory_format=torch.channels_last))
        return logits.reshape(len(logits), self.width, -1).transpose(0, 1)[: self.members]

    def snapshots(self, optimizer: Optimizer) -> list[Snapshot]:
        """What each network would hold if it had been trained alone; `optimizer` is of `network`."""
        latent, adam = latent_slopes(self.network), optimizer.state_dict()
        return [
            Snapshot(
                state,
                {name: self._of(member, f"{name} latent", t) for name, t in latent.items()},
                {"state": self._moments(member, optimizer, adam), "param_groups": adam["param_groups"]},
            )
            for member, state in enumerate(self.states())
        ]

    def states(self) -> list[dict[str, Tensor]]:
        """The `plain_state` that each network would have."""
        together = plain_state(self.network)
        return [
            {name: self._of(member, name, t) for name, t in together.items()}
            for member in range(self.members)
        ]

    def load_optimizer(self, optimizer: Optimizer, members: Sequence[Optimizer]) -> None:
        """Give `optimizer`, of `network`, the moments that those of the networks have."""
        held = self._padded([m.state_dict() for m in members])
        parameters = _parameters(optimizer)
        state = {
            number: {
                name: _joined([h["state"][number][name] for h in held], parameters[number])
                for name in entries
            }
            for number, entries in held[0]["state"].items()
        }
        optimizer.load_state_dict({"state": state, "param_groups": held[0]["param_groups"]})

    def _of(self, member: int, name: str, tensor: Tensor) -> Tensor:
        return _part(tensor, self._shapes[name], member)

    def _moments(self, member: int, optimizer: Optimizer, held: Mapping[str, Any]) -> dict[int, Any]:
        of_one = dict(zip(map(id, _trained(self.network)), self._parameters_of_one, strict=True))
        shapes = [of_one[id(p)] for p in _parameters(optimizer)]
        return {
            number: {
                name: _part(value.detach().cpu(), shapes[number], member) if value.dim() else value.clone()
                for name, value in entries.items()
            }
            for number, entries in held["state"].items()
        }


class SideBySideLinear(nn.Linear):
    """K linear layers, y_k = A_k x_k + b_k.

    x: (N, K*in), y: (N, K*out), network after network;  weight: (K*out, in);  bias: (K*out,).
    """

    def __init__(self, members: Sequence[nn.Linear]) -> None:
        first = members[0]
        super().__init__(first.in_features, first.out_features, first.bias is not None, device="meta")
        self.members = len(members)
        self.weight = _beside([m.weight for m in members])
        if first.bias is not None:
            self.bias = _beside([m.bias for m in members])

    def forward(self, x: Tensor) -> Tensor:
        """Results of all networks side by side, (N, K * out_features)."""
        inputs = x.reshape(len(x), self.members, self.in_features).transpose(0, 1)
        weights = self.weight.view(self.members, self.out_features, self.in_features).transpose(1, 2)
        outputs = torch.bmm(inputs, weights)
        if self.bias is not None:
            outputs = outputs + self.bias.view(self.members, 1, self.out_features)
        return outputs.transpose(0, 1).flatten(1)


def _width(model: nn.Module, members: int) -> int:
    """Places for so many networks: at least two, and whole blocks of channels in all layers if eight networks fill one.

    torch's sum over positions takes blocks of channels, and those that fill none in another order (SumKernel.cpp).
    """
    channels = [m.out_channels for m in model.modules() if isinstance(m, nn.Conv2d)]
    channels += [m.bias.numel() for m in model.modules() if isinstance(m, LearnableBias)]
    channels += [m.num_features for m in model.modules() if isinstance(m, _BatchNorm)]
    unit = _BLOCK // math.gcd(_BLOCK, *channels)
    return max(2, members if unit > _MOST_PLACES else -(-members // unit) * unit)


def _stacked(models: Sequence[nn.Module]) -> nn.Module:
    """A copy of the first, widened to hold all."""
    _check_alike(models)
    grouped = copy.deepcopy(models[0])
    for path, module in list(grouped.named_modules()):
        members = [model.get_submodule(path) for model in models]
        replacement = _replacement(module, members)
        if replacement is None:
            _widen(path, module, members)
        elif path:
            grouped.set_submodule(path, replacement)
        else:
            grouped = replacement
    return grouped


def _replacement(module: nn.Module, members: Sequence[Any]) -> nn.Module | None:
    """What stands for modules that do not work channel by channel; None for others."""
    found: nn.Module
    if type(module) is nn.Linear:
        found = SideBySideLinear(members)
    elif isinstance(module, NearestExponent):
        found = NearestOfMember([m.allowed for m in members])
    else:
        return None
    return found.train(module.training)


def _widen(path: str, module: nn.Module, members: Sequence[nn.Module]) -> None:
    """Concatenate the tensors that a module holds itself."""
    parameters = dict(module.named_parameters(recurse=False))
    buffers = dict(module.named_buffers(recurse=False))
    if not parameters and not buffers:
        return
    restricted = isinstance(module, ParametrizationList) and all(
        isinstance(m, NearestExponent | NearestOfMember) for m in module
    )
    if not restricted and not isinstance(module, _PER_CHANNEL):
        raise NotGroupable(f"{path or 'the model'} is a {type(module).__name__} with parameters")
    dim = 1 if isinstance(module, LearnableBias) else 0  # a shift is (1, C, 1, 1)
    for name in parameters:
        setattr(module, name, _beside([getattr(m, name) for m in members], dim))
    for name, buffer in buffers.items():
        if buffer.dim():  # else a count of batches, the same for all
            setattr(module, name, torch.cat([getattr(m, name) for m in members]))
    for name in ("groups", "in_channels", "out_channels", "num_features", "num_parameters"):
        if hasattr(module, name):
            setattr(module, name, len(members) * getattr(module, name))


def _beside(parameters: Sequence[Tensor], dim: int = 0) -> nn.Parameter:
    """Parameters joined along the dimension of the channels, in memory network after network.

    Weights (out, in, h, w) are channels last as the activations are: else every use of them is a copy.
    """
    joined = torch.cat([p.detach() for p in parameters], dim=dim)
    if joined.dim() == 4 and dim == 0:
        joined = joined.contiguous(memory_format=torch.channels_last)
    return nn.Parameter(joined, requires_grad=parameters[0].requires_grad)


def _check_alike(models: Sequence[nn.Module]) -> None:
    """Raise NotGroupable unless the networks differ in their tensors alone, and no two modules share a tensor."""
    first = dict(models[0].named_modules())
    for model in models[1:]:
        other = dict(model.named_modules())
        if list(other) != list(first):
            raise NotGroupable("they do not have the same modules")
        for path, module in first.items():
            if _settings(module) != _settings(other[path]):
                raise NotGroupable(f"{path or 'the model'} is not the same in all of them")
    named = list(models[0].named_parameters(remove_duplicate=False))
    if len({id(p) for _, p in named}) < len(named):
        raise NotGroupable("two modules share a parameter")


def _settings(module: nn.Module) -> list[Any]:
    """What a module is made of besides tensors and other modules: plain values, and which tensors are trained."""
    plain = (bool, int, float, str, tuple, type(None))
    held = {name: value for name, value in vars(module).items() if isinstance(value, plain)}
    tensors = {
        name: (tuple(p.shape), p.dtype, p.requires_grad) for name, p in module.named_parameters(recurse=False)
    }
    return [type(module).__name__, held, tensors]


def _named_state(model: nn.Module) -> dict[str, Tensor]:
    return {
        **plain_state(model),
        **{f"{name} latent": tensor for name, tensor in latent_slopes(model).items()},
    }


def _trained(model: nn.Module) -> list[nn.Parameter]:
    return [p for p in model.parameters() if p.requires_grad]


def _parameters(optimizer: Optimizer) -> list[nn.Parameter]:
    """Parameters in the order in which the optimiser's state numbers them."""
    return [p for group in optimizer.param_groups for p in group["params"]]


def _part(tensor: Tensor, shape: torch.Size, member: int) -> Tensor:
    """A copy of one network's part of a tensor, in this shape; of a tensor that all share, all of it."""
    own = tensor if tensor.shape == shape else tensor.reshape(-1, *shape)[member]
    return own.clone(memory_format=torch.contiguous_format)


def _joined(tensors: Sequence[Tensor], like: Tensor) -> Tensor:
    """The inverse of `_part`, laid out in memory as `like`, which torch's fused Adam takes for granted."""
    if not tensors[0].dim():
        return tensors[0]
    found = torch.empty_like(like, dtype=tensors[0].dtype, device=tensors[0].device)
    return found.copy_(torch.stack(list(tensors)).reshape(like.shape))
