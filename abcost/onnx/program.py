"""An ONNX graph as a module: its nodes run one after the other, each by torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import torch
from torch import nn

from abcost.errors import AbcostError, ModelError, one_line
from abcost.onnx.op import LARGEST_CONSTANT, Op
from abcost.onnx.registry import Handler


@dataclass(frozen=True, slots=True)
class Step:
    """One node. `name` is unique; inputs that are left out are "".

    types: of the elements of each input; live: for each input, whether it depends on the network's input;
    last_use: values that nobody reads afterwards.
    """

    name: str
    operator: str
    version: int
    handler: Handler
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    types: tuple[int, ...] = ()
    live: tuple[bool, ...] = ()
    last_use: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """Name of the node for messages."""
        return f"ONNX {self.operator} {self.name!r}"

    def run(self, values: dict[str, torch.Tensor | None], dtype: torch.dtype) -> None:
        """Add the results to `values`. Raises ModelError with the node's name for whatever torch raises."""
        inputs = [values[name] for name in self.inputs]
        op = self._op(inputs, dtype)
        if not any(self.live) and prod(x.numel() for x in inputs if x is not None) > LARGEST_CONSTANT:
            self._check_size(inputs, dtype)
        try:
            results = _listed(self.handler(op))
        except AbcostError:
            raise
        except Exception as error:
            raise ModelError(f"{self.label} fails: {type(error).__name__}: {one_line(error, 200)}") from error
        if len(results) < len([name for name in self.outputs if name]):
            raise op.refuse(f"gives {len(results)} results here, not {len(self.outputs)}")
        values.update(zip(self.outputs, results, strict=False))
        for name in self.last_use:
            values.pop(name, None)

    def _op(self, inputs: Sequence[torch.Tensor | None], dtype: torch.dtype) -> Op:
        results = len(self.outputs)
        return Op(self.label, self.version, inputs, self.live, self.attributes, dtype, results, self.types)

    def _check_size(self, inputs: Sequence[torch.Tensor | None], dtype: torch.dtype) -> None:
        """Refuse constants that take more memory than is reasonable before any is taken. Raises ModelError.

        Two vectors broadcast against each other, or multiplied, have as many elements as their product says.
        """
        op = self._op([None if x is None else x.to("meta") for x in inputs], dtype)
        try:
            results = _listed(self.handler(op))
        except Exception:  # noqa: BLE001 - it reads values, such as a shape, and checks what it makes of them
            return
        for result in results:
            op.fits(result.shape)


def _computed(x: torch.Tensor) -> torch.Tensor:
    """An input in a type that is computed with: whole numbers of any width are int64."""
    return x if x.is_floating_point() or x.dtype in (torch.bool, torch.int64) else x.to(torch.int64)


def _listed(result: torch.Tensor | Sequence[torch.Tensor]) -> list[torch.Tensor]:
    return [result] if isinstance(result, torch.Tensor) else list(result)


Around = Callable[[Step], AbstractContextManager[Any]]


class OnnxProgram(nn.Module):
    """The graph of a file. Parameters are its floating initializers of at least one axis; the rest are buffers.

    What depends on parameters alone is computed by torch in every run, so that a copy in another precision
    computes it in that precision.
    """

    _precision: torch.Tensor

    def __init__(
        self,
        inputs: Sequence[str],
        outputs: Sequence[str],
        initializers: Mapping[str, torch.Tensor],
        steps: Iterable[Step],
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.input_names, self.output_names = tuple(inputs), tuple(outputs)
        self.steps = tuple(steps)
        self._members: dict[str, str] = {}
        for number, (name, tensor) in enumerate(initializers.items()):
            member = f"initializer_{number}"  # torch allows no dots in names
            self._members[name] = member
            if tensor.is_floating_point() and tensor.dim():
                self.register_parameter(member, nn.Parameter(tensor, requires_grad=False))
            else:
                self.register_buffer(member, tensor)
        self.register_buffer("_precision", torch.zeros((), dtype=dtype), persistent=False)

    def forward(self, *inputs: torch.Tensor) -> Any:
        """Outputs of the graph; a single one by itself."""
        return self.run(inputs, lambda _: nullcontext())

    def run(self, inputs: Sequence[torch.Tensor], around: Around) -> Any:
        """`forward`, with every node executed inside `around(step)`."""
        if len(inputs) != len(self.input_names):
            raise ModelError(f"the ONNX graph has {len(self.input_names)} inputs, {len(inputs)} were given")
        values = self._initializers()
        values.update(zip(self.input_names, (_computed(x) for x in inputs), strict=True))
        for step in self.steps:
            with around(step):
                step.run(values, self._precision.dtype)
        results = tuple(values[name] for name in self.output_names)
        return results[0] if len(results) == 1 else results

    def constants(self, names: Iterable[str]) -> dict[str, torch.Tensor]:
        """Those of the named values that can be computed without an input."""
        wanted, values = set(names), self._initializers()
        for step in ordered(self.steps, self.input_names, wanted):
            if all(name in values for name in step.inputs):
                step.run(values, self._precision.dtype)
        return {name: value for name in wanted if (value := values.get(name)) is not None}

    def _initializers(self) -> dict[str, torch.Tensor | None]:
        values: dict[str, torch.Tensor | None] = {"": None}
        values.update({name: getattr(self, member) for name, member in self._members.items()})
        return values


_DEPENDS = {"Shape": 0, "Size": 0, "CastLike": 1}
"""How many of the first inputs a result depends on, where that is not all: shapes and types are known beforehand."""


def ordered(steps: Sequence[Step], inputs: Iterable[str], outputs: Iterable[str]) -> list[Step]:
    """The steps that the outputs need, with `live` and `last_use` filled in."""
    needed, kept = set(outputs), []
    for step in reversed(steps):
        if needed.intersection(step.outputs):
            kept.append(step)
            needed.update(step.inputs)
    live, last = set(inputs), dict.fromkeys(outputs, -1)
    found = []
    for position, step in enumerate(kept):  # backwards: the first reader met is the last to read
        names = (*step.inputs, *step.outputs)
        ends = tuple(
            name for name in dict.fromkeys(names) if name and last.setdefault(name, position) == position
        )
        found.append((step, ends))
    result = []
    for step, ends in reversed(found):
        flags = tuple(name in live for name in step.inputs)
        if any(flags[: _DEPENDS.get(step.operator)]):
            live.update(step.outputs)
        result.append(replace(step, live=flags, last_use=ends))
    return result
