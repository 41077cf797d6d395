"""The graph of adders that a dot product with constant weights is performed by."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from abcost.core.adders.graph import AdderGraph
from abcost.core.adders.run import run
from abcost.core.adders.shared import MOST_BITS, shared
from abcost.core.kinds import OpKind
from abcost.core.node import Constant, OpNode
from abcost.errors import GraphError

ATTRIBUTE = "adder_graph"
"""True on nodes that are performed so; the graph follows from the weights."""

_MANTISSA = 53  # bits of a float64's


def in_adders(node: OpNode) -> bool:
    """Whether the node's products are a graph of adders."""
    return bool(node.attrs.get(ATTRIBUTE, False))


def constant_matrix(weight: Constant) -> tuple[NDArray[np.int64], int] | None:
    """Weights as (outputs, inputs) whole numbers, and the bits after their point; None where 24 bits do not hold them.

    weight = numbers / 2**fraction_bits; binary ones are +-1, a 0 is stored as +1.
    """
    if weight.binary and weight.scale is None:
        return np.where(weight.values.flatten(1).numpy() >= 0, 1, -1).astype(np.int64), 0
    values = weight.real().flatten(1).numpy()
    mantissas, exponents = np.frexp(values)
    whole = (mantissas * 2.0**_MANTISSA).astype(np.int64)
    zeros = np.bitwise_count((whole & -whole) - 1).astype(np.int64)  # below the lowest bit that is 1
    needed = np.where(whole != 0, _MANTISSA - exponents - zeros, 0)
    fraction_bits = max(0, int(needed.max(initial=0)))
    scaled = np.ldexp(values, fraction_bits)
    if not np.abs(scaled).max(initial=0) < 2.0**MOST_BITS:
        return None
    return scaled.astype(np.int64), fraction_bits


def graph_of(node: OpNode) -> AdderGraph:
    """The graph of a node's weights: inputs as a row of its weights has them, an output per channel.

    Raises GraphError for weights that make none; MissingExtra without the solver.
    """
    found = constant_matrix(node.consts["weight"])
    if found is None:
        raise GraphError(f"{node} has weights of more than {MOST_BITS} bits: no graph of adders")
    return shared(*found)


def run_node(node: OpNode, x: Tensor, fraction_bits: int) -> Tensor:
    """The sums of products of a convolution or linear layer, adder by adder; not cut, without bias and divisor.

    x: multiples of 2**-fraction_bits in float64. Raises GraphError for others.
    """
    graph = graph_of(node)
    columns = _windows(node, x) if node.kind is OpKind.CONV else x
    columns = columns.movedim(1 if node.kind is OpKind.CONV else -1, 0)
    scaled = columns * 2.0**fraction_bits
    numbers = scaled.to(torch.int64)
    if not torch.equal(numbers.to(torch.float64), scaled):
        raise GraphError(f"{node} reads values that are no multiples of 2**-{fraction_bits}")
    sums = run(graph, numbers.reshape(graph.inputs, -1)).to(torch.float64)
    sums = sums.reshape(-1, *columns.shape[1:]) / 2.0 ** (fraction_bits + graph.fraction_bits)
    return sums.movedim(0, 1 if node.kind is OpKind.CONV else -1)


def _windows(node: OpNode, x: Tensor) -> Tensor:
    """What each position of a convolution reads: (batch, taps, *positions), taps in the order of its weights."""
    a, shape = node.attrs, node.consts["weight"].values.shape
    count = shape[1:].numel()
    each = torch.eye(count, dtype=torch.float64).reshape(count, *shape[1:])
    found: Tensor = torch.ops.aten.convolution(
        x, each, None, list(a["stride"]), list(a["padding"]), list(a["dilation"]), False,
        list(a["output_padding"]), 1,
    )  # fmt: skip
    return found
