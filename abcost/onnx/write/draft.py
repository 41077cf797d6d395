"""An ONNX graph while it is written: nodes, constants, and the shapes of all values between them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import numpy as np
import torch

from abcost.core.graph import OpGraph
from abcost.core.node import Constant, OpNode
from abcost.errors import GraphError
from abcost.onnx.types import FLOAT

QONNX = "qonnx.custom_op.general"


class Draft:
    """What is written so far. A value is called as its node of the op graph; parts of a node have `:part` behind."""

    def __init__(self, graph: OpGraph, onnx: ModuleType, dialect: str) -> None:
        """dialect: onnx or qonnx; onnx: the package."""
        self.graph, self.onnx, self.dialect = graph, onnx, dialect
        self.nodes: list[Any] = []
        self.tensors: list[Any] = []
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []
        self.shapes: list[Any] = []
        self.read_as: dict[str, str] = {}  # values that are read in another type than they are stored in

    def reads(self, node: OpNode) -> list[str]:
        """Names of the values that a node reads, slot by slot."""
        return [self.read_as.get(name, name) for name in self.graph.inputs(node.name)]

    def add(
        self,
        node: OpNode,
        operator: str,
        inputs: Sequence[str],
        *,
        part: str = "",
        shape: Sequence[int] | None = None,
        elements: int = FLOAT,
        domain: str = "",
        **attributes: Any,
    ) -> str:
        """One ONNX node; the name of its result: the node's own, or that of a part of it, of its shape or another."""
        name = f"{node.name}:{part}" if part else node.name
        self.nodes.append(
            self.onnx.helper.make_node(operator, list(inputs), [name], name=name, domain=domain, **attributes)
        )
        self.shapes.append(self.info(name, elements, node.shape if shape is None else shape))
        return name

    def info(self, name: str, elements: int, shape: Sequence[int]) -> Any:
        """A value's name, type of its elements, and shape."""
        return self.onnx.helper.make_tensor_value_info(name, elements, list(shape))

    def tensor(self, node: OpNode, role: str, values: torch.Tensor) -> str:
        """A constant: floating and whole values in single precision."""
        return self._stored(node, role, values.detach().to(torch.float32).numpy())

    def numbers(self, node: OpNode, role: str, values: Sequence[int]) -> str:
        """A constant list of sizes, axes or places."""
        return self._stored(node, role, np.array(list(values), np.int64))

    def constant(self, node: OpNode, role: str) -> str:
        """A constant of the node."""
        return self.tensor(node, role, node.consts[role].real())

    def _stored(self, node: OpNode, role: str, values: np.ndarray[Any, Any]) -> str:
        name = f"{node.name}:{role}"
        self.tensors.append(self.onnx.numpy_helper.from_array(values, name))
        return name

    def refuse(self, node: OpNode, reason: str) -> GraphError:
        """An error that names the node."""
        where = f" of {node.layer}" if node.layer else ""
        return GraphError(
            f"{node}{where} cannot be written as {self.dialect.upper()}: {reason}; "
            "another stage (--stage) may do without"
        )


Emit = Callable[[Draft, OpNode], object]
"""Adds what a node is to the draft. Raises GraphError where ONNX has no form of it."""


def whole_bits(constant: Constant) -> tuple[int, bool] | None:
    """Bits and sign of weights held in few whole numbers; None of real ones."""
    if constant.binary or constant.values.is_floating_point() or constant.scale is not None:
        return None
    low, high = (int(v) for v in torch.aminmax(constant.values))
    bits = max(high.bit_length(), (-low - 1).bit_length() if low < 0 else 0, 1)
    return bits + (low < 0), low < 0
