"""Trainable shift of an activation, per channel."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class LearnableBias(nn.Module):
    """y = x + bias/beta;  x, y: (N, C, H, W),  bias: (1, C, 1, 1), initially 0.

    In front of a binary activation with the same beta, the bias arrives at the sign unscaled:
    beta*(x + bias/beta) = beta*x + bias. In an RPReLU beta is 1.

    Source: ReActNet (Liu et al., ECCV 2020); division by beta: A&B BNN (Ma et al., CVPR 2024).
    """

    def __init__(self, channels: int, beta: float = 1.0) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.beta = beta

    def shift(self) -> Tensor:
        """bias/beta, (1, C, 1, 1)."""
        return self.bias / self.beta

    def forward(self, x: Tensor) -> Tensor:
        """Shifted x; its shape."""
        return x + self.shift()

    def extra_repr(self) -> str:
        """Channels and beta, shown by print(model)."""
        return f"{self.bias.shape[1]}, beta={self.beta:.6g}"
