"""The three networks of FINN (FPGA 2017), by their shapes: random weights of +-1, normalised in front of signs.

sfc  784 - 256 - 256 - 256 - 10         334,336 products      binary inputs
lfc  784 - 1024 - 1024 - 1024 - 10    2,910,208 products      binary inputs
cnv  32 x 32 x 3, six 3 x 3 convolutions without padding (64, 64, 128, 128, 256, 256), two pools, 512 - 512 - 10
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn


class _Binary(nn.Module):
    """A layer whose weights are +-1, and what follows it."""

    def __init__(self, layer: nn.Linear | nn.Conv2d, *, normalise: bool = True) -> None:
        super().__init__()
        self.layer = layer
        outputs = layer.weight.shape[0]
        flat = isinstance(layer, nn.Linear)
        with torch.no_grad():
            layer.weight.copy_(torch.where(torch.rand_like(layer.weight) < 0.5, -1.0, 1.0))
        self.norm: nn.Module = nn.Identity()
        if normalise:
            norm = (nn.BatchNorm1d if flat else nn.BatchNorm2d)(outputs)
            nn.init.uniform_(norm.bias, -1, 1)
            self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.norm(self.layer(x))
        return y


class _Mlp(nn.Module):
    def __init__(self, hidden: int) -> None:
        super().__init__()
        sizes = [784, hidden, hidden, hidden]
        self.hidden = nn.ModuleList(
            _Binary(nn.Linear(a, b, bias=False)) for a, b in itertools.pairwise(sizes)
        )
        self.last = _Binary(nn.Linear(hidden, 10, bias=False), normalise=False)

    def forward(self, image: Tensor) -> Tensor:
        x = torch.sign(image.flatten(1))
        for layer in self.hidden:
            x = torch.sign(layer(x))
        y: Tensor = self.last(x)
        return y


class _Cnv(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        channels = [3, 64, 64, 128, 128, 256, 256]
        self.convs = nn.ModuleList(
            _Binary(nn.Conv2d(a, b, 3, bias=False)) for a, b in itertools.pairwise(channels)
        )
        self.dense = nn.ModuleList(_Binary(nn.Linear(a, b, bias=False)) for a, b in ((256, 512), (512, 512)))
        self.last = _Binary(nn.Linear(512, 10, bias=False), normalise=False)
        self.pool = nn.MaxPool2d(2)

    def forward(self, image: Tensor) -> Tensor:
        x = image
        for i, layer in enumerate(self.convs):
            x = torch.sign(layer(x))
            if i in (1, 3):
                x = self.pool(x)
        x = x.flatten(1)
        for layer in self.dense:
            x = torch.sign(layer(x))
        y: Tensor = self.last(x)
        return y


def sfc() -> nn.Module:
    """784 - 256 - 256 - 256 - 10."""
    torch.manual_seed(0)
    return _Mlp(256).eval()


def lfc() -> nn.Module:
    """784 - 1024 - 1024 - 1024 - 10."""
    torch.manual_seed(0)
    return _Mlp(1024).eval()


def cnv() -> nn.Module:
    """Six convolutions and three dense layers."""
    torch.manual_seed(0)
    return _Cnv().eval()
