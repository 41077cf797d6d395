"""One node of the op graph and the constants it holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import torch

from abcost.core.kinds import OpKind


@dataclass(frozen=True, eq=False, slots=True, weakref_slot=True)
class Constant:
    """A constant tensor, known offline.

    values: any shape; a floating or integer tensor, or int8 holding +1/-1 when `binary` (and 0 where
    torch.sign met exactly 0, which a bit cannot store: hardware has +1 there).
    scale: a factor that was taken out of real values without loss; the constant is values * scale.
    fixed: what fixed-point execution holds, where that is not `real()` rounded to the grid: a threshold found by
    running what it replaces, a product of constants that were rounded one by one.
    shared: names of the parameters that it was computed from, None if that is not known. Constants of the same
    parameters and the same values are one in memory (`abcost.cost.stored`); what derives a constant from
    another keeps it: `dataclasses.replace(constant, values=...)`.
    """

    values: torch.Tensor
    binary: bool = False
    scale: torch.Tensor | None = None
    fixed: torch.Tensor | None = None
    shared: str | None = None

    @property
    def count(self) -> int:
        """Number of elements."""
        return self.values.numel()

    @property
    def distinct(self) -> int:
        """Number of distinct values."""
        return len(set(self.values.flatten().tolist()))

    def real(self) -> torch.Tensor:
        """The values in float64, as the interpreter uses them."""
        values = self.values.to(torch.float64)
        return values if self.scale is None else values * self.scale


@dataclass(frozen=True, eq=False, slots=True)
class OpNode:
    """One tensor operation.

    name:   unique in the graph; kept by rewrites for as long as the value is the same
    shape:  of the result
    layer:  path of the module whose forward performs it ("" for the model itself)
    source: "file.py:line" of the statement that performs it, "" if unknown
    attrs:  JSON-able facts (stride, aten, …); consts: constant operands by role (weight, bias, …)
    """

    name: str
    kind: OpKind
    shape: tuple[int, ...]
    layer: str = ""
    source: str = ""
    attrs: Mapping[str, Any] = field(default_factory=dict)
    consts: Mapping[str, Constant] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "attrs", MappingProxyType(dict(self.attrs)))
        object.__setattr__(self, "consts", MappingProxyType(dict(self.consts)))

    @property
    def elements(self) -> int:
        """Elements of the result."""
        count = 1
        for size in self.shape:
            count *= size
        return count

    def const(self, role: str) -> Constant | None:
        """The constant in that role, or None."""
        return self.consts.get(role)

    def __str__(self) -> str:
        where = f" at {self.source}" if self.source else ""
        return f"{self.kind.value} {self.name!r}{where}"
