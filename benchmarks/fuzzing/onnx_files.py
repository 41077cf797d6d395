"""ONNX files: damaged bytes, and readable files whose nodes, attributes and shapes are odd."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import onnx
import torch
from hypothesis import strategies as st
from onnx import TensorProto, helper

from abcost.onnx.load import load_onnx
from abcost.trace import trace
from fuzzing.damage import damaged
from fuzzing.quantised import QUANTISED, quantised_model
from fuzzing.target import Target, written


@cache
def _model() -> Any:
    """An ONNX model with operators of every sort: convolution, shapes, reductions, constants."""
    random = torch.Generator().manual_seed(0)

    def tensor(name: str, *shape: int) -> Any:
        values = torch.randn(shape, generator=random).flatten().tolist()
        return helper.make_tensor(name, TensorProto.FLOAT, shape, values)

    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], "conv", kernel_shape=[3, 3], pads=[1, 1, 1, 1], group=1),
        helper.make_node("Sign", ["a"], ["b"], "sign"),
        helper.make_node("Conv", ["b", "v"], ["c"], "binary", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("BatchNormalization", ["c", "g", "g", "g", "u"], ["n"], "bn", epsilon=1e-5),
        helper.make_node("PRelu", ["n", "s"], ["d"], "prelu"),
        helper.make_node("Add", ["d", "a"], ["e"], "add"),
        helper.make_node("AveragePool", ["e"], ["f"], "pool", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Reshape", ["f", "shape"], ["h"], "reshape"),
        helper.make_node("Gemm", ["h", "m", "k"], ["y"], "gemm", transB=1, alpha=0.5),
    ]
    values = [tensor("w", 4, 1, 3, 3), tensor("v", 4, 4, 3, 3), tensor("s", 4, 1, 1), tensor("m", 3, 16),
              tensor("k", 3), tensor("g", 4), helper.make_tensor("u", TensorProto.FLOAT, (4,), [1.0] * 4),
              helper.make_tensor("shape", TensorProto.INT64, (2,), [1, -1])]  # fmt: skip
    graph = helper.make_graph(
        nodes, "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 1, 4, 4))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 3))], values,
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


def _read_onnx(data: bytes) -> object:
    loaded = load_onnx(written(data, "model.onnx"))
    return trace(loaded.program, loaded.inputs)


_INTEGERS = st.sampled_from([0, 1, -1, 2, 3, 7, -(2**31), 2**31, 2**62])
_OPS = st.sampled_from(
    ["Conv", "Add", "MatMul", "Gemm", "Reshape", "Transpose", "Concat", "Slice", "Gather", "Clip", "Cast", "Pad",
     "MaxPool", "Squeeze", "Unsqueeze", "ReduceMean", "Softmax", "Where", "Shape", "Expand", "Identity", "Dropout",
     "Flatten", "Loop"]
)  # fmt: skip


def _operator(graph: Any, place: int, _: int, op: str) -> None:
    _node(graph, place).op_type = op


def _input(graph: Any, place: int, number: int, _: str) -> None:
    node = _node(graph, place)
    node.input[place % len(node.input)] = ["x", "a", "shape", "", "none"][number % 5]


def _fewer_inputs(graph: Any, place: int, _: int, __: str) -> None:
    node = _node(graph, place)
    if len(node.input) > 1:
        del node.input[-1:]


def _more_inputs(graph: Any, place: int, number: int, _: str) -> None:
    _node(graph, place).input.append("shape" if number > 0 else "x")


def _attribute(graph: Any, place: int, number: int, _: str) -> None:
    node = _node(graph, place)
    if not node.attribute:
        return
    attribute = node.attribute[place % len(node.attribute)]
    if attribute.ints:
        attribute.ints[place % len(attribute.ints)] = number
    else:
        attribute.i, attribute.f = number, float(number)


def _new_attribute(graph: Any, place: int, number: int, _: str) -> None:
    name = ["axis", "axes", "group", "dilations", "to"][place % 5]
    _node(graph, place).attribute.append(helper.make_attribute(name, number))


def _dimension(graph: Any, place: int, number: int, _: str) -> None:
    dims = graph.input[0].type.tensor_type.shape.dim
    dims[place % len(dims)].dim_value = number


def _tensor_shape(graph: Any, place: int, number: int, _: str) -> None:
    tensor = graph.initializer[place % len(graph.initializer)]
    if tensor.dims:
        tensor.dims[place % len(tensor.dims)] = number


def _remove(graph: Any, place: int, _: int, __: str) -> None:
    if len(graph.node) > 1:
        graph.node.remove(_node(graph, place))


def _wanted_shape(graph: Any, place: int, number: int, _: str) -> None:
    for tensor in graph.initializer:
        if tensor.int64_data:
            tensor.int64_data[place % len(tensor.int64_data)] = number


def _node(graph: Any, place: int) -> Any:
    return graph.node[place % len(graph.node)]


_CHANGES: list[Callable[[Any, int, int, str], None]] = [
    _operator, _input, _fewer_inputs, _more_inputs, _attribute, _new_attribute, _dimension, _tensor_shape, _remove,
    _wanted_shape,
]  # fmt: skip


def _altered(original: Any, changes: list[tuple[int, int, int, str]]) -> bytes:
    """A model after some changes, still a readable protobuf."""
    model = onnx.ModelProto()
    model.CopyFrom(original)
    for kind, place, number, op in changes:
        _CHANGES[kind](model.graph, place, number, op)
    return model.SerializeToString()  # type: ignore[no-any-return]


def _after_changes(original: Any, operators: st.SearchStrategy[str]) -> st.SearchStrategy[bytes]:
    """A model after one to three changes."""
    change = st.tuples(st.integers(0, len(_CHANGES) - 1), st.integers(0, 1 << 20), _INTEGERS, operators)
    return st.lists(change, min_size=1, max_size=3).map(partial(_altered, original))


def targets() -> list[Target]:
    """Both kinds, and quantised networks of both kinds."""
    return [
        Target("onnx bytes", "FILE.onnx", damaged(_model().SerializeToString()), _read_onnx, 20_000),
        Target("onnx values", "FILE.onnx, well-formed", _after_changes(_model(), _OPS), _read_onnx, 20_000),
        Target(
            "quantised onnx",
            "FILE.onnx, quantised",
            _after_changes(quantised_model(), QUANTISED),
            _read_onnx,
            20_000,
        ),
        Target(
            "quantised bytes",
            "FILE.onnx, quantised",
            damaged(quantised_model().SerializeToString()),
            _read_onnx,
            20_000,
        ),
    ]
