"""Binary activation of A&B BNN: scale by beta, mask, sign."""

from __future__ import annotations

from torch import Tensor, nn

from abcost.nn.mask import Mask
from abcost.nn.sign import sign_through


class BinaryActivation(nn.Module):
    """y = sign(m(beta * x)), any shape; values -1, 0 (only at 0) and +1.

    `beta` = 1/sqrt(expected variance of x), > 0. The multiplication is performed even when beta is 1: the
    published counts charge it in every block, and whether it is free is for the analysis to find out.

    Source: A&B BNN (Ma et al., CVPR 2024, arXiv:2403.03739).
    """

    def __init__(self, beta: float) -> None:
        super().__init__()
        self.beta = beta
        self.mask = Mask()

    def forward(self, x: Tensor) -> Tensor:
        """Sign of x, with the gradient of the mask."""
        masked: Tensor = self.mask(self.beta * x)
        return sign_through(masked)

    def extra_repr(self) -> str:
        """Beta, shown by print(model)."""
        return f"beta={self.beta:.6g}"
