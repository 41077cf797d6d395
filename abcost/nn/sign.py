"""Sign of an activation, and the two ways to send a gradient through it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.autograd.function import BackwardCFunction, FunctionCtx


class _SignIdentityGradient(torch.autograd.Function):
    @staticmethod
    def forward(_ctx: FunctionCtx, x: Tensor) -> Tensor:
        return torch.sign(x)

    @staticmethod
    def backward(_ctx: FunctionCtx, grad: Tensor) -> Tensor:
        return grad


class _SignPolynomialGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return torch.sign(x)

    @staticmethod
    def backward(ctx: BackwardCFunction, grad: Tensor) -> Tensor:
        x: Tensor = ctx.saved_tensors[0]
        return grad * (2 - 2 * x.abs()).clamp_min(0)


def sign_through(x: Tensor) -> Tensor:
    """torch.sign(x), so 0 at 0; the gradient passes unchanged.

    Stands behind a `Mask`, which shapes the gradient.

    >>> sign_through(torch.tensor([-0.5, 0.0, 2.0])).tolist()
    [-1.0, 0.0, 1.0]
    """
    result: Tensor = _SignIdentityGradient.apply(x)  # type: ignore[no-untyped-call]
    return result


class ApproxSign(nn.Module):
    """sign(x) of the batch-norm baselines, any shape.

        dy/dx := 2 - 2|x|   where |x| < 1
                 0          elsewhere

    Source: Liu et al., Bi-Real Net, ECCV 2018 (piecewise polynomial in place of sign).
    """

    def forward(self, x: Tensor) -> Tensor:
        """Sign of x; its shape."""
        result: Tensor = _SignPolynomialGradient.apply(x)  # type: ignore[no-untyped-call]
        return result
