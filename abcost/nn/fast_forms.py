"""When layers are computed in whichever way is fastest on the machine, several at once.

An analysis traces networks in evaluation mode and has to see their layers one by one. Training, and whoever only wants
results, need not wait for that.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from torch import nn

_WANTED: ContextVar[bool] = ContextVar("fast forms in evaluation mode", default=False)


@contextmanager
def fast_forms() -> Iterator[None]:
    """While it is entered, layers in evaluation mode are computed so too."""
    token = _WANTED.set(True)
    try:
        yield
    finally:
        _WANTED.reset(token)


def is_fast(layer: nn.Module) -> bool:
    """Whether a layer is: in training mode always."""
    return layer.training or _WANTED.get()
