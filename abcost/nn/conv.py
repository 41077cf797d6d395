"""What the convolutions of the zoo share: weights computed from the trained ones."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class WeightedConv2d(nn.Conv2d):
    """Convolution with `effective_weight()`, without bias, padded by half the (odd) kernel size.

    x: (N, in, H, W) -> (N, out, ceil(H/stride), ceil(W/stride)).  Subclasses compute the effective weight
    from parameters alone, so that it is offline work which costs nothing at inference.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, kernel_size // 2, bias=False)

    def effective_weight(self) -> Tensor:
        """The weight that the convolution uses, (out, in, kh, kw)."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Convolution of x."""
        return F.conv2d(x, self.effective_weight(), None, self.stride, self.padding)
