"""Scaled weight standardisation (SWS): keeps the variance of activations without batch normalisation."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from abcost.nn.conv import WeightedConv2d

EPSILON = 1e-5  # keeps a channel of equal weights finite


def fan_in(weight: Tensor) -> int:
    """Products that one output sums: in*kh*kw of a weight (out, in, kh, kw)."""
    return weight.shape[1:].numel()


def standardize(weight: Tensor) -> Tensor:
    """Scaled weight standardisation.

        W^ = fan_in**-0.5 * (W - mean) / (std + 1e-5)

    weight, result: (out, in, kh, kw);  fan_in = in*kh*kw.  Mean and *population* standard deviation are taken
    per output channel; the factor gamma of the source is 1.

    Source: Brock et al., ICLR 2021, as used by A&B BNN (Ma et al., CVPR 2024, arXiv:2403.03739).

    >>> standardize(torch.tensor([1.0, 2.0, 5.0, 4.0]).reshape(1, 4, 1, 1)).sum().item()
    0.0
    """
    mean = weight.mean(dim=(1, 2, 3), keepdim=True)
    std = weight.std(dim=(1, 2, 3), correction=0, keepdim=True)
    standardized: Tensor = fan_in(weight) ** -0.5 * (weight - mean) / (std + EPSILON)
    return standardized


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

    def effective_weight(self) -> Tensor:
        """Gain * W^."""
        standardized = standardize(self.weight)
        return standardized if self.gain is None else self.gain * standardized
