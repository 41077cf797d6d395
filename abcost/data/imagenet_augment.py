"""What the published recipe does to images of ImageNet, by torchvision's transforms."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from abcost.data.lighting import amounts, lighten_8bit, lighten_float
from abcost.extras import require

SCALE = (0.08, 1.0)  # share of the image's area that a random crop covers
MARGIN = 256 / 224  # the shorter side, before the central crop for testing


class Crops:
    """Pictures to tensors (3, size, size), float32 in 0 … 1, which lighting of floats may leave a little.

    train: random crop of 8-100 % of the area and 3/4-4/3 in shape, resized; lighting noise; flip.
    test: shorter side resized to 256/224 of `size`, central crop.
    lighting: one of `abcost.data.lighting.LIGHTINGS`.
    """

    def __init__(self, size: int, *, flip: bool, lighting: str) -> None:
        transforms = require("torchvision.transforms", "vision", "reading image files")
        self._pixels = transforms.PILToTensor()
        self._random = transforms.RandomResizedCrop(size, scale=SCALE)
        self._flip = transforms.RandomHorizontalFlip(0.5 if flip else 0.0)
        self._resize = transforms.Resize(round(size * MARGIN))
        self._central = transforms.CenterCrop(size)
        self._lighting = lighting

    def train(self, picture: Any) -> Tensor:
        """The tensor of a picture for training, with random numbers of torch's global generator."""
        image: Tensor = self._flip(self._lightened(self._pixels(self._random(picture))))
        return image

    def test(self, picture: Any) -> Tensor:
        """The tensor of a picture for testing, without random numbers."""
        return _unit(self._pixels(self._central(self._resize(picture))))

    def _lightened(self, pixels: Tensor) -> Tensor:
        if self._lighting == "8-bit":
            return _unit(lighten_8bit(pixels, amounts()))
        if self._lighting == "float":
            return lighten_float(_unit(pixels), amounts())
        return _unit(pixels)


def _unit(pixels: Tensor) -> Tensor:
    """Pixels as float32 in 0 … 1, from uint8 in 0 … 255."""
    return pixels.float() / 255
