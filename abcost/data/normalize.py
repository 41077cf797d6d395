"""The normalisation of the published recipe, for every data set."""

from __future__ import annotations

import torch
from torch import Tensor

MEAN = (0.485, 0.456, 0.406)  # of ImageNet's training images, red, green, blue; on CIFAR and others too
STD = (0.229, 0.224, 0.225)


def normalize(images: Tensor) -> Tensor:
    """(x - mean) / std per channel, float32; (B, 3, H, W) or grey (B, 1, H, W), in 0 … 1 -> (B, 3, H, W).

    Grey is taken as red = green = blue.
    """
    return (images - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
