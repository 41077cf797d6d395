"""Operators as operator sets 9 to 12 have them: attributes that became inputs, softmax over several axes, resizing."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from abcost.core.kinds import OpKind
from abcost.errors import AbcostError
from abcost.onnx.load import load_onnx
from abcost.pipeline import analyze
from abcost.trace import trace
from onnx_models import graph_file
from test_onnx_operators import IMAGE, both, file_of, floats, ints

AXES = [(2, 3, 4)]
CASES = [
    ("Clip", [IMAGE], {"min": -0.5, "max": 0.7}, (9, 10)),
    ("Clip", [IMAGE], {"min": 0.0}, (9, 10)),
    ("Clip", [IMAGE, np.float32(-0.5), np.float32(0.7)], {}, (11, 12)),
    ("Slice", [IMAGE], {"starts": [1, -3], "ends": [3, 100], "axes": [1, 2]}, (9,)),
    ("Slice", [IMAGE], {"starts": [1, 0], "ends": [2, -1]}, (9,)),
    ("Slice", [IMAGE, ints(1, 0), ints(3, 100), ints(1, 3), ints(1, 2)], {}, (10, 11, 12)),
    ("Pad", [IMAGE], {"pads": [0, 0, 1, 2, 0, 0, 0, 1], "value": 1.5}, (9, 10)),
    ("Pad", [IMAGE], {"pads": [0, 0, 1, 2, 0, 0, 0, 1], "mode": "reflect"}, (9, 10)),
    ("Pad", [IMAGE, ints(0, 0, 1, 2, 0, 0, 0, 1), np.float32(1.5)], {}, (11, 12)),
    ("Split", [(2, 6)], {"axis": 1, "split": [1, 3, 2]}, (9, 11, 12), 3),
    ("Split", [(2, 6)], {"axis": 1}, (9, 11), 3),
    ("Squeeze", [(2, 1, 3, 1)], {"axes": [1]}, (9, 11, 12)),
    ("Squeeze", [(2, 1, 3, 1)], {}, (9, 11, 12)),
    ("Unsqueeze", [(2, 3)], {"axes": [0, 3]}, (9, 11, 12)),
    *[(name, AXES, {"axes": [1], "keepdims": 0}, (9, 11, 12)) for name in (
        "ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2", "ReduceSumSquare")],
    ("ReduceProd", [floats(2, 3, 4)], {"axes": [1], "keepdims": 0}, (9, 11, 12)),
    ("ReduceSum", AXES, {}, (9, 11, 12)),
    *[(name, AXES, {}, (9, 11, 12)) for name in ("Softmax", "LogSoftmax")],
    *[("Softmax", AXES, {"axis": axis}, (9, 11, 12)) for axis in (0, 1, 2)],
    ("LogSoftmax", AXES, {"axis": 0}, (9, 12)), ("Softmax", AXES, {"axis": -2}, (11, 12)),
    ("BatchNormalization", [IMAGE, floats(4), floats(4), floats(4), np.abs(floats(4))], {}, (9, 12)),
    ("Dropout", [IMAGE], {"ratio": 0.3}, (9, 10)), ("Dropout", [IMAGE, np.float32(0.3)], {}, (12,)),
    ("Upsample", [IMAGE, np.float32([1, 1, 2, 3])], {"mode": "nearest"}, (9,)),
    ("Upsample", [IMAGE, np.float32([1, 1, 1.5, 2.4])], {"mode": "nearest"}, (9,)),
    ("Resize", [IMAGE, np.float32([1, 1, 2, 3])], {"mode": "nearest"}, (10,)),
    ("Resize", [IMAGE, np.float32([1, 1, 0.5, 0.4])], {"mode": "nearest"}, (10,)),
    ("Gemm", [(3, 4), floats(4, 5), floats(5)], {}, (9, 11)), ("Flatten", [IMAGE], {"axis": 2}, (9, 11)),
    ("MaxPool", [IMAGE], {"kernel_shape": [3, 3], "strides": [2, 2]}, (9, 10, 12)),
    ("AveragePool", [IMAGE], {"kernel_shape": [3, 3], "strides": [3, 1]}, (9, 10)),
    ("PRelu", [IMAGE, floats(4, 1, 1)], {}, (9,)),
    ("Where", [np.array([True, False, True]), (2, 3), floats(3)], {}, (9,)),
    ("Cast", [IMAGE], {"to": TensorProto.DOUBLE}, (9,)), ("Sign", [IMAGE], {}, (9,)),
]  # fmt: skip
NEAREST = [  # (input, output) sizes; scales that are no whole numbers, and smaller
    (5, 10), (5, 15), (4, 6), (6, 4), (5, 3), (7, 2), (3, 8),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}")
def test_older_operator_sets_agree_with_onnxruntime(tmp_path, case):
    name, inputs, attributes, opsets, results = (*case, 1)[:5]
    for opset in opsets:
        file, fed = exact_version(tmp_path, name, inputs, attributes, opset, results)
        loaded, found, expected = both(file, fed)
        for mine, theirs in zip(found, expected, strict=True):
            assert mine.shape == theirs.shape
            np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-5)
        graph = trace(loaded.program, loaded.inputs).graph
        assert [node.shape for node in graph if node.kind is OpKind.OUTPUT] == [x.shape for x in expected]


def exact_version(tmp_path, name, inputs, attributes, opset, results=1):
    file, fed = file_of(tmp_path, name, inputs, attributes, opset, results)
    proto = onnx.load(file)
    proto.ir_version = 6
    assert proto.opset_import[0].version == opset
    onnx.save(proto, file)
    return file, fed


@pytest.mark.parametrize(
    "transformation", ["half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"]
)
@pytest.mark.parametrize("rounding", ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"])
def test_nearest_neighbours_of_every_kind(tmp_path, transformation, rounding):
    """Each output element is one of the input, which one onnxruntime says."""
    attributes = {
        "mode": "nearest",
        "coordinate_transformation_mode": transformation,
        "nearest_mode": rounding,
    }
    for old, new in NEAREST:
        inputs = [(1, 2, old, 4), np.float32([]), np.float32([]), ints(1, 2, new, 4)]
        file, fed = file_of(tmp_path, "Resize", inputs, attributes, 13)
        _, (found,), (expected,) = both(file, fed)
        np.testing.assert_array_equal(found, expected, err_msg=f"{old} -> {new}")


@pytest.mark.parametrize("transformation", ["half_pixel", "align_corners", "pytorch_half_pixel"])
@pytest.mark.parametrize(("mode", "sizes"), [
    ("linear", (1, 2, 12, 9)), ("linear", (1, 2, 3, 7)), ("cubic", (1, 2, 12, 9)), ("linear", (1, 2, 12)),
])  # fmt: skip
def test_interpolation(tmp_path, transformation, mode, sizes):
    attributes = {"mode": mode, "coordinate_transformation_mode": transformation}
    inputs = [(1, 2, 6, 5)[: len(sizes)], np.float32([]), np.float32([]), ints(*sizes)]
    file, fed = file_of(tmp_path, "Resize", inputs, attributes, 13)
    loaded, (found,), (expected,) = both(file, fed)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    trace(loaded.program, loaded.inputs)


def test_sizes_of_some_axes(tmp_path):
    for scales, sizes in ((np.float32([]), ints(4, 9)), (np.float32([2, 3]), None)):
        inputs = [(1, 2, 2, 3), np.float32([]), scales, *([sizes] if sizes is not None else [])]
        file, fed = file_of(tmp_path, "Resize", inputs, {"axes": [2, 3]}, 18)
        _, (found,), (expected,) = both(file, fed)
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("name", "inputs", "attributes", "opset", "results", "reason"),
    [
        ("BatchNormalization", [IMAGE, floats(4), floats(4), floats(4), np.abs(floats(4))], {}, 9, 5,
         "export in eval mode"),
        ("Dropout", [IMAGE, np.float32(0.3), np.array(True)], {}, 12, 1, "training_mode true draws random numbers"),
        ("Pad", [IMAGE], {"pads": [0, 0, 1]}, 10, 1, "3 pads for 4 axes"),
        ("Upsample", [IMAGE, np.float32([1, 1, 2])], {}, 9, 1, "are not one number above 0 for each of 4 axes"),
        ("Upsample", [IMAGE, np.float32([1, 1, -2, 2])], {}, 9, 1, "are not one number above 0"),
        ("Resize", [IMAGE, np.float32([]), np.float32([1, 1, 2, 2])],
         {"coordinate_transformation_mode": "tf_crop_and_resize"}, 11, 1, "'tf_crop_and_resize' is not supported"),
        ("Resize", [IMAGE, np.float32([]), np.float32([1, 1, 2, 2])], {"nearest_mode": "near"}, 11, 1,
         "nearest_mode 'near'"),
        ("Resize", [IMAGE, np.float32([]), np.float32([1, 1, 2**20, 2**20])], {}, 11, 1, "spreads a constant to"),
        ("Resize", [IMAGE, np.float32([]), np.float32([1, 1, 2, 2])], {"mode": "cubic", "cubic_coeff_a": -0.5}, 11, 1,
         "mode 'cubic' with 'half_pixel'"),
        ("Resize", [IMAGE, np.float32([]), np.float32([1, 1, 2, 2])], {"axes": [2, 3]}, 18, 1, "do not fit the axes"),
    ],
)  # fmt: skip
def test_what_is_refused(tmp_path, name, inputs, attributes, opset, results, reason):
    file, _ = exact_version(tmp_path, name, inputs, attributes, opset, results)
    loaded = load_onnx(file)
    with pytest.raises(AbcostError, match=reason):
        trace(loaded.program, loaded.inputs)


# constants without elements


@pytest.mark.parametrize(
    ("nodes", "constants"),
    [
        ([helper.make_node("Concat", ["x", "c"], ["y"], axis=1)], {"c": np.zeros((2, 0), np.float32)}),
        (
            [helper.make_node("Concat", ["c", "d"], ["s"], axis=0), helper.make_node("Reshape", ["x", "s"], ["y"])],
            {"c": np.zeros(0, np.int64), "d": ints(3, 2)},
        ),
        (
            [
                helper.make_node("Mul", ["c", "d"], ["e"]),
                helper.make_node("ReduceSum", ["e"], ["s"], keepdims=0),
                helper.make_node("Add", ["x", "s"], ["y"]),
            ],
            {"c": np.zeros((0, 3), np.float32), "d": floats(3)},
        ),
        (
            [
                helper.make_node("Slice", ["c", "a", "a"], ["e"]),
                helper.make_node("Concat", ["e", "x"], ["y"], axis=0),
            ],
            {"c": floats(2, 3), "a": ints(1)},
        ),
        ([helper.make_node("Add", ["x", "c"], ["w"]), helper.make_node("Concat", ["w", "x"], ["y"], axis=0)],
         {"c": np.zeros((0, 3), np.float32)}),
    ],
)  # fmt: skip
def test_constants_without_elements(tmp_path, nodes, constants):
    empty_sum = any(node.op_type == "Add" and "c" in node.input for node in nodes)
    fed = {"x": (1, 3) if empty_sum else (2, 3)}
    file = graph_file(tmp_path / "empty.onnx", nodes, fed, constants)
    _, (found,), (expected,) = both(file, fed)
    np.testing.assert_array_equal(found, expected)
    report = analyze(str(file))
    assert report.stages[0].tally.macs.total == 0


def test_an_operator_on_a_constant_weight_without_elements(tmp_path):
    """(2, 0) @ (0, 3) is a sum of nothing."""
    nodes = [
        helper.make_node("MatMul", ["c", "d"], ["e"]),
        helper.make_node("Add", ["x", "e"], ["y"]),
    ]
    constants = {"c": np.zeros((2, 0), np.float32), "d": np.zeros((0, 3), np.float32)}
    file = graph_file(tmp_path / "empty.onnx", nodes, {"x": (2, 3)}, constants)
    program = load_onnx(file).program
    x = torch.ones(2, 3)
    assert torch.equal(program(x), x)
