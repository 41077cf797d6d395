"""Running a float64 copy of a model as if float64 were the only floating type.

A model may cast its activations (`.float()`, `.to(torch.float32)`, `.half()`) or make tensors of a given type
(`torch.zeros(…, dtype=torch.float32)`); in a float64 copy of it these would meet float64 parameters. The fixed-point
data path has one type of its own, so a cast between floating types is nothing: here it is nothing, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

_NARROWER = frozenset({torch.float32, torch.float16, torch.bfloat16})


@contextmanager
def float64_only() -> Iterator[None]:
    """Make every floating tensor that an operator in the block reads or makes float64, whatever type is asked for."""
    was = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with _Widened():  # type: ignore[no-untyped-call]
            yield
    finally:
        torch.set_default_dtype(was)


class _Widened(TorchDispatchMode):  # type: ignore[no-untyped-call]
    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Torch would load its compiler at the first call here, in order to leave this function out of it."""
        return False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Arguments that are only read become float64, and so do types that are asked for."""
        written = _written(func)
        wide = [value if position in written else _widened(value) for position, value in enumerate(args)]
        named = {name: _widened(value) for name, value in (kwargs or {}).items()}
        return func(*wide, **named)


@cache
def _written(func: Any) -> frozenset[int]:
    """Positions of the arguments that an operator writes into."""
    infos = [argument.alias_info for argument in func._schema.arguments]
    return frozenset(position for position, info in enumerate(infos) if info is not None and info.is_write)


def _widened(value: Any) -> Any:
    """An argument; torch's own walk through nested ones takes longer than most operators."""
    if isinstance(value, torch.Tensor):
        return value.to(torch.float64) if value.dtype in _NARROWER else value
    if isinstance(value, torch.dtype):
        return torch.float64 if value in _NARROWER else value
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return tree_map_only((torch.Tensor, torch.dtype), _widened, value)
