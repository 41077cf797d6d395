"""Shift, scale, mask and sign in front of a convolution, as one step of training."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.autograd.function import BackwardCFunction, FunctionCtx

from abcost.nn.activation import BinaryActivation
from abcost.nn.bias import LearnableBias
from abcost.nn.fast_forms import is_fast


class _ShiftedSign(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, shift: Tensor, beta: float) -> Tensor:
        v = x + shift
        ctx.save_for_backward(v)
        ctx.beta = beta  # type: ignore[attr-defined]
        return v.sign()

    @staticmethod
    def backward(ctx: BackwardCFunction, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        beta: float = ctx.beta  # type: ignore[attr-defined]
        sigma = (ctx.saved_tensors[0] * (3 * beta)).sigmoid_()
        result = torch.ops.aten.sigmoid_backward(grad, sigma).mul_(6 * beta)
        return result, result.sum((0, 2, 3), keepdim=True), None


def shifted_sign(x: Tensor, move: nn.Module, sign: nn.Module) -> Tensor:
    """sign(move(x)); in fast forms (see `fast_forms`) one function, if the layers are those of A&B BNN.

        y = sign(v),  v = x + bias/beta
        dy/dv := 6*beta * s*(1 - s),  s = sigmoid(3*beta*v)

    x, y: (N, C, H, W).  It leaves out what cannot change a sign (beta > 0, the mask), and takes the slope of the
    mask in the form that is quick to compute: torch's tanh takes seven times as long as its sigmoid.

    Source: A&B BNN (Ma et al., CVPR 2024, arXiv:2403.03739).
    """
    if is_fast(sign) and isinstance(move, LearnableBias) and isinstance(sign, BinaryActivation):
        return _ShiftedSign.apply(x, move.shift(), sign.beta)  # type: ignore[no-any-return, no-untyped-call]
    return sign(move(x))  # type: ignore[no-any-return]
