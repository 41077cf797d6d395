"""CNV-W1A1 of FINN (BNN-PYNQ bnn/src/network/cnvW1A1): 1-bit weights and activations, 32 x 32 images, 10 classes."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

CHANNELS = ((3, 64), (64, 64), (64, 128), (128, 128), (128, 256), (256, 256))
LINEAR = ((256, 512), (512, 512), (512, 10))


def signs(*shape: int) -> nn.Parameter:
    pattern = torch.arange(torch.Size(shape).numel()).reshape(shape) * 7 % 3 % 2
    return nn.Parameter(pattern.float() * 2 - 1)


class Binary(nn.Module):
    """A binary layer of weights, batch normalisation, and a sign in front of all but the first."""

    def __init__(self, before: int, after: int, *, kernel: int | None, first: bool = False) -> None:
        super().__init__()
        self.first = first
        self.weight = signs(after, before, kernel, kernel) if kernel else signs(after, before)
        self.norm = (nn.BatchNorm2d if kernel else nn.BatchNorm1d)(after)

    def forward(self, x: Tensor) -> Tensor:
        if not self.first:
            x = torch.where(x >= 0, 1.0, -1.0)
        x = functional.conv2d(x, self.weight) if self.weight.ndim == 4 else functional.linear(x, self.weight)
        return self.norm(x)


class Cnv(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.ModuleList(
            Binary(before, after, kernel=3, first=i == 0) for i, (before, after) in enumerate(CHANNELS)
        )
        self.fc = nn.ModuleList(Binary(before, after, kernel=None) for before, after in LINEAR)

    def forward(self, x: Tensor) -> Tensor:
        for number, layer in enumerate(self.conv):
            x = layer(x)
            if number in (1, 3):
                x = functional.max_pool2d(x, 2)
        x = x.flatten(1)
        for layer in self.fc:
            x = layer(x)
        return x


def cnv() -> nn.Module:
    return Cnv()
