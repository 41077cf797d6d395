"""A graph of adders: a constant matrix times a vector, as sums and differences of shifted values.

    v[0 .. inputs - 1] = the inputs
    v[inputs + i]      = +-(v[left] << left_shift) +- (v[right] << right_shift)      adder i
    y[o]               = v[value] << shift                                           output o

Values are whole numbers. Shifts by one amount are wiring, so that the adders are all that a graph costs; adders that
several others read are built once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from abcost.errors import GraphError

ZERO = -1
"""In place of a value: 0. Left of a subtraction it makes a negation, which takes an adder as well."""


class Add(NamedTuple):
    """(v[left] << left_shift) + (v[right] << right_shift), or minus; shifts are 0 or more."""

    left: int
    left_shift: int
    right: int
    right_shift: int
    subtract: bool = False


class Output(NamedTuple):
    """v[value] << shift; of a negative shift the bits that fall off are always 0. `ZERO`: the output is 0."""

    value: int
    shift: int = 0


@dataclass(frozen=True, slots=True)
class AdderGraph:
    """Adders in an order in which each reads earlier values only, and where the outputs are.

    fraction_bits: of the constants; the outputs are those of constants that were multiplied by 2**fraction_bits.
    Raises GraphError for an adder that reads what is not there yet.
    """

    inputs: int
    adds: tuple[Add, ...]
    outputs: tuple[Output, ...]
    fraction_bits: int = 0

    def __post_init__(self) -> None:
        for number, add in enumerate(self.adds):
            there = range(ZERO, self.inputs + number)
            if add.left not in there or add.right not in there or min(add.left_shift, add.right_shift) < 0:
                raise GraphError(f"adder {number} of {len(self.adds)} reads what is not there: {add}")

    def rows(self) -> NDArray[np.int64]:
        """What every value is: (values, inputs), the factor of each input in it."""
        found = np.zeros((self.inputs + len(self.adds) + 1, self.inputs), dtype=np.int64)
        found[: self.inputs] = np.eye(self.inputs, dtype=np.int64)
        for number, add in enumerate(self.adds, self.inputs):  # the last row, of `ZERO`, stays 0
            right = found[add.right] << add.right_shift
            found[number] = (found[add.left] << add.left_shift) + (-right if add.subtract else right)
        return found[:-1]

    def matrix(self) -> NDArray[np.int64]:
        """The constants that the graph multiplies by: (outputs, inputs)."""
        rows = np.vstack([self.rows(), np.zeros((1, self.inputs), dtype=np.int64)])
        return np.array([_shifted(rows[output.value], output.shift) for output in self.outputs]).reshape(
            len(self.outputs), self.inputs
        )


def _shifted(values: NDArray[np.int64], by: int) -> NDArray[np.int64]:
    return values << by if by >= 0 else values >> -by


def check_matrix(graph: AdderGraph, matrix: NDArray[np.int64]) -> AdderGraph:
    """The graph itself. Raises GraphError unless it multiplies by exactly this matrix, (outputs, inputs)."""
    found = graph.matrix()
    if not np.array_equal(found, matrix):
        wrong = int((found != matrix).sum()) if found.shape == matrix.shape else matrix.size
        raise GraphError(
            f"an adder graph multiplies by other constants than it should, {wrong} of {matrix.size}"
        )
    return graph


def last_uses(graph: AdderGraph) -> Sequence[int]:
    """Number of the adder that reads each value last; the number of adders where an output or nobody reads it."""
    last = [len(graph.adds)] * (graph.inputs + len(graph.adds))
    kept = {output.value for output in graph.outputs}
    for number, add in enumerate(graph.adds):
        for value in (add.left, add.right):
            if value != ZERO and value not in kept:
                last[value] = number
    return last
