"""Turning constant operands into node constants."""

from __future__ import annotations

import torch

from abcost.core.node import Constant


def tensor_of(value: torch.Tensor | complex) -> torch.Tensor:
    """A constant operand as a tensor; a Python number keeps its 53 bits, as it does in a float64 model."""
    if isinstance(value, torch.Tensor):
        return value.detach()
    return torch.tensor(value, dtype=torch.float64 if isinstance(value, float) else None)


def constant(
    value: torch.Tensor | complex, out_shape: tuple[int, ...] = (), in_shape: tuple[int, ...] = ()
) -> Constant:
    """A constant operand of an elementwise operation.

    A constant that was expanded to the activation's shape (`bias.expand_as(x)`) is folded back along the
    axes on which it does not vary, so that per-channel constants are seen as such. Axes fold only where the
    activation alone gives the result its size.
    """
    tensor = tensor_of(value)
    if in_shape == out_shape:
        for axis, size in enumerate(tensor.shape):
            if size > 1 and (tensor.stride(axis) == 0 or bool((tensor == tensor.narrow(axis, 0, 1)).all())):
                tensor = tensor.narrow(axis, 0, 1)
    return Constant(tensor.contiguous())
