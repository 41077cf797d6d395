"""PReLU whose slopes are powers of two: a shift in hardware."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx


class _RoundIdentityGradient(torch.autograd.Function):
    @staticmethod
    def forward(_ctx: FunctionCtx, x: Tensor) -> Tensor:
        return torch.round(x)

    @staticmethod
    def backward(_ctx: FunctionCtx, grad: Tensor) -> Tensor:
        return grad


def round_through(x: Tensor) -> Tensor:
    """Round half to even; the gradient passes unchanged.

    >>> round_through(torch.tensor([-2.5, 0.4])).tolist()
    [-2.0, 0.0]
    """
    result: Tensor = _RoundIdentityGradient.apply(x)  # type: ignore[no-untyped-call]
    return result


class QuantizedPReLU(nn.Module):
    """PReLU with one trainable power-of-two slope per channel.

        y = x                        where x >= 0
        y = x * 2**round(L_alpha)    elsewhere

    x, y: (N, C, H, W) or (N, C);  L_alpha: (C,), real, initially -3. Its gradient ignores the rounding.

    Source: quantized RPReLU of A&B BNN (Ma et al., CVPR 2024, arXiv:2403.03739).

    >>> QuantizedPReLU(2)(torch.tensor([[-8.0, 8.0]])).tolist()
    [[-1.0, 8.0]]
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.L_alpha = nn.Parameter(torch.full((channels,), -3.0))  # name of the published checkpoints

    def slopes(self) -> Tensor:
        """The slopes, (C,): exact powers of two."""
        return torch.exp2(round_through(self.L_alpha))

    def forward(self, x: Tensor) -> Tensor:
        """PReLU of x; its shape."""
        return F.prelu(x, self.slopes())

    def extra_repr(self) -> str:
        """Channels, shown by print(model)."""
        return str(self.L_alpha.numel())
