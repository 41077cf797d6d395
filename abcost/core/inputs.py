"""Shape and dtype of a model's inputs."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from math import prod

import torch
from torch import nn

from abcost.errors import UsageError

LARGEST_INPUT = 2**31  # elements; more than any image batch, and still a clear error instead of a full memory
_DTYPES = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (torch.float32, torch.float64, torch.bfloat16, torch.float16, torch.int64, torch.int32)
}


@dataclass(frozen=True, slots=True)
class InputSpec:
    """One input of a model.

    >>> InputSpec.parse("1x3x224x224").shape
    (1, 3, 224, 224)
    >>> InputSpec.parse("1x16:int64").dtype
    torch.int64
    """

    shape: tuple[int, ...]
    dtype: torch.dtype = torch.float32

    def __post_init__(self) -> None:
        if not self.shape or any(size < 1 for size in self.shape):
            raise UsageError(
                f"an input needs sizes of at least 1, got {self.text}; example: --input-size 1x3x224x224"
            )
        if prod(self.shape) > LARGEST_INPUT:
            raise UsageError(f"an input of {self.text} has more than {LARGEST_INPUT} elements")

    @classmethod
    def parse(cls, text: str) -> InputSpec:
        """NxCxHxW, with `:dtype` behind it where it is not float32. Raises UsageError."""
        sizes, _, dtype = text.partition(":")
        if not re.fullmatch(r"\d{1,9}(x\d{1,9})*", sizes) or (dtype and dtype not in _DTYPES):
            raise UsageError(
                f"--input-size {text!r} is not sizes joined by x (1x3x224x224), "
                f"with one of :{', :'.join(_DTYPES)} behind them where needed"
            )
        return cls(tuple(int(size) for size in sizes.split("x")), _DTYPES[dtype or "float32"])

    @property
    def text(self) -> str:
        """The shape as `parse` reads it, without the dtype."""
        return "x".join(map(str, self.shape))


def of_models_type(inputs: tuple[InputSpec, ...], model: nn.Module) -> tuple[InputSpec, ...]:
    """Inputs of type float32 (what is not said otherwise) in the floating type of the model's parameters.

    That is the type of its first floating parameter (or buffer), which in most models is what meets the input first.

    >>> of_models_type((InputSpec((1, 3)),), nn.Linear(3, 2).bfloat16())[0].dtype
    torch.bfloat16
    """
    own = next(
        (
            t.dtype
            for tensors in (model.parameters(), model.buffers())
            for t in tensors
            if t.is_floating_point()
        ),
        torch.float32,
    )
    return tuple(replace(spec, dtype=own) if spec.dtype is torch.float32 else spec for spec in inputs)


def example_inputs(inputs: tuple[InputSpec, ...], seed: int = 0) -> list[torch.Tensor]:
    """Normal random inputs (zeros for integer inputs, which index tables), the same for the same seed."""
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randn(spec.shape, generator=generator, dtype=torch.float64).to(spec.dtype)
        if spec.dtype.is_floating_point
        else torch.zeros(spec.shape, dtype=spec.dtype)
        for spec in inputs
    ]
