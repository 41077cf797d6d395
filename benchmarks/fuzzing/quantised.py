"""A quantised ONNX model that fuzzing starts from: onnxruntime's operators, QONNX's, and those on bits."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

_MS, _QONNX = "com.microsoft", "qonnx.custom_op.general"

QUANTISED = st.sampled_from(
    ["QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "QLinearConv", "QLinearMatMul", "ConvInteger",
     "MatMulInteger", "QLinearAdd", "QLinearMul", "QLinearConcat", "QLinearWhere", "QLinearSigmoid", "QLinearSoftmax",
     "QLinearLeakyRelu", "QLinearAveragePool", "QLinearGlobalAveragePool", "QGemm", "DynamicQuantizeMatMul",
     "MatMulIntegerToFloat", "BitShift", "BitwiseAnd", "BitwiseNot", "BitwiseXor", "Quant", "BipolarQuant", "Trunc",
     "MultiThreshold", "FloatQuant", "Resize", "Upsample", "MaxPool", "Pad", "Clip", "Cast"]
)  # fmt: skip
"""Names that a node may be given."""


@cache
def quantised_model() -> Any:
    """One network through every sort of quantised operator."""
    random = np.random.default_rng(0)
    constants = {
        "w": random.integers(-128, 128, (4, 1, 3, 3)).astype(np.int8),
        "m": random.integers(-8, 8, (16, 3)).astype(np.int8),
        "s": np.float32(0.05), "t": np.full(4, 0.02, np.float32), "z": np.uint8(7), "n": np.zeros(4, np.int8),
        "zero": np.int8(0), "bits": np.float32(4), "f": np.float32(0), "shape": np.array([1, -1], np.int64),
        "levels": np.array([[-0.5, 0.0, 0.5]], np.float32), "mask": np.uint8(0b1111_0011),
    }  # fmt: skip
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["a"], "quantise", axis=1),
        helper.make_node("QLinearConv", ["a", "s", "z", "w", "t", "n", "s", "z"], ["b"], "conv", pads=[1, 1, 1, 1]),
        helper.make_node("QLinearAdd", ["b", "s", "z", "b", "s", "z", "s", "z"], ["c"], "add", domain=_MS),
        helper.make_node("BitwiseAnd", ["c", "mask"], ["d"], "bits"),
        helper.make_node("MaxPool", ["d"], ["e"], "pool", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("DequantizeLinear", ["e", "s", "z"], ["g"], "real", axis=1),
        helper.make_node("MultiThreshold", ["g", "levels"], ["h"], "steps", domain=_QONNX, out_dtype="UINT2"),
        helper.make_node("Quant", ["h", "s", "f", "bits"], ["i"], "quant", domain=_QONNX, signed=1, narrow=0,
                         rounding_mode="ROUND"),
        helper.make_node("Trunc", ["i", "s", "f", "bits", "s", "bits"], ["j"], "trunc", domain=_QONNX, signed=1,
                         narrow=0, rounding_mode="floor"),
        helper.make_node("Reshape", ["j", "shape"], ["k"], "reshape"),
        helper.make_node("DynamicQuantizeLinear", ["k"], ["q", "qs", "qz"], "dynamic"),
        helper.make_node("MatMulInteger", ["q", "m", "qz", "zero"], ["r"], "product"),
        helper.make_node("Cast", ["r"], ["u"], "cast", to=TensorProto.FLOAT),
        helper.make_node("Mul", ["u", "qs"], ["y"], "scale"),
    ]  # fmt: skip
    graph = helper.make_graph(
        nodes, "quantised",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 1, 4, 4))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 3))],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )  # fmt: skip
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid(_MS, 1), helper.make_opsetid(_QONNX, 2)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)
