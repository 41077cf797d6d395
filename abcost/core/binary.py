"""Reading binary weights off real ones, by value."""

from __future__ import annotations

from typing import NamedTuple

import torch

from abcost.core.node import Constant

RELATIVE_NOISE = 2.0**-20
"""Spread of |w| in a channel that still counts as one magnitude, relative to it …"""
ABSOLUTE_ULPS = 4
"""… plus this many ulps of 1: what `a - c + c` leaves when latent weights c reach 1 …"""
LARGEST_SPREAD = 1e-3
"""… but never more than this share of the magnitude: then the weights are simply small."""
LARGEST_ZERO_SHARE = 0.01
"""Share of weights that may be exactly 0, where torch.sign met 0; more than that is a ternary network."""


_SAMPLE = 16
_CHANNELS_AT_ONCE = 64  # temporaries stay small, so that a large network leaves no holes in the heap


class PackedSplit(NamedTuple):
    """A weight as signs and magnitudes: weight = signs * scale per channel, up to rounding noise.

    signs: int8, -1 and +1, and 0 where the weight is exactly 0. scale: (channels,). lossless: no noise at all.
    """

    signs: torch.Tensor
    scale: torch.Tensor
    lossless: bool


def split(weight: torch.Tensor, axis: int) -> PackedSplit | None:
    """The parts of a weight that is +-s per channel of `axis`, None for any other.

    A channel that is zero throughout has s = 0 and signs +1.
    """
    if has_several_magnitudes(weight, axis):
        return None
    signs = torch.empty(weight.shape, dtype=torch.int8)
    scale = torch.empty(weight.shape[axis], dtype=weight.dtype)
    parts = [
        torch.split(x, _CHANNELS_AT_ONCE)
        for x in (weight.transpose(0, axis), signs.transpose(0, axis), scale)
    ]
    zeros, lossless = 0, True
    for some_weights, some_signs, some_scale in zip(*parts, strict=True):
        magnitude = some_weights.abs().flatten(1)
        low, high = torch.aminmax(magnitude, dim=1)
        if bool((low > 0).all()):
            some_signs.copy_(torch.signbit(some_weights)).mul_(-2).add_(1)
        else:  # exact zeros: look at the others, and keep them apart
            dead = high == 0
            zeros += int((magnitude[~dead] == 0).sum())
            magnitude = torch.where(magnitude == 0, high[:, None], magnitude)
            low = magnitude.amin(dim=1)
            some_signs.copy_(torch.sign(some_weights))
            some_signs[dead] = 1
        if not bool((high - low <= noise(high)).all()):  # also refuses NaN
            return None
        if bool((low == high).all()):
            some_scale.copy_(high)
        else:
            lossless = False
            some_scale.copy_(torch.where(low == high, high, magnitude.mean(dim=1)))
    living = weight.numel() // max(1, scale.numel()) * int((scale > 0).sum())
    if not living or zeros > LARGEST_ZERO_SHARE * living:
        return None
    return PackedSplit(signs, scale, lossless)


def has_several_magnitudes(weight: torch.Tensor, axis: int) -> bool:
    """Whether a few weights of one channel show it already, by more than twice the noise; False is no answer."""
    few = {abs(value) for value in weight.select(axis, 0).flatten()[:_SAMPLE].tolist() if value}
    return bool(few) and max(few) - min(few) > 2 * float_noise(max(few), weight.dtype)


def float_noise(magnitude: float, dtype: torch.dtype) -> float:
    """`noise` of one number of a tensor of type `dtype`."""
    absolute = ABSOLUTE_ULPS * torch.finfo(dtype).eps
    return min(RELATIVE_NOISE * magnitude + absolute, LARGEST_SPREAD * magnitude)


def noise(magnitude: torch.Tensor) -> torch.Tensor:
    """Spread that counts as rounding noise of `magnitude`."""
    absolute = ABSOLUTE_ULPS * torch.finfo(magnitude.dtype).eps
    return torch.minimum(RELATIVE_NOISE * magnitude + absolute, LARGEST_SPREAD * magnitude)


def weight_constant(weight: torch.Tensor, axis: int) -> Constant:
    """The weight as a constant; +-s per channel of `axis` is stored as int8 and s, where that loses nothing.

    A binary network is then held in a quarter of the memory while it is traced.
    """
    weight = weight.detach()
    found = split(weight, axis) if weight.is_floating_point() else None
    if found is None or not found.lossless:
        return Constant(weight)
    return Constant(
        found.signs, scale=found.scale.reshape([-1 if dim == axis else 1 for dim in range(weight.dim())])
    )
