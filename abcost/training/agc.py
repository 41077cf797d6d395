"""Adaptive gradient clipping (AGC): no unit's gradient is large next to the unit itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

PARAMETER_FLOOR = 1e-3  # lets a unit of zeros move
GRADIENT_FLOOR = 1e-6


@torch.no_grad()
def clip_(parameters: Iterable[Tensor], factor: float, members: int = 1) -> None:
    """Clip the gradient of every unit of `parameters`, in place.

        limit = factor * max(|unit|, 1e-3)
        grad := grad * limit / max(|grad|, 1e-6)   where |grad| > limit

    |.| is the Euclidean norm. A unit is one slice along the first dimension, in a weight (out, in, kh, kw) one
    output channel; a tensor of one dimension is one unit. Parameters without gradient are passed over; all
    have one dtype and device. The units of all tensors are compared in one go, in a few calls of torch.
    members: of networks side by side (see `abcost.training.grouped`), whose units are their own.

    Source: Brock et al., ICML 2021 (NFNet); floors: A&B BNN (Ma et al., CVPR 2024, arXiv:2403.03739).

    >>> p = torch.nn.Parameter(torch.tensor([3.0, 4.0]))
    >>> p.grad = torch.tensor([0.0, 2.0])
    >>> clip_([p], 0.1)  # |p| = 5 allows a gradient of 0.5
    >>> p.grad.tolist()
    [0.0, 0.5]
    """
    trained = [(_apart(p, members), _apart(p.grad, members)) for p in parameters if p.grad is not None]
    if not trained:
        return
    grads = [grad for _, grad in trained]
    norms, grad_norms = _norms([p for p, _ in trained]), _norms(grads)
    sizes = [norm.numel() for norm in norms]
    limits = factor * torch.cat([norm.flatten() for norm in norms]).clamp_min(PARAMETER_FLOOR)
    lengths = torch.cat([norm.flatten() for norm in grad_norms])
    scales = torch.where(lengths > limits, limits / lengths.clamp_min(GRADIENT_FLOOR), 1.0)
    pieces = torch.split_with_sizes(scales, sizes)
    torch._foreach_mul_(grads, [piece.view_as(norm) for piece, norm in zip(pieces, norms, strict=True)])


def _apart(tensor: Tensor, members: int) -> Tensor:
    """A view in which every unit is a slice along the first dimension, also where a network has one unit only."""
    if members == 1 or (tensor.dim() > 1 and len(tensor) > 1):
        return tensor
    return tensor.view(members, -1)  # of one dimension, or a shift (1, channels, 1, 1)


def _norms(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Norm of every unit: (units, 1, ...) per tensor, () of a tensor of one dimension."""
    return [
        torch.linalg.vector_norm(t, dim=tuple(range(1, t.dim())) or None, keepdim=t.dim() > 1)
        for t in tensors
    ]
