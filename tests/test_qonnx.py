"""QONNX as people have it, against qonnx: old domains, both versions of Trunc, thresholds, small floats."""

from __future__ import annotations

import logging
import warnings

import numpy as np
import onnx
import pytest
import torch
from onnx import helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.custom_op.general.floatquant import float_quant

from abcost.core.kinds import OpKind
from abcost.errors import TraceError
from abcost.onnx.load import load_onnx
from abcost.pipeline import analyze
from abcost.trace import trace
from onnx_models import QONNX, graph_file

GRID = np.concatenate([np.arange(-24, 25) / 4, [0.5, 1.5, -0.5]]).astype(np.float32).reshape(2, 26)
DOMAINS = ("onnx.brevitas", "finn.custom_op.general", "qonnx.custom_op.general")


def single(tmp_path, name, values, constants, attributes, *, version=1, domain=QONNX):
    node = helper.make_node(name, ["x", *constants], ["y"], name="node", domain=domain, **attributes)
    file = graph_file(tmp_path / f"{name}.onnx", [node], {"x": values.shape}, constants)
    proto = onnx.load(file)
    for entry in proto.opset_import:
        if entry.domain == QONNX:
            entry.version = version
    onnx.save(proto, file)
    return file


def against_qonnx(file, values):
    (expected,) = execute_onnx(ModelWrapper(str(file)), {"x": values}).values()
    loaded = load_onnx(file)
    found = loaded.program(torch.from_numpy(values)).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)
    return trace(loaded.program, loaded.inputs).graph


# domains that the file forgets


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("opset", [9, 11, 13])
def test_domains_that_are_not_imported(tmp_path, domain, opset):
    """sign(x) * 0.5 against weights of +-0.25: 2 * 4 * 26 XNORs, whatever domains the file imports."""
    weight = np.sign(np.random.default_rng(0).standard_normal((26, 4))).astype(np.float32)
    nodes = [
        helper.make_node("BipolarQuant", ["x", "s"], ["a"], domain=domain),
        helper.make_node("Quant", ["w", "t", "z", "b"], ["v"], domain=domain, signed=1, narrow=1),
        helper.make_node("MatMul", ["a", "v"], ["y"]),
    ]  # fmt: skip
    constants = {
        "s": np.float32(0.5),
        "w": weight,
        "t": np.float32(0.25),
        "z": np.float32(0),
        "b": np.float32(1),
    }
    file = graph_file(tmp_path / "old.onnx", nodes, {"x": (2, 26)}, constants, opset=opset, result=(2, 4))
    proto = onnx.load(file)
    kept = [entry for entry in proto.opset_import if not entry.domain]
    del proto.opset_import[:]
    proto.opset_import.extend(kept)
    proto.ir_version = 6
    onnx.save(proto, file)
    with pytest.raises(onnx.checker.ValidationError):
        onnx.checker.check_model(onnx.load(file))
    assert analyze(str(file)).to_dict()["macs"]["by_bits"] == {"1x1": 2 * 4 * 26}
    found = load_onnx(file).program(torch.from_numpy(GRID)).numpy()
    np.testing.assert_allclose(found, np.where(GRID >= 0, 0.5, -0.5) @ weight * 0.25, rtol=1e-6)


@pytest.mark.parametrize(
    "scale", [np.float32(0.3), np.float32(-2.0), np.float32([[0.5], [2.0]]), np.float32([[[0.25]]])]
)
def test_bipolar_quant_of_any_scale(tmp_path, scale):
    graph = against_qonnx(single(tmp_path, "BipolarQuant", GRID, {"s": scale}, {}), GRID)
    assert len(graph.of_kind(OpKind.SCALE)) == 1


# Trunc


@pytest.mark.parametrize("mode", ["FLOOR", "floor", "round", "ROUND", "ceil", "half_up"])
@pytest.mark.parametrize(("signed", "narrow", "bits"), [(1, 0, 3), (1, 1, 3), (0, 0, 2), (0, 1, 2)])
@pytest.mark.parametrize(
    ("scale", "scale_out", "zero"), [(0.25, 1.0, 0.0), (0.5, 0.5, 0.0), (0.125, 0.5, 2.0)]
)
def test_trunc_of_version_2_agrees_with_qonnx(tmp_path, mode, signed, narrow, bits, scale, scale_out, zero):
    constants = {
        "s": np.float32(scale), "z": np.float32(zero), "i": np.float32(6), "t": np.float32(scale_out),
        "o": np.float32(bits),
    }  # fmt: skip
    attributes = {"rounding_mode": mode, "signed": signed, "narrow": narrow}
    against_qonnx(single(tmp_path, "Trunc", GRID, constants, attributes, version=2), GRID)


def test_trunc_as_brevitas_writes_it(tmp_path):
    """The mean of 2x2 4-bit values as a sum of 6 bits without its last two: what the module gives, and 4 bits again."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from brevitas.export import export_qonnx
        from brevitas.nn import QuantConv2d, QuantReLU, TruncAvgPool2d
        from brevitas.quant import Int8WeightPerTensorFloat, TruncTo8bit, Uint8ActPerTensorFloat

        torch.manual_seed(0)
        model = torch.nn.Sequential(
            QuantReLU(act_quant=Uint8ActPerTensorFloat, bit_width=4, return_quant_tensor=True),
            TruncAvgPool2d(2, trunc_quant=TruncTo8bit, bit_width=4, float_to_int_impl_type="floor"),
            QuantConv2d(8, 5, 1, bias=False, weight_quant=Int8WeightPerTensorFloat, weight_bit_width=3),
        )
        model(torch.rand(1, 8, 8, 8) * 4)
        model.eval()
        x = torch.rand(1, 8, 8, 8) * 4
        with torch.no_grad():
            expected = model(x)
            expected = getattr(expected, "value", expected)
        logging.disable(logging.WARNING)
        try:
            export_qonnx(model, args=x, export_path=str(tmp_path / "trunc.onnx"), dynamo=False)
        finally:
            logging.disable(logging.NOTSET)
    (node,) = [n for n in onnx.load(tmp_path / "trunc.onnx").graph.node if n.op_type == "Trunc"]
    assert len(node.input) == 6
    np.testing.assert_allclose(
        load_onnx(tmp_path / "trunc.onnx").program(x).numpy(), expected.numpy(), atol=1e-5
    )
    assert analyze(str(tmp_path / "trunc.onnx")).to_dict()["macs"]["by_bits"] == {"4x3": 8 * 5 * 4 * 4}


# MultiThreshold


def thresholds(channels, steps):
    return np.sort(np.random.default_rng(1).standard_normal((channels, steps)), axis=1).astype(np.float32)


@pytest.mark.parametrize(
    ("shape", "layout", "channels"),
    [
        ((2, 3), "", 3), ((2, 5, 3), "", 3), ((2, 3, 4, 5), "", 3), ((2, 3, 4, 5), "NCHW", 3),
        ((2, 4, 5, 3), "NHWC", 3),
        ((2, 3, 5), "NCW", 3), ((2, 3, 4, 5), "", 1), ((1, 3, 2, 2, 2), "", 3),
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "attributes", [{}, {"out_scale": 0.5, "out_bias": -1.5}, {"out_scale": 2.0, "out_bias": -3.0}]
)
def test_multi_threshold_agrees_with_qonnx(tmp_path, shape, layout, channels, attributes):
    values = np.random.default_rng(2).standard_normal(shape).astype(np.float32)
    constants = {"t": thresholds(channels, 3)}
    attributes = {**attributes, "out_dtype": "UINT2", **({"data_layout": layout} if layout else {})}
    against_qonnx(single(tmp_path, "MultiThreshold", values, constants, attributes), values)


@pytest.mark.parametrize(("steps", "bits"), [(1, 1), (3, 2), (15, 4)])
def test_thresholds_make_the_bits_of_an_activation(tmp_path, steps, bits):
    """0 ... steps, in a product of 4 positions * 8 outputs * 3 taps; as many comparisons as steps for each element."""
    shape = (1, 3, 2, 2)
    nodes = [
        helper.make_node("MultiThreshold", ["x", "t"], ["a"], domain=QONNX, out_dtype="UINT4"),
        helper.make_node("Conv", ["a", "w"], ["y"], kernel_shape=[1, 1]),
    ]
    weight = np.sign(np.random.default_rng(0).standard_normal((8, 3, 1, 1))).astype(np.float32)
    file = graph_file(
        tmp_path / "t.onnx",
        nodes,
        {"x": shape},
        {"t": thresholds(3, steps), "w": weight},
        result=(1, 8, 2, 2),
    )
    report = analyze(str(file)).to_dict()
    assert report["macs"]["by_bits"] == {f"{bits}x1": 4 * 8 * 3}
    assert report["stages"][0]["ops"]["compare"] == 12 * steps
    assert report["stages"][-1]["ops"]["multiply"] == 0


def test_thresholds_that_are_missing_or_do_not_fit(tmp_path):
    values = np.zeros((2, 3), np.float32)
    file = single(tmp_path, "MultiThreshold", values, {"t": thresholds(2, 3)}, {"out_dtype": "UINT2"})
    with pytest.raises(TraceError, match="thresholds of 2 channels for 3"):
        load_onnx(file).program(torch.from_numpy(values))
    file = single(
        tmp_path,
        "MultiThreshold",
        values,
        {"t": thresholds(3, 3)},
        {"out_dtype": "UINT2", "data_layout": "NHWC"},
    )
    with pytest.raises(TraceError, match="data_layout 'NHWC' does not fit 2 axes"):
        load_onnx(file).program(torch.from_numpy(values))


# FloatQuant


@pytest.mark.parametrize(("exponent", "mantissa"), [(4, 3), (5, 2), (2, 1), (3, 0)])
@pytest.mark.parametrize("mode", ["ROUND", "FLOOR", "CEIL"])
def test_weights_in_small_floats_agree_with_qonnx(tmp_path, exponent, mantissa, mode):
    weight = np.concatenate([np.geomspace(1e-4, 500, 39), [0.0]]).astype(np.float32).reshape(4, 10)
    weight = weight * np.sign(np.random.default_rng(0).standard_normal(weight.shape)).astype(np.float32)
    bias = 2.0 ** (exponent - 1) - 1
    constants = {
        "w": weight, "s": np.float32(0.5), "e": np.float32(exponent), "m": np.float32(mantissa), "b": np.float32(bias),
        "l": np.float32(200.0),
    }  # fmt: skip
    nodes = [
        helper.make_node(
            "FloatQuant", ["w", "s", "e", "m", "b", "l"], ["q"], domain=QONNX, rounding_mode=mode, has_inf=0, has_nan=0,
            has_subnormal=1, saturation=1,
        ),
        helper.make_node("Add", ["x", "q"], ["y"]),
    ]  # fmt: skip
    file = graph_file(tmp_path / "f.onnx", nodes, {"x": (4, 10)}, constants)
    expected = float_quant(
        weight.astype(np.float64),
        0.5,
        float(exponent),
        float(mantissa),
        bias,
        max_val=200.0,
        rounding_mode=mode,
    )
    found = load_onnx(file).program(torch.zeros(4, 10)).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_activations_in_small_floats_are_refused(tmp_path):
    constants = {name: np.float32(value) for name, value in zip("sembl", (1, 4, 3, 7, 448), strict=True)}
    attributes = {"has_inf": 0, "has_nan": 0, "has_subnormal": 1, "saturation": 1}
    file = single(tmp_path, "FloatQuant", GRID, constants, attributes)
    loaded = load_onnx(file)
    with pytest.raises(
        TraceError, match="ONNX FloatQuant 'node': activations in small floating-point formats have no"
    ):
        trace(loaded.program, loaded.inputs)
