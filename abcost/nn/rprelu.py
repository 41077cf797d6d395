"""RPReLU (shift, PReLU, shift) as one step of training."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.autograd.function import BackwardCFunction, FunctionCtx

from abcost.nn.bias import LearnableBias
from abcost.nn.prelu import QuantizedPReLU

_POSITIONS = (0, 2, 3)  # the dimensions of a channel's activations


class _RPReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, before: Tensor, slopes: Tensor, after: Tensor) -> Tensor:
        u = x + before
        ctx.save_for_backward(u, slopes)
        return torch.ops.aten._prelu_kernel(u, slopes).add_(after)

    @staticmethod
    def backward(ctx: BackwardCFunction, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        u, slopes = ctx.saved_tensors
        above = torch.ops.aten.threshold_backward(grad, u, 0)  # grad where u > 0, else 0
        below = grad - above
        sum_above = above.sum(_POSITIONS, keepdim=True)
        sum_below = below.sum(_POSITIONS, keepdim=True)
        result = above.addcmul_(below, slopes)
        slope_grad = below.mul_(u).sum(_POSITIONS, keepdim=True)
        return result, sum_above + slopes * sum_below, slope_grad, sum_above + sum_below


def rprelu(x: Tensor, before: nn.Module, prelu: nn.Module, after: nn.Module) -> Tensor:
    """after(prelu(before(x))); in training mode one function, if the shifts are `LearnableBias`.

        u = x + b1;   y = u + b2 where u >= 0,  slope*u + b2 elsewhere

    x, y: (N, C, H, W).  The backward pass splits the gradient by the sign of u once, and takes the gradients of x,
    both shifts and the slopes from the two parts; torch's own PReLU writes a slope gradient per position first.

    Source: ReActNet (Liu et al., ECCV 2020); slopes: A&B BNN (Ma et al., CVPR 2024, arXiv:2403.03739).
    """
    shifts = isinstance(before, LearnableBias) and isinstance(after, LearnableBias)
    if prelu.training and shifts and isinstance(prelu, QuantizedPReLU | nn.PReLU):
        slopes = prelu.slopes() if isinstance(prelu, QuantizedPReLU) else prelu.weight
        result: Tensor = _RPReLU.apply(  # type: ignore[no-untyped-call]
            x, before.bias / before.beta, slopes.view(1, -1, 1, 1), after.bias / after.beta
        )
        return result
    result = after(prelu(before(x)))
    return result
