"""An op graph as an ONNX or QONNX file."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType

from abcost.core.graph import OpGraph
from abcost.core.kinds import OpKind
from abcost.core.node import OpNode
from abcost.errors import GraphError
from abcost.extras import require
from abcost.onnx.types import FLOAT, INT64
from abcost.onnx.write.arithmetic import ARITHMETIC
from abcost.onnx.write.decisions import DECISIONS
from abcost.onnx.write.dots import DOTS
from abcost.onnx.write.draft import QONNX, Draft, Emit
from abcost.onnx.write.pools import POOLS
from abcost.onnx.write.wiring import WIRING
from abcost.version import __version__

DIALECTS = ("onnx", "qonnx")
_OPSET, _IR = 17, 8  # of 2022: what today's tools read
_MOST_BYTES = 2**31 - 1  # of a protobuf


def _input(draft: Draft, node: OpNode) -> None:
    """Real values in single precision; whole numbers as int64, which arithmetic reads as real ones."""
    real = "float" in str(node.attrs.get("dtype", "float32"))
    draft.inputs.append(draft.info(node.name, FLOAT if real else INT64, node.shape))
    if not real and any(user.kind is not OpKind.LOOKUP for user in draft.graph.users(node)):
        draft.read_as[node.name] = draft.add(node, "Cast", [node.name], part="real", to=FLOAT)


def _output(draft: Draft, node: OpNode) -> None:
    draft.add(node, "Identity", draft.reads(node))
    draft.outputs.append(draft.shapes.pop())


_TABLE: Mapping[OpKind, Emit] = {
    OpKind.INPUT: _input,
    OpKind.OUTPUT: _output,
    **DOTS,
    **ARITHMETIC,
    **DECISIONS,
    **POOLS,
    **WIRING,
}
"""How each kind of node is written."""


def onnx_bytes(graph: OpGraph, dialect: str, about: Mapping[str, str]) -> bytes:
    """The file: opset 17, single precision, sizes as traced, every value called as its node.

    dialect: "onnx", which any runtime executes; "qonnx", with BipolarQuant, Quant and MultiThreshold, where signs have
    one bit (0 becomes +1).  about: what else the file says of itself.

    Raises MissingExtra without the package onnx; GraphError for a node that has no form there, with its name, and for
    more than a file can hold.
    """
    onnx = require("onnx", "onnx", f"writing {dialect.upper()}")
    require("onnx.helper", "onnx", f"writing {dialect.upper()}")
    draft = Draft(graph, onnx, dialect)
    for node in graph:
        if node.kind not in _TABLE:
            raise draft.refuse(node, f"abcost does not write nodes of kind {node.kind.value}")
        _TABLE[node.kind](draft, node)
    if sum(tensor.ByteSize() for tensor in draft.tensors) > _MOST_BYTES:
        raise GraphError(f"the weights take more than the 2 GiB that one {dialect.upper()} file can hold")
    return _whole(draft, onnx, about)


def _whole(draft: Draft, onnx: ModuleType, about: Mapping[str, str]) -> bytes:
    helper = onnx.helper
    body = helper.make_graph(
        draft.nodes, "abcost", draft.inputs, draft.outputs, draft.tensors, value_info=draft.shapes
    )
    domains = [("", _OPSET), *([(QONNX, 1)] if draft.dialect == "qonnx" else [])]
    model = helper.make_model(
        body,
        ir_version=_IR,
        opset_imports=[helper.make_opsetid(*domain) for domain in domains],
        producer_name="abcost",
        producer_version=__version__,
    )
    helper.set_model_props(model, dict(about))
    found: bytes = model.SerializeToString(deterministic=True)
    return found
