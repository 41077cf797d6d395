"""A small network, the same each time."""

from __future__ import annotations

from functools import cache

import torch
from torch import nn

SHAPE = (1, 1, 4, 4)


class Net(nn.Module):
    """Something of everything: a binary convolution, PReLU, pool, classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, padding=1)
        self.weight = nn.Parameter(torch.randn(4, 4, 3, 3))
        self.act = nn.PReLU(4)
        self.head = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 1, H, W) -> (N, 3)."""
        y = self.stem(x)
        y = nn.functional.conv2d(torch.sign(y), 0.5 * torch.sign(self.weight), padding=1) + y
        return self.head(self.act(y).mean(dim=(2, 3)))  # type: ignore[no-any-return]


@cache
def network() -> nn.Module:
    """With seeded weights, in eval mode."""
    torch.manual_seed(0)
    return Net().eval()
