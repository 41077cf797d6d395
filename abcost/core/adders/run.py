"""What a graph of adders computes, adder by adder, on whole numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from abcost.core.adders.graph import ZERO, AdderGraph, last_uses
from abcost.core.adders.widths import value_bits
from abcost.core.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


def run(graph: AdderGraph, x: Tensor) -> Tensor:
    """The outputs for columns of inputs: int64 (inputs, n) -> int64 (outputs, n).

    Raises GraphError if a value could need more than 63 bits.
    """
    if x.numel():
        value_bits(graph, int(x.min()), int(x.max()))
    zero = torch.zeros_like(x[0]) if graph.inputs else torch.zeros(x.shape[1], dtype=torch.int64)
    values: list[Tensor | None] = list(x.unbind(0))
    last = last_uses(graph)
    for number, add in enumerate(graph.adds):
        left = zero if add.left == ZERO else _there(values, add.left) << add.left_shift
        right = _there(values, add.right) << add.right_shift
        values.append(left - right if add.subtract else left + right)
        for read in (add.left, add.right):
            if read != ZERO and last[read] == number:
                values[read] = None  # what nobody reads any more need not be kept
    found = [
        zero if output.value == ZERO else _shifted(_there(values, output.value), output.shift)
        for output in graph.outputs
    ]
    return torch.stack(found) if found else x.new_zeros((0, x.shape[1]))


def _there(values: list[Tensor | None], number: int) -> Tensor:
    value = values[number]
    assert value is not None, "a value was let go of before its last reader"  # noqa: S101 - ours to keep
    return value


def _shifted(value: Tensor, by: int) -> Tensor:
    return value << by if by >= 0 else value >> -by
