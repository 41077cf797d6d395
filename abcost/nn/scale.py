"""Residual scale: what A&B BNN puts in the place of batch normalisation."""

from __future__ import annotations

from torch import Tensor, nn


class Scale(nn.Module):
    """y = factor * x, any shape; `factor` is fixed (alpha = 1/4 in A&B BNN, a power of two by design).

    Multiplies the activation and is not folded into the weights, so that an analysis sees it.

    Source: alpha of A&B BNN (Ma et al., CVPR 2024, arXiv:2403.03739).
    """

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        """Scaled x; its shape."""
        return self.factor * x

    def extra_repr(self) -> str:
        """Factor, shown by print(model)."""
        return f"{self.factor:.6g}"
