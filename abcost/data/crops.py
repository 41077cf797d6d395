"""What the published recipe does to images of ImageNet, by torchvision's transforms."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from abcost.extras import require

SCALE = (0.08, 1.0)  # share of the image's area that a random crop covers
MARGIN = 256 / 224  # the shorter side, before the central crop for testing
LIGHTING = 0.1  # standard deviation of the lighting noise, along each principal component

# Principal components of the colours of ImageNet's training images, red, green, blue in 0 … 1: eigenvalues, and
# eigenvectors as columns.  Source: fb.resnet.torch (Facebook, 2016), after Krizhevsky et al., ImageNet
# classification with deep convolutional neural networks, NeurIPS 2012, section 4.1.
EIGENVALUES = (0.2175, 0.0188, 0.0045)
EIGENVECTORS = ((-0.5675, 0.7192, 0.4009), (-0.5808, -0.0045, -0.8140), (-0.5836, -0.6948, 0.4203))


class Crops:
    """Pictures to tensors (3, size, size), float32 in 0 … 1, which lighting may leave a little.

    train: random crop of 8-100 % of the area and 3/4-4/3 in shape, resized; lighting noise; flip.
    test: shorter side resized to 256/224 of `size`, central crop.
    """

    def __init__(self, size: int, *, flip: bool) -> None:
        transforms = require("torchvision.transforms", "vision", "reading image files")
        self._tensor = transforms.ToTensor()
        self._random = transforms.RandomResizedCrop(size, scale=SCALE)
        self._flip = transforms.RandomHorizontalFlip(0.5 if flip else 0.0)
        self._resize = transforms.Resize(round(size * MARGIN))
        self._central = transforms.CenterCrop(size)

    def train(self, picture: Any) -> Tensor:
        """With random numbers of torch's global generator."""
        image: Tensor = self._flip(lighten(self._tensor(self._random(picture))))
        return image

    def test(self, picture: Any) -> Tensor:
        """Without random numbers."""
        image: Tensor = self._tensor(self._central(self._resize(picture)))
        return image


def lighten(image: Tensor) -> Tensor:
    """Add the same colour to every pixel; (3, H, W) -> (3, H, W).

    x + sum over k of eigenvector_k * eigenvalue_k * a_k,  a_k ~ N(0, 0.1)
    """
    amounts = LIGHTING * torch.randn(3) * torch.tensor(EIGENVALUES)
    return image + (torch.tensor(EIGENVECTORS) @ amounts).view(3, 1, 1)
