"""Reading binary weights off real ones, by value."""

from __future__ import annotations

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


_CHANNELS_AT_ONCE = 64  # temporaries stay small, so that a large network leaves no holes in the heap


def split(weight: torch.Tensor, axis: int) -> tuple[torch.Tensor, torch.Tensor] | None:
    """(signs int8, magnitude per channel of `axis`) if weight is +-s per channel, else None.

    signs: -1 and +1, and 0 where the weight is exactly 0. A channel that is zero throughout has s = 0 and +1.
    """
    signs = torch.empty(weight.shape, dtype=torch.int8)
    scale = torch.empty(weight.shape[axis], dtype=weight.dtype)
    parts = [torch.split(x, _CHANNELS_AT_ONCE) for x in (weight.transpose(0, axis), signs.transpose(0, axis), scale)]
    zeros = 0
    for some_weights, some_signs, some_scale in zip(*parts, strict=True):
        magnitude = some_weights.abs().flatten(1)
        found = _common_magnitude(magnitude)
        if found is None:
            return None
        dead = found == 0
        some_scale.copy_(found)
        some_signs.copy_(torch.sign(some_weights))
        some_signs[dead] = 1
        zeros += int((magnitude[~dead] == 0).sum())
    living = weight.numel() // max(1, scale.numel()) * int((scale > 0).sum())
    if not living or zeros > LARGEST_ZERO_SHARE * living:
        return None
    return signs, scale


def _common_magnitude(magnitude: torch.Tensor) -> torch.Tensor | None:
    """The one nonzero |w| of every row of (channels, taps), up to rounding noise; None if a row has several."""
    high = magnitude.amax(dim=1)
    nonzero = torch.where(magnitude == 0, high[:, None], magnitude)
    low = nonzero.amin(dim=1)
    absolute = ABSOLUTE_ULPS * torch.finfo(magnitude.dtype).eps
    noise = torch.minimum(RELATIVE_NOISE * high + absolute, LARGEST_SPREAD * high)
    if not bool((high - low <= noise).all()):  # also refuses NaN
        return None
    return torch.where(low == high, high, nonzero.mean(dim=1))


def weight_constant(weight: torch.Tensor, axis: int) -> Constant:
    """The weight as a constant; +-s per channel of `axis` is stored as int8 and s, where that loses nothing.

    A binary network is then held in a quarter of the memory while it is traced.
    """
    weight = weight.detach()
    found = split(weight, axis) if weight.is_floating_point() else None
    if found is not None:
        signs, scale = found
        scale = scale.reshape([-1 if dim == axis else 1 for dim in range(weight.dim())])
        parts = (torch.split(x, _CHANNELS_AT_ONCE, axis) for x in (signs, scale, weight))
        if all(torch.equal(a * s, w) for a, s, w in zip(*parts, strict=True)):
            return Constant(signs, scale=scale)
    return Constant(weight)
