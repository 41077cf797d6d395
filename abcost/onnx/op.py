"""One ONNX node while it is executed, as its handler sees it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import torch

from abcost.errors import ModelError, TraceError
from abcost.onnx.types import LIMITS, NAMES, UNKNOWN

LARGEST_CONSTANT = 2**29  # elements, 2 GiB in single precision: the most that a constant may be spread to


class Op:
    """Inputs as torch tensors (None where an optional one is left out) and attributes as plain values.

    version: of the operator set. dtype: of all floating values of the program, whatever the file says.
    live: for each input, whether it depends on the network's input. types: of each input's elements in the file, as
    `abcost.onnx.types` has them.
    """

    def __init__(
        self,
        label: str,
        version: int,
        inputs: Sequence[torch.Tensor | None],
        live: Sequence[bool],
        attributes: Mapping[str, Any],
        dtype: torch.dtype,
        results: int,
        types: Sequence[int] = (),
    ) -> None:
        self.label = label  # for messages: "ONNX Conv '/conv1/Conv'"
        self.version = version
        self.inputs = inputs
        self.live = live
        self.attributes = attributes
        self.dtype = dtype
        self.results = results  # how many the graph asks for
        self.types = types

    def __getitem__(self, position: int) -> torch.Tensor:
        """An input that has to be there. Raises ModelError."""
        value = self.get(position)
        if value is None:
            raise ModelError(f"{self.label} has no input {position}, which it needs")
        return value

    def get(self, position: int) -> torch.Tensor | None:
        """An optional input."""
        return self.inputs[position] if position < len(self.inputs) else None

    def constant(self, position: int) -> bool:
        """Whether the input is there and the same for every image."""
        return self.get(position) is not None and not self.live[position]

    def type(self, position: int) -> int:
        """Code of the type that an input's elements have in the file; UNKNOWN (0) where nobody says."""
        return self.types[position] if position < len(self.types) else UNKNOWN

    def limits(self, position: int) -> tuple[int, int]:
        """Least and largest whole number of an input's type. Raises TraceError where it is none."""
        code = self.type(position)
        if code not in LIMITS:
            raise self.refuse(
                f"input {position} is of type {NAMES.get(code, 'unknown')}, not of whole numbers of up to 63 bits"
            )
        return LIMITS[code]

    def ints(self, position: int) -> list[int] | None:
        """An optional input that holds whole numbers (axes, a shape), as a list."""
        value = self.get(position)
        return None if value is None else [int(x) for x in value.flatten().tolist()]

    def number(self, position: int) -> float | None:
        """An optional input that holds one number."""
        value = self.get(position)
        if value is None:
            return None
        if value.numel() != 1:
            raise self.refuse(f"input {position} has to be one number, not of shape {tuple(value.shape)}")
        return float(value.item())

    def attr(self, name: str, default: Any = None) -> Any:
        """An attribute, or what the standard takes where it is left out."""
        return self.attributes.get(name, default)

    def axes(self, position: int) -> list[int] | None:
        """Axes as an attribute (older operator sets) or as an input."""
        given = self.attr("axes")
        return self.ints(position) if given is None else list(given)

    def fits(self, shape: Sequence[int]) -> list[int]:
        """The shape, if a constant may be spread to it. Raises ModelError."""
        if prod(shape) > LARGEST_CONSTANT:
            raise ModelError(
                f"{self.label} spreads a constant to {'x'.join(map(str, shape))}, more than {LARGEST_CONSTANT} elements"
            )
        return list(shape)

    def refuse(self, why: str) -> TraceError:
        """The error for a form of the operator that is not supported."""
        return TraceError(f"{self.label}: {why}")
