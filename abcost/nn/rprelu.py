"""RPReLU (shift, PReLU, shift) as one step of training."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import BackwardCFunction, FunctionCtx

from abcost.nn.bias import LearnableBias
from abcost.nn.fast_forms import is_fast
from abcost.nn.prelu import QuantizedPReLU

_POSITIONS = (0, 2, 3)  # the dimensions of a channel's activations


class _RPReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, before: Tensor, slopes: Tensor, after: Tensor) -> Tensor:
        u = x + before
        ctx.save_for_backward(u, slopes)
        return F.prelu(u, slopes).add_(after)

    @staticmethod
    def backward(ctx: BackwardCFunction, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        saved: tuple[Tensor, ...] = ctx.saved_tensors
        u, slopes = saved
        above = torch.ops.aten.threshold_backward(grad, u, 0)  # grad where u > 0, else 0
        below = grad - above
        sum_above = above.sum(_POSITIONS, keepdim=True)
        sum_below = below.sum(_POSITIONS, keepdim=True)
        slope = slopes.view(1, -1, 1, 1)
        result = above.addcmul_(below, slope)
        slope_grad = below.mul_(u).sum(_POSITIONS)
        return result, sum_above + slope * sum_below, slope_grad, sum_above + sum_below


def rprelu(x: Tensor, before: nn.Module, prelu: nn.Module, after: nn.Module) -> Tensor:
    """after(prelu(before(x))); in fast forms (see `fast_forms`) one function, if the shifts are `LearnableBias`.

        u = x + b1;   y = u + b2 where u >= 0,  slope*u + b2 elsewhere

    x, y: (N, C, H, W).  The backward pass splits the gradient by the sign of u once, and takes the gradients of x,
    both shifts and the slopes from the two parts; torch's own PReLU writes a slope gradient per position first.

    Source: ReActNet (Liu et al., ECCV 2020); slopes: A&B BNN (Ma et al., CVPR 2024, arXiv:2403.03739).
    """
    known = isinstance(prelu, QuantizedPReLU | nn.PReLU)
    if known and is_fast(prelu) and isinstance(before, LearnableBias) and isinstance(after, LearnableBias):
        slopes = prelu.slopes() if isinstance(prelu, QuantizedPReLU) else prelu.weight
        return _RPReLU.apply(x, before.shift(), slopes, after.shift())  # type: ignore[no-any-return, no-untyped-call]
    return after(prelu(before(x)))  # type: ignore[no-any-return]
