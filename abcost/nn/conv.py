"""What the convolutions of the zoo share: weights computed from the trained ones."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from abcost.nn.fast_forms import is_fast
from abcost.nn.integer_conv import convolve_signs, convolves_signs_faster
from abcost.nn.late import DrawnWeight, forget, state_before
from abcost.nn.scale import Scale
from abcost.nn.small_maps import convolve_taps, convolves_taps_faster
from abcost.nn.tiny_maps import convolve_dense, is_dense


class WeightedConv2d(nn.Conv2d, DrawnWeight):
    """Convolution with `effective_weight()`, without bias, padded by half the (odd) kernel size.

    x: (N, in, H, W) -> (N, out, ceil(H/stride), ceil(W/stride)).  Subclasses compute the effective weight
    from parameters alone, so that it is offline work which costs nothing at inference.
    In training mode the convolution is computed in whichever way is fastest on the machine (see `fast_forms`).
    `groups` is 1, but where networks stand side by side (see `abcost.training.grouped`).
    """

    binary = False  # whether effective weights are -s, 0 and +s, with one s per output channel

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1) -> None:
        state = state_before()
        super().__init__(in_channels, out_channels, kernel_size, stride, kernel_size // 2, bias=False)
        forget(self, state)

    def effective_weight(self, factor: float = 1.0) -> Tensor:
        """The weight that the convolution uses, times a factor, (out, in, kh, kw)."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Convolution of x."""
        return self._convolve(x, self.effective_weight())

    def folded(self, x: Tensor, factor: float) -> Tensor:
        """Convolution of signs x, times a factor that goes into the weight."""
        return self._convolve(x, self.effective_weight(factor), signs=True)

    def _convolve(self, x: Tensor, weight: Tensor, *, signs: bool = False) -> Tensor:
        stride = self.stride[0]
        alone = is_fast(self) and self.groups == 1
        if alone and convolves_taps_faster(x, weight, stride):
            return convolve_taps(x, weight, stride)
        if alone and signs and self.binary and convolves_signs_faster(x, weight, stride):
            return convolve_signs(x, weight, stride)
        if self.groups > 1 and is_dense(x, weight, stride):
            return convolve_dense(x, weight, self.groups)
        return F.conv2d(x, weight, None, self.stride, self.padding, groups=self.groups)


def scaled_convolution(x: Tensor, conv: nn.Module, scale: nn.Module) -> Tensor:
    """scale(conv(x)) of a binary activation x; in fast forms (see `fast_forms`) a `Scale` is folded into the weights.

    A factor that is a power of two changes no bit by that. An analysis sees the layers one by one.
    """
    if isinstance(conv, WeightedConv2d) and is_fast(conv) and isinstance(scale, Scale):
        return conv.folded(x, scale.factor)
    result: Tensor = scale(conv(x))
    return result
