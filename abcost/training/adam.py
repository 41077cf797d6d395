"""Adam without torch's compiler, which torch loads (a second, 70 MB) to keep it away from optimisers.

torch marks some methods of an optimiser as not to be compiled when they are first called, and ends its step with a
break for compiled graphs. In a training that compiles nothing neither has a meaning: here the methods are marked
beforehand, and the step is the one inside. Where torch has neither, this is Adam as it is.
"""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch.optim import Optimizer

_MARKED = ("add_param_group", "load_state_dict", "state_dict", "zero_grad")
_step = inspect.unwrap(torch.optim.Adam.step)


class Adam(torch.optim.Adam):
    """`torch.optim.Adam`, to the bit."""

    def __init__(self, *args: Any, **options: Any) -> None:
        for name in _MARKED:
            method = getattr(getattr(Optimizer, name), "__wrapped__", None)
            if method is not None and not hasattr(method, "__dynamo_disable"):
                setattr(method, "__dynamo_disable", method)
        super().__init__(*args, **options)

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """One step of all parameters."""
        return _step(self, closure)
