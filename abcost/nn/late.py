"""Initial weights that are drawn when they are read, and not kept: an untrained network in little memory.

    drawing_late()   while a network is built: weights are drawn, as ever, and forgotten; what is kept is the state of
                     the generator before each, so that it can draw the same again
    values_of(m)     while module m runs: its weight, drawn again

A network of 29 million weights takes 9 MB instead of 117, and its weights are the same to the bit.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import nn

_late: ContextVar[bool] = ContextVar("_late", default=False)


class DrawnWeight:
    """A module whose constructor draws a parameter `weight` in `reset_parameters`, which may be done late."""

    drawn_from: torch.Tensor | None = None  # state of the generator, while the weight is only a shape


@contextmanager
def drawing_late() -> Iterator[None]:
    """Modules that are made in the block forget their weights, which `values_of` draws again."""
    token = _late.set(True)
    try:
        yield
    finally:
        _late.reset(token)


def state_before() -> torch.Tensor | None:
    """What a constructor asks before its weight is drawn: the state to draw it again from, None if it is kept."""
    return torch.get_rng_state() if _late.get() else None


def forget(module: nn.Module, state: torch.Tensor | None) -> None:
    """Let go of a weight that was drawn from `state`; nothing where that is None."""
    if state is not None:
        module.weight = _shape_of(module.weight)
        module.drawn_from = state


def _shape_of(weight: Any) -> nn.Parameter:
    return nn.Parameter(torch.empty_like(weight, device="meta"), requires_grad=weight.requires_grad)


def is_late(module: nn.Module) -> bool:
    """Whether the module has a weight that is drawn when it is read."""
    return isinstance(module, DrawnWeight) and module.drawn_from is not None


@contextmanager
def values_of(module: nn.Module) -> Iterator[nn.Parameter | None]:
    """The weight of a module that is late, which has it in the block; None for any other module."""
    if not is_late(module):
        yield None
        return
    shape: Any = module.weight
    with torch.random.fork_rng(devices=[]):
        torch.set_rng_state(module.drawn_from)  # type: ignore[arg-type]
        weight = nn.Parameter(torch.empty(shape.shape), requires_grad=shape.requires_grad)
        module.weight = weight
        module.reset_parameters()  # type: ignore[operator]
    try:
        yield weight
    finally:
        module.weight = shape


def taken(module: Any) -> tuple[torch.Tensor, bool]:
    """The weight of a module, and whether the caller may write into it: one that was drawn for this reading only.

    Raises RuntimeError for a second reading of such a weight.
    """
    weight: torch.Tensor = module.weight
    if not is_late(module):
        return weight, False
    if weight.is_meta:
        raise RuntimeError("a weight that is drawn late is read once while its module runs")
    module.weight = _shape_of(weight)
    return weight.detach(), True
