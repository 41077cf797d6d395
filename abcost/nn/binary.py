"""Convolutions with binary weights: two values per output channel, -s and +s."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.autograd.function import BackwardCFunction, FunctionCtx

from abcost.nn.conv import WeightedConv2d
from abcost.nn.late import taken
from abcost.nn.standardized import CHANNEL, Standardization, as_scale, fan_in


class _SignClippedGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, weight: Tensor, scale: Tensor | float) -> Tensor:
        ctx.save_for_backward(weight)
        return scale * torch.sign(weight)

    @staticmethod
    def backward(ctx: BackwardCFunction, grad: Tensor) -> tuple[Tensor, None]:
        weight: Tensor = ctx.saved_tensors[0]
        return grad * (weight.abs() <= 1), None


def binarize(weight: Tensor, scale: Tensor | float) -> Tensor:
    """Binary weights: scale * sign(weight), straight through in training.

        d result / d weight := 1   where |weight| <= 1
                               0   elsewhere

    weight, result: (out, in, kh, kw);  scale: a number or (out, 1, 1, 1), a constant to the gradient.

    >>> binarize(torch.tensor([-0.2, 3.0]), 0.5).tolist()
    [-0.5, 0.5]
    """
    result: Tensor = _SignClippedGradient.apply(weight, scale)  # type: ignore[no-untyped-call]
    return result


def _channel_mean(weight: Tensor) -> Tensor:
    return weight.abs().mean(dim=CHANNEL, keepdim=True)  # (out, in, kh, kw) -> (out, 1, 1, 1)


def _standardized(
    weight: Tensor, magnitude: float | None, *, owned: bool = False
) -> tuple[Standardization, Tensor]:
    """The standardised weight, and the magnitude of its signs per output channel: mean|W^| where none is given."""
    found = Standardization.of(weight, owned=owned)
    if magnitude is not None:
        return found, torch.full_like(found.std, magnitude)
    norm = torch.linalg.vector_norm(found.centred, 1, dim=CHANNEL, keepdim=True)
    return found, found.rate * norm / fan_in(weight)


class _StandardizedSign(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, weight: Tensor, scale: Tensor, magnitude: float | None) -> Tensor:
        found, size = _standardized(weight, magnitude)
        centred = found.centred
        ctx.save_for_backward(centred, found.std, scale, size)
        return centred.sign().mul_(scale * size)

    @staticmethod
    def backward(ctx: BackwardCFunction, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        saved: tuple[Tensor, ...] = ctx.saved_tensors
        centred, std, scale, size = saved
        along = (grad * centred).sum(CHANNEL, keepdim=True)
        scale_grad = size * (grad * centred.sign()).sum(CHANNEL, keepdim=True)
        return Standardization(centred, std).backward(grad, scale, along), scale_grad, None


def binarize_standardized(
    weight: Tensor, scale: Tensor | float = 1.0, magnitude: float | None = None, *, owned: bool = False
) -> Tensor:
    """Binary weights of a standardised weight: scale * binarize(W^, magnitude), in one function.

    weight, result: (out, in, kh, kw);  scale: (out, 1, 1, 1) or a number, outside of the straight-through part.
    magnitude: None takes mean|W^| per output channel.  owned: without a gradient, the result may take the weight's
    place in memory.  W^: see `standardize`.  The clip of `binarize` is left
    out, for no |W^| is beyond 1: |W - mean| <= fan_in**0.5 * std.
    """
    factor = as_scale(weight, scale)
    if not torch.is_grad_enabled():  # no derivative needs the centred weight again
        found, size = _standardized(weight, magnitude, owned=owned)
        return found.centred.sign_().mul_(factor * size)
    result: Tensor = _StandardizedSign.apply(weight, factor, magnitude)  # type: ignore[no-untyped-call]
    return result


class BinaryConv2d(WeightedConv2d):
    """Binary convolution of A&B BNN.

        weight = gain * s * sign(W^),   s = mean|W^| per output channel

    W^: see `standardize`;  gain: (out, 1, 1, 1), trainable, initially 1.  W starts uniform in [0, 0.001).
    Backward: straight to W^ where |W^| <= 1, with s constant and gain outside.

    Source: A&B BNN (Ma et al., CVPR 2024, arXiv:2403.03739).
    """

    binary = True

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride)
        self.gain = nn.Parameter(torch.ones(out_channels, 1, 1, 1))

    def reset_parameters(self) -> None:
        """Draw W as the published code does."""
        nn.init.uniform_(self.weight, 0.0, 1e-3)

    def effective_weight(self, factor: float = 1.0) -> Tensor:
        """Gain * s * sign(W^)."""
        weight, owned = taken(self)
        return binarize_standardized(weight, factor * self.gain, owned=owned)


class FixedScaleConv2d(WeightedConv2d):
    """Binary convolution with one fixed scale per layer: weight = fan_in**-0.5 * sign(W^).

    W^: see `standardize`; W starts uniform in [0, 0.001).  An extension of abcost, in the manner of A&B BNN:
    BNN has no scale per channel, and fan_in**-0.5 keeps the variance of the sum at 1. Not published.
    """

    binary = True

    def reset_parameters(self) -> None:
        """Draw W as `BinaryConv2d` does."""
        nn.init.uniform_(self.weight, 0.0, 1e-3)

    def effective_weight(self, factor: float = 1.0) -> Tensor:
        """fan_in**-0.5 * sign(W^)."""
        weight, owned = taken(self)
        return binarize_standardized(weight, factor, fan_in(weight) ** -0.5, owned=owned)


class MeanScaledConv2d(WeightedConv2d):
    """Binary convolution of the batch-norm baselines: weight = mean|W| * sign(W), mean per output channel.

    W starts as nn.Conv2d's does: without standardisation, weights that start positive share one sign.

    Source: XNOR-Net (Rastegari et al., ECCV 2016), also in Bi-Real Net and ReActNet.
    """

    binary = True

    def effective_weight(self, factor: float = 1.0) -> Tensor:
        """Mean|W| * sign(W)."""
        return factor * binarize(self.weight, _channel_mean(self.weight))


class SignConv2d(WeightedConv2d):
    """Binary convolution of the BNN baseline: weight = sign(W). W starts as nn.Conv2d's does.

    Source: BNN (Courbariaux et al., 2016, arXiv:1602.02830).
    """

    binary = True

    def effective_weight(self, factor: float = 1.0) -> Tensor:
        """Sign(W)."""
        return factor * binarize(self.weight, 1.0)
