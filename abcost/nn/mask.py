"""The mask layer: gives sign a gradient in training, and is removable afterwards."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Mask(nn.Module):
    """Smooth sign in front of the real one; any shape, no parameters.

        m(v)  = 2*sigmoid(3v) - 1  = tanh(1.5 v)
        m'(v) = 6*sigmoid(3v)*(1 - sigmoid(3v))

    m is odd and strictly rising, so sign(m(v)) = sign(v): removing it changes no output.  Computed as the
    tanh, because 2*sigmoid(3v) - 1 rounds to 0 for tiny v (|v| < 2e-8 in float32) and would lose their sign.

    Source: mask layer of A&B BNN (Ma et al., CVPR 2024, arXiv:2403.03739).

    >>> Mask()(torch.tensor([-1e-30, 0.0, 1e-30])).sign().tolist()
    [-1.0, 0.0, 1.0]
    """

    def forward(self, v: Tensor) -> Tensor:
        """m(v); the shape of v."""
        return torch.tanh(1.5 * v)
