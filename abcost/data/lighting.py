"""Lighting: noise along the principal components of colour, the same for every pixel of an image.

    noise = sum over k of eigenvector_k * eigenvalue_k * a_k,   a_k ~ N(0, 0.1)

The published recipe adds this noise, which is made for pixels in 0 … 1, to 8-bit pixels in 0 … 255 and cuts the sum
to a whole number: since |noise| is about 0.013, a pixel falls by one grey level where the noise of its colour is
negative, and else stays. In 0 … 1, as AlexNet had it, the same noise has a standard deviation of 3.2 grey levels
in each colour.

Source: Krizhevsky et al., ImageNet classification with deep convolutional neural networks, NeurIPS 2012, section 4.1;
eigenvalues and eigenvectors: fb.resnet.torch (Facebook, 2016); on 8-bit pixels: A&B BNN (Ma et al., CVPR 2024).
"""

from __future__ import annotations

import torch
from torch import Tensor

LIGHTINGS = ("8-bit", "float", "none")
SPREAD = 0.1  # standard deviation of a_k

# Principal components of the colours of ImageNet's training images; rows are red, green, blue.
EIGENVALUES = (0.2175, 0.0188, 0.0045)
EIGENVECTORS = ((-0.5675, 0.7192, 0.4009), (-0.5808, -0.0045, -0.8140), (-0.5836, -0.6948, 0.4203))


def amounts() -> Tensor:
    """Draw a_1, a_2, a_3 from torch's global generator; (3,), float32."""
    return SPREAD * torch.randn(3)


def lighten_8bit(pixels: Tensor, drawn: Tensor) -> Tensor:
    """Add the noise to 8-bit pixels, hold the sum in 0 … 255 and cut what is behind the point, as published.

    pixels, result: (3, H, W), uint8, red, green, blue;  drawn: (3,), the a_k.

    >>> lighten_8bit(torch.tensor([0, 1, 255], dtype=torch.uint8).expand(3, 1, 3), torch.tensor([0.1, 0.0, 0.0]))[0]
    tensor([[  0,   0, 254]], dtype=torch.uint8)
    """
    return (pixels.double() + _noise(drawn)).clamp(0, 255).to(torch.uint8)


def lighten_float(image: Tensor, drawn: Tensor) -> Tensor:
    """Add the noise to an image in 0 … 1, which it may leave a little.

    image, result: (3, H, W), float32, red, green, blue;  drawn: (3,), the a_k.
    """
    return image + _noise(drawn).to(image.dtype)


def _noise(drawn: Tensor) -> Tensor:
    """Noise per colour, (3, 1, 1), float64."""
    components = torch.tensor(EIGENVECTORS, dtype=torch.float64)
    scaled = torch.tensor(EIGENVALUES, dtype=torch.float64) * drawn.double()
    return (components @ scaled).view(3, 1, 1)
