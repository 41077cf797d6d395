"""ONNX files of torch models, and QONNX files of those: for the tests and for `peers.py`."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

QONNX = "qonnx.custom_op.general"


def export(
    model: nn.Module, shape: tuple[int, ...], file: Path, *, dynamo: bool = True, optimize: bool = False
) -> Path:
    """Write the model as ONNX. Unoptimised: torch's optimiser drops multiplications by 1 and joins layers."""
    options: dict[str, Any] = {"external_data": False} if dynamo else {}
    with warnings.catch_warnings(action="ignore"):
        torch.onnx.export(
            model,
            (torch.randn(shape),),
            str(file),
            dynamo=dynamo,
            optimize=optimize,
            verbose=False,
            **options,
        )
    return Path(file)


def as_qonnx(file: Path, target: Path) -> Path:
    """The same network with BipolarQuant: activations in place of Sign, binary weights with a scale per output."""
    proto = onnx.load(file)
    graph = proto.graph
    live = {value.name for value in graph.input}
    for node in graph.node:
        if live.intersection(node.input) and node.op_type not in ("Shape", "Size"):
            live.update(node.output)
    graph.initializer.append(numpy_helper.from_array(np.array(1.0, np.float32), "one"))
    dots = [
        node for node in graph.node if node.op_type in ("Conv", "Gemm", "MatMul") and node.input[0] in live
    ]
    weights = _values(proto, [node.input[1] for node in dots])
    for node in graph.node:
        if node.op_type == "Sign" and node.input[0] in live:
            node.op_type, node.domain = "BipolarQuant", QONNX
            node.input.append("one")
    for node in dots:
        _quantise_weight(graph, node, weights[node.input[1]])
    needed = {value.name for value in graph.output}
    for node in reversed(list(graph.node)):
        if needed.intersection(node.output):
            needed.update(node.input)
        else:
            graph.node.remove(node)
    for tensor in [t for t in graph.initializer if t.name not in needed]:
        graph.initializer.remove(tensor)
    proto.opset_import.append(helper.make_opsetid(QONNX, 1))
    del graph.value_info[:]
    onnx.save(proto, target)
    return Path(target)


def _values(proto: onnx.ModelProto, names: list[str]) -> dict[str, Any]:
    """Values of tensors inside the graph, as onnxruntime computes them."""
    wider = onnx.ModelProto.FromString(proto.SerializeToString())
    constants = {t.name: numpy_helper.to_array(t) for t in wider.graph.initializer}
    asked = [name for name in dict.fromkeys(names) if name not in constants]
    wider.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in asked)
    session = onnxruntime.InferenceSession(wider.SerializeToString(), providers=["CPUExecutionProvider"])
    fed = {i.name: np.zeros(i.shape, np.float32) for i in session.get_inputs()}
    return constants | dict(zip(asked, session.run(asked, fed) if asked else [], strict=True))


def _quantise_weight(graph: onnx.GraphProto, node: onnx.NodeProto, values: Any) -> None:
    """A weight of +-s per output becomes BipolarQuant(weight, s) of an initializer; others stay."""
    transposed = node.op_type == "MatMul" or (
        node.op_type == "Gemm" and not any(a.name == "transB" and a.i for a in node.attribute)
    )
    outputs = 1 if transposed else 0
    axes = tuple(axis for axis in range(values.ndim) if axis != outputs)
    scale = np.abs(values).mean(axis=axes, keepdims=True)
    if not np.allclose(np.abs(values), scale, rtol=1e-6):
        return
    latent, step = f"{node.input[1]}.latent", f"{node.input[1]}.scale"
    exact = np.abs(values).max(axis=axes, keepdims=True)
    graph.initializer.extend([numpy_helper.from_array(values, latent), numpy_helper.from_array(exact, step)])
    quantiser = helper.make_node("BipolarQuant", [latent, step], [f"{node.input[1]}.binary"], domain=QONNX)
    graph.node.insert(0, quantiser)
    node.input[1] = quantiser.output[0]
