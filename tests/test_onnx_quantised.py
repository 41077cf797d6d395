"""Operators on whole numbers, one by one, against onnxruntime: equal to the last unit.

A scale that is no power of two may put a value next to the middle between two whole numbers, where the order of
operations in single precision decides; such values, and only such, may differ by one.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from abcost.core.kinds import OpKind
from abcost.errors import TraceError
from abcost.onnx.load import load_onnx
from abcost.trace import trace

MS = "com.microsoft"
RANDOM = np.random.default_rng(5)


def u8(*shape):
    return RANDOM.integers(0, 256, shape).astype(np.uint8)


def i8(*shape):
    """Of 7 bits: onnxruntime adds pairs of u8 * i8 in 16 bits, saturating, on processors without VNNI."""
    return RANDOM.integers(-64, 64, shape).astype(np.int8)


def f32(*values):
    return np.array(values if len(values) > 1 else values[0], np.float32)


def node_file(tmp_path, name, inputs, attributes, *, domain="", opset=21, results=1):
    """One node; inputs: array -> constant, ("x", array) -> fed with it, None -> left out."""
    names, fed, constants = [], {}, {}
    for position, value in enumerate(inputs):
        if value is None:
            names.append("")
        elif isinstance(value, tuple):
            names.append(f"x{position}")
            fed[names[-1]] = value[1]
        else:
            names.append(f"c{position}")
            constants[names[-1]] = np.asarray(value)
    outputs = [f"y{i}" for i in range(results)]
    node = helper.make_node(name, names, outputs, name="node", domain=domain, **attributes)
    graph = helper.make_graph(
        [node], "g",
        [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(v.dtype), v.shape) for n, v in fed.items()],
        [helper.make_empty_tensor_value_info(n) for n in outputs],
        [numpy_helper.from_array(v, n) for n, v in constants.items()],
    )  # fmt: skip
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset), helper.make_opsetid(MS, 1)], ir_version=10
    )
    file = tmp_path / "node.onnx"
    onnx.save(model, file)
    return str(file), fed


def compared(file, fed):
    """Results of onnxruntime and of abcost's program, and the program's graph."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    expected = session.run(None, fed)
    proto = onnx.load(file)
    for output, value in zip(proto.graph.output, expected, strict=True):
        kind = helper.np_dtype_to_tensor_dtype(value.dtype)
        output.CopyFrom(helper.make_tensor_value_info(output.name, kind, value.shape))
    onnx.save(proto, file)
    loaded = load_onnx(Path(file))
    found = loaded.program(*[torch.from_numpy(value) for value in fed.values()])
    found = [found] if isinstance(found, torch.Tensor) else found
    return loaded, [x.numpy() for x in found], expected


SCALES = f32(0.02), f32(0.5)
LIVE_U8, LIVE_I8 = ("x", u8(2, 4, 6, 5)), ("x", i8(2, 4, 6, 5))
REAL = ("x", (RANDOM.standard_normal((2, 4, 6, 5)) * 3).astype(np.float32))
TIES = ("x", (np.arange(-24, 24, dtype=np.float32) / 4).reshape(2, 24))
ROWS = ("x", u8(3, 8))
EXACT = [  # whole or real results that have to be equal
    ("QuantizeLinear", [TIES, f32(0.5), np.uint8(3)], {}, ""),
    ("QuantizeLinear", [TIES, f32(0.5), np.int8(-3)], {}, ""),
    ("QuantizeLinear", [TIES, f32(0.5)], {}, ""),
    ("QuantizeLinear", [TIES, f32(0.001), np.int16(7)], {}, ""),
    ("QuantizeLinear", [TIES, f32(0.001), np.uint16(7)], {}, ""),
    ("QuantizeLinear", [REAL, f32(0.02, 0.1, 0.5, 1.0), np.uint8([0, 3, 128, 255])], {"axis": 1}, ""),
    ("QuantizeLinear", [REAL, f32(0.02, 0.1, 0.5, 1.0, 2.0), np.int8([0, 3, -128, 127, 1])], {"axis": -1}, ""),
    ("QuantizeLinear", [REAL, f32(0.02), np.uint16(9)], {}, MS),
    ("QuantizeLinear", [TIES, f32(1.0)], {"output_dtype": TensorProto.INT16}, ""),
    ("DequantizeLinear", [LIVE_U8, f32(0.02), np.uint8(3)], {}, ""),
    ("DequantizeLinear", [LIVE_I8, f32(0.02)], {}, ""),
    ("DequantizeLinear", [LIVE_U8, f32(0.02, 0.1, 0.5, 1.0), np.uint8([0, 3, 128, 255])], {}, ""),
    ("DequantizeLinear", [("x", np.int32([[-70000, 3]])), f32(0.02)], {}, ""),
    ("DequantizeLinear", [LIVE_U8, f32(0.02), np.uint8(3)], {}, MS),
    ("DynamicQuantizeLinear", [REAL], {}, "", 3),
    ("DynamicQuantizeLinear", [("x", np.zeros((2, 3), np.float32))], {}, "", 3),
    ("DynamicQuantizeLinear", [("x", np.float32([[1.0, 2.5, 3.0]]))], {}, "", 3),
    ("ConvInteger", [LIVE_U8, u8(6, 2, 3, 3), np.uint8(7), np.uint8(100)],
     {"group": 2, "pads": [1, 1, 1, 1], "strides": [2, 1]}, ""),
    ("ConvInteger", [LIVE_U8, u8(6, 4, 3, 3)], {"pads": [0, 1, 2, 1]}, ""),
    ("MatMulInteger", [ROWS, i8(8, 5), np.uint8(9), np.int8(0)], {}, ""),
    ("MatMulInteger", [ROWS, i8(8, 5), np.uint8(9), i8(5)], {}, ""),
    ("MatMulInteger", [("x", u8(2, 3, 8)), i8(8, 5)], {}, ""),
    ("MatMulInteger", [ROWS, ("y", u8(8, 5)), np.uint8(9), np.uint8(4)], {}, ""),
    ("MatMulIntegerToFloat", [ROWS, i8(8, 5), f32(0.5), f32(0.25), np.uint8(9), np.int8(3), np.arange(5,
     dtype=np.float32)],
     {}, MS),
    ("QLinearConv", [LIVE_U8, f32(0.5), np.uint8(7), i8(6, 2, 3, 3), f32(0.25), np.int8(0), f32(32.0), np.uint8(3),
                     np.arange(6, dtype=np.int32) * 100], {"group": 2, "pads": [1, 1, 1, 1]}, ""),
    ("QLinearConv", [LIVE_I8, f32(0.5), np.int8(-7), i8(6, 4, 3, 3), f32(0.25, 0.5, 1, 2, 4, 8), np.zeros(6, np.int8),
                     f32(64.0), np.int8(3)], {}, ""),
    ("QLinearMatMul", [ROWS, f32(0.5), np.uint8(7), u8(8, 5), f32(0.25), np.uint8(99), f32(8.0), np.uint8(121)],
     {}, ""),
    ("QGemm", [ROWS, f32(0.5), np.uint8(7), i8(5, 8), f32(0.25), np.int8(0), np.arange(5, dtype=np.int32) * 50,
     f32(8.0),
               np.uint8(121)], {"transB": 1}, MS),
    ("QGemm", [ROWS, f32(0.5), np.uint8(7), i8(8, 5), f32(0.25), np.int8(0), None, f32(8.0), np.uint8(121)],
     {"alpha": 0.5}, MS),
    ("QGemm", [ROWS, f32(0.5), np.uint8(7), i8(8, 5), f32(0.25), np.int8(3)], {}, MS),
    ("QLinearAdd", [LIVE_U8, f32(0.5), np.uint8(7), ("b", u8(4, 1, 1)), f32(0.25), np.uint8(3), f32(1.0),
     np.uint8(9)], {}, MS),
    ("QLinearAdd", [LIVE_I8, f32(0.5), np.int8(-7), i8(4, 1, 1), f32(0.5), np.int8(3), f32(0.5), np.int8(9)], {}, MS),
    ("QLinearMul", [LIVE_U8, f32(0.5), np.uint8(7), ("b", u8(2, 4, 6, 5)), f32(0.25), np.uint8(3), f32(64.0),
     np.uint8(9)],
     {}, MS),
    ("QLinearMul", [LIVE_U8, f32(0.5), np.uint8(7), np.uint8(5), f32(0.25), np.uint8(4), f32(0.25), np.uint8(9)],
     {}, MS),
    ("QLinearGlobalAveragePool", [("x", u8(2, 4, 4, 4)), f32(0.5), np.uint8(7), f32(1.0), np.uint8(9)],
     {"channels_last": 0}, MS),
    ("QLinearAveragePool", [LIVE_U8, f32(0.5), np.uint8(7), f32(1.0), np.uint8(9)], {"kernel_shape": [2, 2]}, MS),
    ("QLinearLeakyRelu", [LIVE_I8, f32(0.5), np.int8(-7), f32(0.25), np.int8(3)], {"alpha": 0.25}, MS),
    ("QLinearConcat", [f32(0.5), np.uint8(7), LIVE_U8, f32(0.5), np.uint8(7), ("b", u8(2, 3, 6, 5)), f32(0.25),
     np.uint8(0)],
     {"axis": 1}, MS),
    ("QLinearWhere", [("c", np.tile([True, False, True, True, False], (2, 4, 6, 1))), LIVE_U8, f32(0.5), np.uint8(7),
                      u8(1), f32(0.25), np.uint8(0), f32(0.5), np.uint8(7)], {}, MS),
    ("BitShift", [LIVE_U8, np.uint8(3)], {"direction": "LEFT"}, ""),
    ("BitShift", [LIVE_U8, np.uint8(3)], {"direction": "RIGHT"}, ""),
    ("BitShift", [LIVE_U8, np.uint8([0, 1, 2, 5, 7])], {"direction": "LEFT"}, ""),
    *[(name, [LIVE_U8, np.uint8(0b1011_0100)], {}, "") for name in ("BitwiseAnd", "BitwiseOr", "BitwiseXor")],
    *[(name, [LIVE_I8, ("b", i8(2, 4, 6, 5))], {}, "") for name in ("BitwiseAnd", "BitwiseOr", "BitwiseXor")],
    ("BitwiseNot", [LIVE_U8], {}, ""), ("BitwiseNot", [LIVE_I8], {}, ""),
    ("MaxPool", [LIVE_I8], {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}, ""),
]  # fmt: skip
NEAR = [  # scales of training: differences of one unit next to a tie
    ("QLinearConv", [LIVE_U8, f32(0.0173), np.uint8(7), i8(6, 4, 3, 3), f32(*np.linspace(0.001, 0.007, 6)),
                     np.zeros(6, np.int8), f32(0.31), np.uint8(128)], {"pads": [1, 1, 1, 1]}, ""),
    ("QLinearAdd", [LIVE_U8, f32(0.0173), np.uint8(7), ("b", u8(2, 4, 6, 5)), f32(0.0311), np.uint8(3), f32(0.051),
                    np.uint8(9)], {}, MS),
    ("QLinearSigmoid", [LIVE_U8, f32(0.0173), np.uint8(127), f32(1 / 256), np.uint8(0)], {}, MS),
    ("QLinearSoftmax", [ROWS, f32(0.0173), np.uint8(127), f32(1 / 256), np.uint8(0)], {"axis": -1, "opset": 13}, MS),
    ("QLinearSoftmax", [("x", i8(2, 3, 4)), f32(0.0173), np.int8(7), f32(1 / 256), np.int8(-128)],
     {"axis": 1, "opset": 12}, MS),
    ("QLinearGlobalAveragePool", [LIVE_U8, f32(0.0173), np.uint8(127), f32(0.011), np.uint8(3)],
     {"channels_last": 0}, MS),
    ("QLinearAveragePool", [LIVE_U8, f32(0.0173), np.uint8(127), f32(0.011), np.uint8(3)],
     {"kernel_shape": [2, 2], "strides": [2, 1]}, MS),
    ("QLinearAveragePool", [LIVE_U8, f32(0.0173), np.uint8(127), f32(0.0173), np.uint8(127)],
     {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1}, MS),
]  # fmt: skip


def case_id(case):
    return f"{case[0]}-{len(case[1])}"


@pytest.mark.parametrize("case", EXACT, ids=case_id)
def test_whole_numbers_are_onnxruntimes(tmp_path, case):
    name, inputs, attributes, domain, results = (*case, 1)[:5]
    file, fed = node_file(tmp_path, name, inputs, attributes, domain=domain, results=results)
    loaded, found, expected = compared(file, fed)
    for mine, theirs in zip(found, expected, strict=True):
        assert mine.shape == theirs.shape
        np.testing.assert_array_equal(mine, theirs.astype(mine.dtype))
    graph = trace(loaded.program, loaded.inputs).graph
    assert [node.shape for node in graph if node.kind is OpKind.OUTPUT] == [x.shape for x in expected]


@pytest.mark.parametrize("case", NEAR, ids=case_id)
def test_whole_numbers_are_onnxruntimes_but_for_ties(tmp_path, case):
    name, inputs, attributes, domain = case
    file, fed = node_file(tmp_path, name, inputs, attributes, domain=domain)
    loaded, (found,), (expected,) = compared(file, fed)
    differences = np.abs(found - expected.astype(np.int64))
    assert differences.max() <= 1
    assert (differences > 0).mean() <= 0.01
    trace(loaded.program, loaded.inputs)


def test_dynamic_quantize_matmul(tmp_path):
    """Real results: A's 8 bits, the products and their sums are whole, so only the scales round."""
    inputs = [("x", REAL[1].reshape(-1, 8)), i8(8, 5), f32(0.25), np.int8(3), np.arange(5, dtype=np.float32)]
    file, fed = node_file(tmp_path, "DynamicQuantizeMatMul", inputs, {}, domain=MS)
    loaded, (found,), (expected,) = compared(file, fed)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-4)
    trace(loaded.program, loaded.inputs)


@pytest.mark.parametrize("kind", [TensorProto.INT4, TensorProto.UINT4])
@pytest.mark.parametrize("block", [0, 2])
def test_four_bits_are_read(tmp_path, kind, block):
    """Weights of 4 bits, two in a byte; one scale for each column, or for each two rows of a column."""
    low = 0 if kind == TensorProto.UINT4 else -8
    values = [low, low + 15, low + 3, low + 8, low + 1, low + 9, low + 2, low + 14]
    w = helper.make_tensor("w", kind, (4, 2), values)
    zero = helper.make_tensor("z", kind, (2, 2) if block else (2,), [low + 8] * (4 if block else 2))
    scale = f32([0.5, 0.25], [2.0, 4.0]) if block else f32(0.5, 0.25)
    nodes = [
        helper.make_node(
            "DequantizeLinear", ["w", "s", "z"], ["r"], axis=0 if block else 1,
            **({"block_size": block} if block else {}),
        ),
        helper.make_node("MatMul", ["x", "r"], ["y"]),
    ]  # fmt: skip
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", 1, (3, 4))], [helper.make_tensor_value_info("y", 1, (3, 2))],
        [w, zero, numpy_helper.from_array(scale, "s")],
    )  # fmt: skip
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10),
        tmp_path / "w.onnx",
    )
    x = np.eye(4, dtype=np.float32)[:3]
    session = onnxruntime.InferenceSession(str(tmp_path / "w.onnx"), providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, {"x": x})
    np.testing.assert_array_equal(
        load_onnx(tmp_path / "w.onnx").program(torch.from_numpy(x)).numpy(), expected
    )


@pytest.mark.parametrize(
    ("name", "inputs", "attributes", "domain", "reason"),
    [
        ("QuantizeLinear", [TIES, f32(1.0)], {"output_dtype": 17}, "", "quantising to float8e4m3fn is not supported"),
        ("QuantizeLinear", [REAL, f32(1.0, 2.0)], {}, "", "2 scales or zero points for 4 indices of axis 1"),
        ("QuantizeLinear", [REAL, f32(1.0, 2.0)], {"axis": 9}, "", "axis 9 of an input of 4 axes"),
        ("BitShift", [("x", np.float32([3])), np.uint8(1)], {"direction": "LEFT"}, "",
         "input 0 is of type float, not of whole"),
        ("BitShift", [LIVE_U8, np.uint8(1)], {"direction": "UP"}, "", "direction 'UP' is neither LEFT nor RIGHT"),
        ("BitwiseAnd", [("x", np.int32([3])), np.int32(1)], {}, "", "bits of numbers of 32 bits"),
        ("QGemm", [ROWS, f32(1.0), np.uint8(0), i8(3, 5), f32(1.0), np.int8(0)], {"transA": 1}, MS, "transA is not"),
        ("QLinearConcat", [f32(1.0), np.uint8(0), ROWS, f32(1.0)], {"axis": 0}, MS, "inputs are not two and three"),
        ("QLinearGlobalAveragePool", [LIVE_U8, f32(1.0), np.uint8(0), f32(1.0), np.uint8(0)], {"channels_last": 1}, MS,
         "channels_last 1 is not supported"),
        ("QLinearAdd", [LIVE_U8, f32(1.0), np.uint8(0), LIVE_U8, f32(1.0), np.uint8(0), f32(1.0), f32(0.0)], {}, MS,
         "input 7 is of type float, not of whole numbers"),
    ],
)  # fmt: skip
def test_what_is_refused(tmp_path, name, inputs, attributes, domain, reason):
    file, _ = node_file(tmp_path, name, inputs, attributes, domain=domain)
    proto = onnx.load(file)
    proto.graph.output[0].CopyFrom(helper.make_tensor_value_info("y0", TensorProto.UINT8, (1,)))
    onnx.save(proto, file)
    loaded = load_onnx(Path(file))
    with pytest.raises(TraceError, match=reason):
        trace(loaded.program, loaded.inputs)
