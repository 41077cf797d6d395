"""One process on the CPU in single precision: the part of Lightning Fabric that it needs, which is nearly nothing.

Lightning Fabric takes two seconds to import, which a short training notices. Everything else (GPUs, several processes,
other precisions) is Fabric's.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

import torch
from torch import Tensor, nn

T = TypeVar("T")


class Alone:
    """What trainings call of `lightning_fabric.Fabric`."""

    device = torch.device("cpu")
    world_size = 1
    global_rank = 0
    is_global_zero = True

    def setup(self, model: nn.Module, optimizer: T) -> tuple[nn.Module, T]:
        """Model and optimiser, unchanged."""
        return model, optimizer

    def to_device(self, batch: T) -> T:
        """The batch, unchanged: it is there already."""
        return batch

    def autocast(self) -> AbstractContextManager[None]:
        """Single precision throughout."""
        return nullcontext()

    def backward(self, loss: Tensor) -> None:
        """Gradients of the loss."""
        loss.backward()  # type: ignore[no-untyped-call]

    def barrier(self) -> None:
        """Does nothing: there is nobody to wait for."""
