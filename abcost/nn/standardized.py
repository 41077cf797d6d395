"""Scaled weight standardisation (SWS): keeps the variance of activations without batch normalisation."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.autograd.function import BackwardCFunction, FunctionCtx

from abcost.nn.conv import WeightedConv2d

EPSILON = 1e-5  # keeps a channel of equal weights finite
CHANNEL = (1, 2, 3)  # the dimensions of one output channel


def fan_in(weight: Tensor) -> int:
    """Products that one output sums: in*kh*kw of a weight (out, in, kh, kw)."""
    return weight.shape[1:].numel()


@dataclass(frozen=True, slots=True)
class Standardization:
    """What standardisation found out about a weight, and its derivative.

        W^ = rate * centred,   centred = W - mean,   rate = fan_in**-0.5 / (std + 1e-5)

    centred: (out, in, kh, kw);  std, rate: (out, 1, 1, 1).
    """

    centred: Tensor
    std: Tensor

    @classmethod
    def of(cls, weight: Tensor, *, owned: bool = False) -> Standardization:
        """Standardise a weight (out, in, kh, kw), with the population standard deviation.

        owned: `centred` may take the weight's place in memory.
        """
        mean = weight.mean(dim=CHANNEL, keepdim=True)
        centred = weight.sub_(mean) if owned else weight - mean
        # torch.std takes fifty times as long on a CPU
        norm = torch.linalg.vector_norm(centred, dim=CHANNEL, keepdim=True)
        return cls(centred, norm / fan_in(weight) ** 0.5)

    @property
    def rate(self) -> Tensor:
        """W^ per centred weight."""
        rate: Tensor = fan_in(self.centred) ** -0.5 / (self.std + EPSILON)
        return rate

    def backward(self, grad: Tensor, scale: Tensor, along: Tensor) -> Tensor:
        """Gradient of W, given that of scale * W^ and its product with the centred weight, along = sum(grad * centred).

            d/dW = scale * rate * (grad - mean(grad) - centred * along / (fan_in * std * (std + 1e-5)))

        scale, along: (out, 1, 1, 1), scale also ().  Where std is 0, so is the last term.
        """
        smallest = torch.finfo(grad.dtype).tiny
        turn = along / (fan_in(grad) * self.std).clamp_min(smallest) / (self.std + EPSILON)
        factor = scale * self.rate
        result = grad - grad.mean(dim=CHANNEL, keepdim=True)
        return result.mul_(factor).addcmul_(self.centred, -factor * turn)


class _Standardize(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, weight: Tensor, scale: Tensor) -> Tensor:
        found = Standardization.of(weight)
        ctx.save_for_backward(found.centred, found.std, scale)
        return found.centred * (scale * found.rate)

    @staticmethod
    def backward(ctx: BackwardCFunction, grad: Tensor) -> tuple[Tensor, Tensor]:
        saved: tuple[Tensor, ...] = ctx.saved_tensors
        centred, std, scale = saved
        found = Standardization(centred, std)
        along = (grad * centred).sum(CHANNEL, keepdim=True)
        return found.backward(grad, scale, along), along * found.rate


def standardize(weight: Tensor, scale: Tensor | float = 1.0) -> Tensor:
    """Scaled weight standardisation, times a scale.

        scale * W^,   W^ = fan_in**-0.5 * (W - mean) / (std + 1e-5)

    weight, result: (out, in, kh, kw);  scale: (out, 1, 1, 1) or a number;  fan_in = in*kh*kw.  Mean and
    *population* standard deviation are taken per output channel; the factor gamma of the source is 1.
    Its derivative is written out (`Standardization.backward`), because autograd's passes over the weights take
    several times as long.

    Source: Brock et al., ICLR 2021, as used by A&B BNN (Ma et al., CVPR 2024, arXiv:2403.03739).

    >>> standardize(torch.tensor([1.0, 2.0, 5.0, 4.0]).reshape(1, 4, 1, 1)).sum().item()
    0.0
    """
    result: Tensor = _Standardize.apply(weight, as_scale(weight, scale))  # type: ignore[no-untyped-call]
    return result


def as_scale(weight: Tensor, scale: Tensor | float) -> Tensor:
    """A scale as a tensor beside `weight`; a number becomes a constant ()."""
    return scale if isinstance(scale, Tensor) else weight.new_tensor(scale)


class StandardizedConv2d(WeightedConv2d):
    """Real-weight convolution of A&B BNN: weight = gain * W^ (see `standardize`).

    `gain`: (out, 1, 1, 1), trainable, initially 1; there is none with `gain=False`.
    W starts as nn.Conv2d's does.

    Source: A&B BNN (Ma et al., CVPR 2024, arXiv:2403.03739).
    """

    gain: nn.Parameter | None

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, *, gain: bool = True
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride)
        self.register_parameter("gain", nn.Parameter(torch.ones(out_channels, 1, 1, 1)) if gain else None)

    def effective_weight(self, factor: float = 1.0) -> Tensor:
        """Gain * W^."""
        return standardize(self.weight, factor if self.gain is None else factor * self.gain)
