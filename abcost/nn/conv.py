"""What the convolutions of the zoo share: weights computed from the trained ones."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from abcost.nn.scale import Scale
from abcost.nn.small_maps import convolve_taps, convolves_taps_faster


class WeightedConv2d(nn.Conv2d):
    """Convolution with `effective_weight()`, without bias, padded by half the (odd) kernel size.

    x: (N, in, H, W) -> (N, out, ceil(H/stride), ceil(W/stride)).  Subclasses compute the effective weight
    from parameters alone, so that it is offline work which costs nothing at inference.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, kernel_size // 2, bias=False)

    def effective_weight(self, factor: float = 1.0) -> Tensor:
        """The weight that the convolution uses, times a factor, (out, in, kh, kw)."""
        raise NotImplementedError

    def forward(self, x: Tensor, factor: float = 1.0) -> Tensor:
        """Convolution of x, times a factor that is folded into the weight."""
        weight = self.effective_weight(factor)
        if self.training and convolves_taps_faster(x, weight, self.stride[0]):
            return convolve_taps(x, weight, self.stride[0])
        return F.conv2d(x, weight, None, self.stride, self.padding)


def scaled_convolution(x: Tensor, conv: nn.Module, scale: nn.Module) -> Tensor:
    """scale(conv(x)); in training mode a `Scale` is folded into the weights.

    The result is the same to the bit if the factor is a power of two. In eval mode, which is what an analysis
    sees, the layers run one by one.
    """
    if conv.training and isinstance(conv, WeightedConv2d) and isinstance(scale, Scale):
        return conv.forward(x, scale.factor)
    result: Tensor = scale(conv(x))
    return result
