"""Running a float64 copy of a model as if float64 were the only floating type.

A model may cast its activations (`.float()`, `.to(torch.float32)`, `.half()`) or make tensors of a given type
(`torch.zeros(…, dtype=torch.float32)`); in a float64 copy of it these would meet float64 parameters. The fixed-point
data path has one type of its own, so a cast between floating types is nothing: here it is nothing, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

_NARROWER = frozenset({torch.float32, torch.float16, torch.bfloat16})


@contextmanager
def float64_only() -> Iterator[None]:
    """In the block every floating tensor that an operator reads or makes is float64, whatever type it is asked for."""
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
        schema = func._schema.arguments
        wide = [
            value if position < len(schema) and _written(schema[position]) else tree_map(_widened, value)
            for position, value in enumerate(args)
        ]
        named = {name: tree_map(_widened, value) for name, value in (kwargs or {}).items()}
        return func(*wide, **named)


def _written(argument: Any) -> bool:
    return argument.alias_info is not None and argument.alias_info.is_write


def _widened(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.to(torch.float64) if value.dtype in _NARROWER else value
    return torch.float64 if isinstance(value, torch.dtype) and value in _NARROWER else value
