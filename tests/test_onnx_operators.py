"""Every ONNX operator that abcost executes, against onnxruntime; quantisers against qonnx's own execution.

A case is: operator, input shapes (floats; arrays are constants as they are), attributes, and how many results are read.
"""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx

from abcost.classify import tally
from abcost.core.kinds import OpKind
from abcost.core.log import Phase
from abcost.errors import AbcostError, TraceError
from abcost.onnx.load import load_onnx
from abcost.onnx.registry import operators
from abcost.rewrite import RewriteOptions, rewrite
from abcost.trace import trace
from onnx_models import QONNX, graph_file
from test_onnx_quantised import EXACT as QUANTISED
from test_onnx_quantised import NEAR as NEARLY


def ints(*values):
    return np.array(values, np.int64)


def floats(*shape, seed=3):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


IMAGE = (2, 4, 6, 5)
WEIGHT = floats(6, 2, 3, 3)
CASES = [
    *[(name, [IMAGE], {}) for name in (
        "Abs", "Atan", "Ceil", "Cos", "Erf", "Exp", "Floor", "HardSwish", "Mish", "Neg", "Reciprocal", "Round",
        "Sigmoid", "Sign",
        "Sin", "Softplus", "Tanh", "Identity", "Relu", "Gelu", "GlobalAveragePool", "GlobalMaxPool", "Transpose",
        "Flatten",
        "Dropout",
    )],
    *[(name, [IMAGE, (4, 1, 1)], {}) for name in ("Add", "Sub", "Mul", "Div", "Max", "Min", "Sum")],
    *[(name, [IMAGE, floats(4, 1, 1)], {}) for name in ("Add", "Sub", "Mul", "Div", "Max", "Min")],
    ("Sqrt", [np.abs(floats(3))], {}), ("Log", [np.abs(floats(3))], {}),
    ("Pow", [IMAGE, np.float32(2)], {}), ("Pow", [np.abs(floats(3)), floats(3)], {}),
    ("Elu", [IMAGE], {"alpha": 0.7}), ("LeakyRelu", [IMAGE], {"alpha": 0.3}), ("LeakyRelu", [IMAGE], {}),
    ("Gelu", [IMAGE], {"approximate": "tanh"}), ("HardSigmoid", [IMAGE], {}),
    ("HardSigmoid", [IMAGE], {"alpha": 0.3, "beta": 0.1}),
    ("PRelu", [IMAGE, floats(4, 1, 1)], {}), ("PRelu", [IMAGE, floats(1)], {}), ("PRelu", [IMAGE, floats(6, 5)], {}),
    ("PRelu", [(2, 4), floats(4)], {}),
    ("Clip", [IMAGE, np.float32(-0.5), np.float32(0.7)], {}), ("Clip", [IMAGE, np.float32(0)], {}),
    ("Conv", [IMAGE, WEIGHT, floats(6)], {"group": 2, "pads": [1, 1, 1, 1], "strides": [2, 1]}),
    ("Conv", [IMAGE, WEIGHT], {"group": 2, "pads": [0, 1, 2, 1], "dilations": [2, 1]}),
    ("Conv", [IMAGE, WEIGHT], {"group": 2, "auto_pad": "SAME_UPPER", "strides": [2, 2]}),
    ("Conv", [IMAGE, WEIGHT], {"group": 2, "auto_pad": "SAME_LOWER", "strides": [2, 2]}),
    ("Conv", [IMAGE, WEIGHT], {"group": 2, "auto_pad": "VALID"}),
    ("Conv", [(1, 4, 9), floats(3, 4, 3)], {"pads": [1, 1]}), ("Conv", [(1, 2, 4, 4, 4), floats(3, 2, 2, 2, 2)], {}),
    ("ConvTranspose", [IMAGE, floats(4, 3, 3, 3), floats(3)], {"strides": [2, 2], "pads": [1, 1, 1, 1],
     "output_padding": [1, 1]}),
    ("Gemm", [(3, 4), floats(5, 4), floats(5)], {"transB": 1}), ("Gemm", [(3, 4), floats(4, 5)], {}),
    ("Gemm", [(3, 4), floats(4, 5), floats(3, 5)], {"alpha": 0.5, "beta": 2.0}),
    ("Gemm", [(4, 3), floats(4, 5), floats(1)], {"transA": 1}), ("Gemm", [(3, 4), floats(4, 5), floats(3, 1)], {}),
    ("MatMul", [(2, 3, 4), floats(4, 5)], {}), ("MatMul", [floats(3, 4), (4, 5)], {}), ("MatMul", [floats(3, 4),
    (2, 4, 5)], {}),
    ("MatMul", [(2, 3, 4), (2, 4, 5)], {}),
    ("MaxPool", [IMAGE], {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}),
    ("MaxPool", [IMAGE], {"kernel_shape": [2, 2], "strides": [2, 2], "pads": [0, 0, 1, 1]}),
    ("MaxPool", [IMAGE], {"kernel_shape": [2, 2], "ceil_mode": 1, "strides": [2, 2]}),
    ("MaxPool", [IMAGE], {"kernel_shape": [2, 2], "dilations": [2, 2]}),
    ("AveragePool", [IMAGE], {"kernel_shape": [2, 2]}),
    ("AveragePool", [IMAGE], {"kernel_shape": [3, 3], "strides": [3, 1]}),
    ("AveragePool", [IMAGE], {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1}),
    ("AveragePool", [IMAGE], {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}),
    ("AveragePool", [IMAGE], {"kernel_shape": [2, 2], "pads": [0, 0, 1, 1], "count_include_pad": 1}),
    ("AveragePool", [IMAGE], {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}),
    *[(name, [floats(2, 3, 4), ints(0, -1)], {"keepdims": 0}, 18) for name in (
        "ReduceL1", "ReduceL2", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSumSquare")],
    ("ReduceMean", [IMAGE], {"axes": [2, 3]}), ("ReduceSum", [IMAGE, ints(1)], {}),
    ("ReduceMax", [IMAGE, ints(2)], {}, 18),
    ("ReduceSum", [(2, 3)], {}), ("ReduceSum", [(2, 3)], {"noop_with_empty_axes": 1}),
    ("BatchNormalization", [IMAGE, floats(4), floats(4), floats(4), np.abs(floats(4))], {"epsilon": 1e-3}),
    ("LayerNormalization", [(2, 3, 8), floats(8), floats(8)], {}),
    ("LayerNormalization", [(2, 3, 8), floats(3, 8)], {"axis": 1}),
    ("InstanceNormalization", [IMAGE, floats(4), floats(4)], {}),
    ("Softmax", [(2, 5)], {}), ("Softmax", [(2, 5, 3)], {"axis": 1}), ("LogSoftmax", [(2, 5)], {}),
    ("Reshape", [IMAGE, ints(0, -1, 5)], {}), ("Flatten", [IMAGE], {"axis": 2}), ("Flatten", [IMAGE], {"axis": 0}),
    ("Flatten", [IMAGE], {"axis": -1}), ("Transpose", [IMAGE], {"perm": [0, 2, 3, 1]}),
    ("Squeeze", [(2, 1, 3, 1), ints(1)], {}), ("Squeeze", [(2, 1, 3, 1)], {}), ("Unsqueeze", [(2, 3), ints(0, -1)], {}),
    ("Concat", [IMAGE, (2, 3, 6, 5)], {"axis": 1}), ("Split", [(2, 6)], {"axis": 1}, 17, 3),
    ("Split", [(2, 5), ints(2, 3)], {"axis": -1}, 17, 2),
    ("Slice", [IMAGE, ints(1, 0), ints(3, 100), ints(1, 3), ints(1, 2)], {}), ("Slice", [(5, 4), ints(1)], {}, 17, 0),
    ("Slice", [(5, 4), ints(-1), ints(-100), ints(0), ints(-2)], {}),
    ("Slice", [(5, 4), ints(3), ints(0), ints(1), ints(-1)], {}),
    ("Gather", [(5, 4), ints(3, -1)], {"axis": 1}), ("Gather", [(5, 4), np.int64(-2)], {}),
    ("Gather", [(5, 4), ints(0, 1).reshape(2, 1)], {}),
    ("Pad", [IMAGE, ints(0, 0, 1, 2, 0, 0, 0, 1), np.float32(1.5)], {}),
    ("Pad", [IMAGE, ints(0, 0, 1, 2, 0, 0, 0, 1)], {"mode": "reflect"}),
    ("Pad", [IMAGE, ints(0, 0, 1, 2, 0, 0, 0, 1)], {"mode": "edge"}),
    ("Expand", [(3, 1), ints(2, 1, 4)], {}), ("Tile", [(2, 3), ints(2, 1)], {}),
    ("DepthToSpace", [(1, 8, 2, 3)], {"blocksize": 2}),
    ("DepthToSpace", [(1, 8, 2, 3)], {"blocksize": 2, "mode": "CRD"}),
    ("SpaceToDepth", [(1, 2, 4, 6)], {"blocksize": 2}),
    ("Cast", [IMAGE], {"to": TensorProto.DOUBLE}), ("CastLike", [IMAGE, floats(1)], {}),
    ("Where", [np.array([True, False, True]), (2, 3), floats(3)], {}),
]  # fmt: skip
FLAGS = [
    *[
        (name, [IMAGE, floats(4, 1, 1)])
        for name in ("Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Equal")
    ],
    *[(name, [np.array([True, False]), np.array([[True], [False]])]) for name in ("And", "Or", "Xor")],
    ("Not", [np.array([True, False])]),
]
BY_HAND = {"Shape", "Size", "ConstantOfShape", "Range", "Mod", "Resize", "Upsample"}  # tested below


def file_of(tmp_path, name, inputs, attributes, opset=17, results=1, domain="", extra=()):
    """One node, whose shapes are inputs x0, x1, … of the graph and whose arrays are constants c0, c1, …"""
    names = [f"x{i}" if isinstance(value, tuple) else f"c{i}" for i, value in enumerate(inputs)]
    outputs = [f"y{i}" for i in range(max(1, results))]
    fed = {n: v for n, v in zip(names, inputs, strict=True) if isinstance(v, tuple)}
    constants = {n: v for n, v in zip(names, inputs, strict=True) if not isinstance(v, tuple)}
    node = helper.make_node(
        name, names, outputs if not extra else ["z"], name="node", domain=domain, **attributes
    )
    if not fed:  # the result is a constant: add an input to it
        fed, node.output[0], outputs = {"x": (1,)}, "z", ["y0"]
        extra = (helper.make_node("Add", ["z", "x"], ["y0"]),)
    opset = max(opset, {"Gelu": 20, "Mish": 18}.get(name, 0))
    return graph_file(
        tmp_path / "node.onnx", [node, *extra], fed, constants, outputs=outputs, opset=opset
    ), fed


def both(file, fed):
    """What abcost's program and what onnxruntime compute."""
    values = {name: floats(*shape, seed=i) for i, (name, shape) in enumerate(fed.items())}
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    loaded = load_onnx(file)
    found = loaded.program(*[torch.from_numpy(value) for value in values.values()])
    found = [found] if isinstance(found, torch.Tensor) else found
    return loaded, [x.numpy() for x in found], session.run(None, values)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_operator_agrees_with_onnxruntime(tmp_path, case):
    name, inputs, attributes, opset, results = (*case, *(17, 1)[len(case) - 3 :])
    if (name, results) == ("Slice", 0):
        inputs, results = [*inputs, ints(4)], 1
    file, fed = file_of(tmp_path, name, inputs, attributes, opset, results)
    loaded, found, expected = both(file, fed)
    for mine, theirs in zip(found, expected, strict=True):
        assert mine.shape == theirs.shape
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-5)
    try:
        graph = trace(loaded.program, loaded.inputs).graph
    except TraceError:
        assert name in {"CastLike", "Where"} | {f[0] for f in FLAGS}, "cannot be traced"
    else:
        assert [node.shape for node in graph if node.kind is OpKind.OUTPUT] == [x.shape for x in expected]


@pytest.mark.parametrize("case", FLAGS, ids=lambda case: case[0])
def test_comparison_agrees_with_onnxruntime(tmp_path, case):
    """Flags become numbers by a cast."""
    name, inputs = case
    last = helper.make_node("Cast", ["z"], ["y0"], to=TensorProto.FLOAT)
    fed = {"x": IMAGE} if isinstance(inputs[0], tuple) else {"x": (1,)}
    names = ["x" if isinstance(v, tuple) else f"c{i}" for i, v in enumerate(inputs)]
    constants = {n: v for n, v in zip(names, inputs, strict=True) if n != "x"}
    nodes = [helper.make_node(name, names, ["z"]), last]
    if "x" not in names:
        nodes = [
            nodes[0],
            helper.make_node("Cast", ["z"], ["w"], to=TensorProto.FLOAT),
            helper.make_node("Add", ["w", "x"], ["y0"]),
        ]
    _, found, expected = both(graph_file(tmp_path / "flag.onnx", nodes, fed, constants, outputs=["y0"]), fed)
    np.testing.assert_array_equal(found[0], expected[0])


@pytest.mark.parametrize(
    ("nodes", "constants"),
    [
        ([("Shape", ["x"], {"start": 1}), ("Cast", ["_"], {"to": 1})], {}),
        ([("Size", ["x"], {}), ("Cast", ["_"], {"to": 1})], {}),
        ([("Shape", ["x"], {}), ("ConstantOfShape", ["_"], {"value": helper.make_tensor("v", 1, [1], [2.5])})], {}),
        ([("Range", ["a", "b", "c"], {}),
        ("Cast", ["_"], {"to": 1})], {"a": np.int64(7), "b": np.int64(0), "c": np.int64(-2)}),
        ([("Mod", ["a", "b"], {}), ("Cast", ["_"], {"to": 1})], {"a": ints(-7, 7), "b": ints(3, -3)}),
        ([("Div", ["a", "b"], {}), ("Cast", ["_"], {"to": 1})], {"a": ints(-7, 7), "b": ints(3, -3)}),
        ([("Mod", ["a", "b"], {"fmod": 1}), ("Cast", ["_"], {"to": 1})], {"a": ints(-7, 7), "b": ints(3, -3)}),
        ([("Pow", ["a", "b"], {}), ("Cast", ["_"], {"to": 1})], {"a": ints(2, 3), "b": floats(2) - 5}),
        ([("Resize", ["x", "", "a"], {"mode": "nearest"}), ("Identity", ["_"], {})], {"a": np.float32([1, 1, 2, 3])}),
        ([("Resize", ["x", "", "", "a"], {"mode": "nearest", "nearest_mode": "floor",
         "coordinate_transformation_mode": "asymmetric"}),
          ("Identity", ["_"], {})], {"a": ints(1, 2, 6, 4)}),
        ([("PRelu", ["x", "a"], {}), ("Identity", ["_"], {})], {"a": np.float32([[[0.25]], [[0.5]]])}),
    ],
)  # fmt: skip
def test_shapes_and_whole_numbers_agree_with_onnxruntime(tmp_path, nodes, constants):
    made, last = [], ""
    for number, (name, inputs, attributes) in enumerate(nodes):
        made.append(
            helper.make_node(name, [last if i == "_" else i for i in inputs], [f"v{number}"], **attributes)
        )
        last = f"v{number}"
    if nodes[0][0] in ("Resize", "PRelu"):
        made.append(helper.make_node("Identity", [last], ["y"]))
    else:
        made += [
            helper.make_node("ReduceMean", ["x"], ["m"], keepdims=0),
            helper.make_node("Add", [last, "m"], ["y"]),
        ]
    fed = {"x": (1, 2, 3, 2)}
    _, found, expected = both(graph_file(tmp_path / "whole.onnx", made, fed, constants), fed)
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-5, atol=1e-6)


def test_every_operator_is_tested():
    tested = {case[0] for case in CASES} | {case[0] for case in FLAGS} | BY_HAND
    quantised = {case[0] for case in (*QUANTISED, *NEARLY)} | {
        "DynamicQuantizeMatMul"
    }  # in test_onnx_quantised.py
    tested |= quantised | {f"ms.{name}" for name in quantised}
    names = {name for name in operators.names() if not name.startswith("qonnx.")}
    assert names <= tested


# QONNX


def quantised(tmp_path, name, values, constants, attributes, domain=QONNX, more=()):
    node = helper.make_node(name, ["x", *constants], ["y"], domain=domain, **attributes)
    return graph_file(tmp_path / f"{name}.onnx", [node, *more], {"x": values.shape}, constants)


def against_qonnx(file, values):
    (expected,) = execute_onnx(ModelWrapper(str(file)), {"x": values}).values()
    found = load_onnx(file).program(torch.from_numpy(values)).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


GRID = np.concatenate([np.arange(-24, 25) / 4, [0.5, 1.5, -0.5]]).astype(np.float32).reshape(2, 26)


@pytest.mark.parametrize("mode", ["ROUND", "CEIL", "FLOOR", "UP", "DOWN", "HALF_UP", "HALF_DOWN"])
@pytest.mark.parametrize(
    ("signed", "narrow", "bits"), [(1, 0, 3), (1, 1, 3), (0, 0, 2), (0, 1, 2), (1, 0, 1), (1, 1, 2)]
)
def test_quant_agrees_with_qonnx(tmp_path, mode, signed, narrow, bits):
    constants = {"s": np.float32(0.5), "z": np.float32(1.0), "b": np.float32(bits)}
    attributes = {"signed": signed, "narrow": narrow, "rounding_mode": mode}
    against_qonnx(quantised(tmp_path, "Quant", GRID, constants, attributes), GRID)


@pytest.mark.parametrize("scale", [np.float32(1.0), np.float32([[0.5], [2.0]])])
def test_bipolar_quant_agrees_with_qonnx(tmp_path, scale):
    against_qonnx(quantised(tmp_path, "BipolarQuant", GRID, {"s": scale}, {}), GRID)


@pytest.mark.parametrize("mode", ["FLOOR", "ROUND", "CEIL"])
def test_trunc_agrees_with_qonnx(tmp_path, mode):
    constants = {"s": np.float32(0.25), "z": np.float32(0), "i": np.float32(6), "o": np.float32(4)}
    against_qonnx(quantised(tmp_path, "Trunc", GRID, constants, {"rounding_mode": mode}), GRID)


def kinds(file):
    loaded = load_onnx(file)
    graph = rewrite(trace(loaded.program, loaded.inputs).graph, Phase.RECOGNISE, RewriteOptions()).graph
    return graph, [n.kind for n in graph if n.kind not in (OpKind.INPUT, OpKind.OUTPUT)]


def test_a_bipolar_activation_is_a_sign_and_its_scale_a_multiplication(tmp_path):
    """26 * 2 values: as many comparisons; with a scale as many multiplications."""
    _, plain = kinds(
        quantised(tmp_path, "BipolarQuant", GRID, {"s": np.float32(1)}, {}, domain="onnx.brevitas")
    )
    assert plain == [OpKind.SIGN]
    graph, found = kinds(quantised(tmp_path, "BipolarQuant", GRID, {"s": np.float32(0.3)}, {}))
    assert found == [OpKind.SIGN, OpKind.SCALE]
    assert sum(tally(graph, 16).by_origin().values()) == 52


def brevitas(tmp_path, bits):
    """A layer as Brevitas exports it: quantised weight (4 outputs, 6 inputs) and activation, both by Quant."""
    weight = np.sign(floats(4, 6)) * np.float32(0.5)
    nodes = [
        helper.make_node(
            "Quant", ["x", "s", "z", "b"], ["xq"], name="act", domain="onnx.brevitas", signed=1, narrow=1
        ),
        helper.make_node(
            "Quant", ["w", "ws", "z", "b"], ["wq"], name="weight", domain="onnx.brevitas", signed=1, narrow=1
        ),
        helper.make_node("Gemm", ["xq", "wq"], ["y"], name="fc", transB=1),
    ]
    constants = {
        "w": weight,
        "s": np.float32(1),
        "ws": np.float32(0.5),
        "z": np.float32(0),
        "b": np.float32(bits),
    }
    return graph_file(tmp_path / f"brevitas{bits}.onnx", nodes, {"x": (3, 6)}, constants, result=(3, 4))


def test_a_brevitas_layer_of_one_bit_is_binary(tmp_path):
    """3 images * 4 outputs * 6 taps XNORs, one scale of 0.5 per output."""
    graph, found = kinds(brevitas(tmp_path, 1))
    assert found == [OpKind.SIGN, OpKind.LINEAR, OpKind.SCALE]
    counted = tally(graph, 16)
    assert counted.macs.xnor == counted.macs.total == 3 * 4 * 6
    assert [node.layer for node in graph if node.layer] == ["act", "fc", "fc"]


def test_a_brevitas_layer_of_four_bits_clamps_and_rounds(tmp_path):
    """Real activations against weights that are +-0.5: sums with a sign, no products of two numbers."""
    graph, found = kinds(brevitas(tmp_path, 4))
    assert found == [OpKind.CLAMP, OpKind.FUNCTION, OpKind.LINEAR, OpKind.SCALE]
    assert tally(graph, 16).macs.signed_add == 3 * 4 * 6


# Larq, as tf2onnx writes it: channels last, kernels binarised by operators


def larq_sign(form, x, y):
    if form == "where":
        flag = helper.make_node("GreaterOrEqual", [x, "zero"], [f"{y}f"])
        return [flag, helper.make_node("Where", [f"{y}f", "one", "minus"], [y])]
    inner = [helper.make_node("Sign", [x], [f"{y}a"]), helper.make_node("Add", [f"{y}a", "tenth"], [f"{y}b"])]
    return [*inner, helper.make_node("Sign", [f"{y}b"], [y])]


@pytest.mark.parametrize("form", ["where", "sign of sign"])
def test_a_larq_layer_is_binary(tmp_path, form):
    """ste_sign is where(x >= 0, 1, -1), or sign(sign(x) + 0.1); 1 * 5 * 4 * 4 outputs of 3 * 3 * 3 taps (SAME)."""
    nodes = [
        *larq_sign(form, "x", "xs"),
        *larq_sign(form, "kernel", "ks"),
        helper.make_node("Transpose", ["xs"], ["xt"], perm=[0, 3, 1, 2]),
        helper.make_node("Transpose", ["ks"], ["kt"], perm=[3, 2, 0, 1]),
        helper.make_node("Conv", ["xt", "kt"], ["c"], auto_pad="SAME_UPPER", name="quant_conv2d"),
        helper.make_node("Transpose", ["c"], ["y"], perm=[0, 2, 3, 1]),
    ]
    constants = {
        "kernel": floats(3, 3, 3, 5),
        "zero": np.float32(0),
        "one": np.float32(1),
        "minus": np.float32(-1),
        "tenth": np.float32(0.1),
    }
    fed = {"x": (1, 4, 4, 3)}
    file = graph_file(
        tmp_path / "larq.onnx",
        nodes,
        fed,
        {n: v for n, v in constants.items() if any(n in node.input for node in nodes)},
    )
    _, found, expected = both(file, fed)
    np.testing.assert_array_equal(found[0], expected[0])
    graph, all_kinds = kinds(file)
    assert [kind for kind in all_kinds if kind is not OpKind.WIRING] == [OpKind.SIGN, OpKind.CONV]
    counted = tally(graph, 16)
    assert counted.macs.xnor == counted.macs.total == 5 * 4 * 4 * 27
    assert sum(counted.by_origin().values()) == 0


# forms that are refused


def stage_graphs_of(file):
    loaded = load_onnx(file)
    trace(loaded.program, loaded.inputs)


@pytest.mark.parametrize(
    ("name", "inputs", "attributes", "reason"),
    [
        ("BatchNormalization", [IMAGE, floats(4), floats(4), floats(4), np.abs(floats(4))], {"training_mode": 1},
         "export in eval mode"),
        ("AveragePool", [IMAGE], {"kernel_shape": [2, 2], "pads": [0, 0, 1, 1]}, "a divisor that varies at the border"),
        ("Conv", [IMAGE, floats(6, 2, 3, 3)], {"group": 2, "strides": [0, 1]}, "does not fit a window of 2 axes"),
        ("Conv", [IMAGE, floats(6, 3, 3, 3)], {}, "ONNX Conv 'node' fails: RuntimeError"),
        ("Conv", [IMAGE, floats(6, 2, 3, 3)], {"group": 2, "pads": [-1, 0, 0, 0]}, "are not two sizes of at least 0"),
        ("Reshape", [IMAGE, ints(7, 7)], {}, "ONNX Reshape 'node' fails"),
        ("Expand", [floats(1), ints(2**20, 2**20)], {}, "spreads a constant to 1048576x1048576"),
        ("Tile", [floats(1), ints(2**40)], {}, "spreads a constant to 1099511627776"),
        ("Cast", [IMAGE], {"to": TensorProto.STRING}, "a cast to type 8 is not supported"),
        ("Resize", [IMAGE, np.float32([]), np.float32([1, 1, 1.5, 2])], {"mode": "cubic", "exclude_outside": 1},
         "exclude_outside 1 is not supported"),
        ("Resize", [IMAGE, np.float32([]), np.float32([1, 1, 1.5, 2])],
         {"mode": "linear", "coordinate_transformation_mode": "asymmetric"},
         "from 2x4x6x5 to 2x4x9x10 is not supported"),
    ],
)  # fmt: skip
def test_what_is_refused(tmp_path, name, inputs, attributes, reason):
    file, _ = file_of(tmp_path, name, inputs, attributes)
    with pytest.raises(AbcostError, match=reason):
        stage_graphs_of(file)


@pytest.mark.parametrize(
    ("constants", "attributes", "reason"),
    [
        ({"b": np.float32(0)}, {}, "a width of 0.0 bits"),
        ({"b": np.float32(2.5)}, {}, "a width of 2.5 bits"),
        (
            {"b": np.float32(4)},
            {"rounding_mode": "STOCHASTIC"},
            "rounding_mode 'STOCHASTIC' is not one of CEIL",
        ),
    ],
)
def test_quantisers_that_are_refused(tmp_path, constants, attributes, reason):
    constants = {"s": np.float32(1), "z": np.float32(0), **constants}
    with pytest.raises(TraceError, match=reason):
        load_onnx(quantised(tmp_path, "Quant", GRID, constants, attributes)).program(torch.from_numpy(GRID))
