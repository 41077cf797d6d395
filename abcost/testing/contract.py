"""What all contracts share: how a broken promise is said, and values that are worth trying."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from abcost.core.inputs import InputSpec
from abcost.core.log import Phase
from abcost.models.subject import Subject

EDGES = (1.0, -1.0, 2.0, -3.0, 0.5, -0.25)


def hold(kept: bool, promise: str) -> None:  # noqa: FBT001 - reads as a sentence where it is called
    """Raises AssertionError unless the promise is kept; `python -O` changes nothing."""
    if not kept:
        raise AssertionError(promise)


def specs_of(shapes: Sequence[Sequence[int] | InputSpec]) -> tuple[InputSpec, ...]:
    """Shapes as inputs of float32; an InputSpec as it is."""
    return tuple(shape if isinstance(shape, InputSpec) else InputSpec(tuple(shape)) for shape in shapes)


def subject_of(module: nn.Module, specs: tuple[InputSpec, ...]) -> Subject:
    """The module as what a user names, with its weights as they are."""
    return Subject(module, type(module).__name__, None, specs, trained=True)


def on_grid(specs: Sequence[InputSpec], fraction_bits: int, seed: int = 0) -> list[Tensor]:
    """Inputs that fixed point holds exactly: normal noise and EDGES, multiples of 2**-fraction_bits, none of them 0.

    0 is left out, for signs of hardware have one bit: sign(0) is 1 there. Integer inputs are 0.
    """
    generator = torch.Generator().manual_seed(seed)
    step = 2.0**-fraction_bits
    found = []
    for spec in specs:
        noise = torch.randn(spec.shape, generator=generator, dtype=torch.float64)
        x = torch.round(noise / step) * step
        x = torch.where(x == 0, step, x)
        edges = torch.tensor(EDGES, dtype=torch.float64)[
            torch.randint(len(EDGES), x.shape, generator=generator)
        ]
        x = torch.where(torch.rand(x.shape, generator=generator) < 0.3, edges, x)
        found.append(x if spec.dtype.is_floating_point else torch.zeros(spec.shape, dtype=spec.dtype))
    return found


def before(phase: Phase) -> list[Phase]:
    """The phases in front of one."""
    return [other for other in Phase if other < phase]
