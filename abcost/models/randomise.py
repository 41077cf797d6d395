"""Random parameters for untrained networks of the zoo, so that verification meets nonzero biases and varied slopes."""

from __future__ import annotations

import zlib

import torch
from torch import nn

_SPREAD = {"gain": (1.0, 0.1), "bias": (0.0, 0.3)}  # last part of the name -> mean, standard deviation


def randomise_parameters(model: nn.Module) -> None:
    """Overwrite biases, gains and slopes in place, the same way in every run.

    biases ~ N(0, 0.3), gains ~ N(1, 0.1), slope exponents uniform in -7 … 2 (what trained CIFAR networks
    show), real slopes ~ |N(0.25, 0.05)|, and batch-norm variances ~ 0.5 + U(0, 1). Weights stay.
    """
    with torch.no_grad():
        for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
            generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
            *path, last = name.split(".")
            if last == "L_alpha":
                tensor.copy_(torch.randint(-7, 3, tensor.shape, generator=generator))
            elif last == "weight" and any("prelu" in part for part in path):
                tensor.copy_((0.25 + 0.05 * torch.randn(tensor.shape, generator=generator)).abs())
            elif last in _SPREAD:
                mean, deviation = _SPREAD[last]
                tensor.copy_(mean + deviation * torch.randn(tensor.shape, generator=generator))
            elif last == "running_mean":
                tensor.copy_(0.3 * torch.randn(tensor.shape, generator=generator))
            elif last == "running_var":
                tensor.copy_(0.5 + torch.rand(tensor.shape, generator=generator))
