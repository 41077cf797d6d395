"""The same network through torch, .pt2, ONNX and QONNX: the same counts at every stage."""

from __future__ import annotations

import copy
import warnings

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.transformation.infer_shapes import InferShapes
from qonnx.util.inference_cost import inference_cost

from abcost.models import build
from abcost.onnx.load import load_onnx
from abcost.pipeline import analyze
from onnx_models import Perceptron, Residual, as_qonnx, export, made

SHAPES = {
    "residual": Residual.shape,
    "perceptron": Perceptron.shape,
    "small reactnet_18": (1, 3, 32, 32),
    "reactnet_18": (1, 3, 32, 32),
}
SLOW = pytest.param("reactnet_18", marks=pytest.mark.slow)


def network(name):
    torch.manual_seed(0)
    if name.endswith("reactnet_18"):
        size = {"base_width": 16, "blocks": (1, 1)} if name.startswith("small") else {}
        return build("reactnet_18", variant="ab", step=2, stem="cifar", num_classes=10, **size).eval()
    return made({"residual": Residual, "perceptron": Perceptron}[name])


@pytest.fixture(scope="module", params=["residual", "perceptron", "small reactnet_18", SLOW])
def held(request, tmp_path_factory):
    """Name -> the model and its files."""
    folder, name = tmp_path_factory.mktemp("formats"), request.param
    model, shape = network(name), SHAPES[name]
    torch.export.save(torch.export.export(model, (torch.zeros(shape),)), folder / "model.pt2")
    files = {"pt2": folder / "model.pt2", "onnx": export(model, shape, folder / "model.onnx")}
    files["qonnx"] = as_qonnx(files["onnx"], folder / "quantised.onnx")
    if not name.endswith("reactnet_18"):  # torch's older exporter knows no exp2
        files["torchscript onnx"] = export(model, shape, folder / "older.onnx", dynamo=False)
    return name, model, files


def counts(report):
    return [(s.name, s.tally.by_class(), s.tally.by_origin(), s.tally.macs, s.exact) for s in report.stages]


def test_every_format_gives_the_same_counts(held):
    name, model, files = held
    expected = analyze(model, input_shape=SHAPES[name])
    assert expected.stages[0].tally.macs.xnor > 0  # a binary layer was seen
    for form, file in files.items():
        report = analyze(str(file))
        assert counts(report) == counts(expected), form
        assert report.input_shapes == (SHAPES[name],)
        assert not [w for w in report.warnings if "fvcore" in w or "PRelu" in w], form


def test_every_format_computes_the_same_values(held):
    """In double precision, where rounding turns no sign; copies are converted as verification does it."""
    name, model, files = held
    x = torch.randn(SHAPES[name], generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    with torch.no_grad():
        expected = copy.deepcopy(model).double()(x)
        for form in [form for form in files if form != "pt2"]:
            program = load_onnx(files[form]).program.double()
            # files hold constants such as beta in single precision
            torch.testing.assert_close(program(x), expected, rtol=1e-2, atol=1e-4)


@pytest.mark.parametrize("held", ["residual", "perceptron"], indirect=True)
def test_onnxruntime_computes_the_same_values(held):
    """It is neither torch nor abcost. In a deep network single precision turns signs, so only the small ones."""
    name, _, files = held
    x = torch.randn(SHAPES[name], generator=torch.Generator().manual_seed(1))
    for form in ("onnx", "torchscript onnx"):
        session = onnxruntime.InferenceSession(files[form], providers=["CPUExecutionProvider"])
        (expected,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
        np.testing.assert_allclose(load_onnx(files[form]).program(x).numpy(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", [Residual, Perceptron])
def test_qonnx_computes_the_same_values(kind, tmp_path):
    """Its own execution of the file, node by node."""
    plain = export(made(kind), kind.shape, tmp_path / "plain.onnx", optimize=True)
    file = as_qonnx(plain, tmp_path / "quantised.onnx")
    x = torch.randn(kind.shape, generator=torch.Generator().manual_seed(1))
    wrapped = ModelWrapper(str(file)).transform(InferShapes())
    (expected,) = execute_onnx(wrapped, {wrapped.graph.input[0].name: x.numpy()}).values()
    np.testing.assert_allclose(load_onnx(file).program(x).numpy(), expected, rtol=1e-4, atol=1e-5)


def test_rows_are_named_after_the_nodes_of_the_file(held):
    """Every row of a report is an ONNX node, and says which operator it is."""
    _, _, files = held
    nodes = {node.name or node.output[0]: node.op_type for node in onnx.load(files["onnx"]).graph.node}
    rows = [p.node for p in analyze(str(files["onnx"])).stages[0].nodes if p.node.layer]
    assert len({row.layer for row in rows}) > 3
    assert all(row.source == f"ONNX {nodes[row.layer]}" for row in rows)


@pytest.mark.parametrize("held", ["residual", "perceptron"], indirect=True)
def test_programs_are_verified_like_modules(held):
    _, _, files = held
    for form in ("onnx", "qonnx"):
        report = analyze(str(files[form]), verify=True)
        assert report.verified, form
        assert report.fvcore_ran, form  # fvcore ran the program itself, and counts the same
        assert report.fvcore_macs == report.stages[0].tally.macs.total


@pytest.mark.parametrize("name", ["residual", "perceptron", SLOW])
def test_macs_agree_with_qonnx(name, tmp_path):
    """Its inference cost counts Conv, MatMul and Gemm by the types of their operands, and nothing else.

    Where weights have a scale it sees binary activations against real weights; abcost takes the scale out.
    """
    plain = export(network(name), SHAPES[name], tmp_path / "plain.onnx", optimize=True)
    file = as_qonnx(plain, tmp_path / "quantised.onnx")
    with warnings.catch_warnings(action="ignore"):
        cost = inference_cost(str(file), discount_sparsity=False)["total_cost"]
    ours = analyze(str(file)).stages[0].tally.macs
    assert cost["total_macs"] == ours.total
    assert cost["op_mac_BIPOLAR_FLOAT32"] == ours.xnor
    assert cost["op_mac_FLOAT32_FLOAT32"] == ours.real + ours.signed_add


def test_macs_of_hand_counted_layers(held):
    """3 * 3 * 8 taps at 8 * 8 positions of 8 channels; 16 inputs and 12 outputs; four stages of ReActNet-18, of
    the small one two with a layer each. The 1x1 shortcuts have binary weights and real activations.
    """
    first, later = (64, 64, 32, 4), [(64, 16), (128, 8), (256, 4)]  # channels in and out, positions, layers
    stages = [first, *((c, 2 * c, s, 1) for c, s in later), *((2 * c, 2 * c, s, 3) for c, s in later)]
    by_hand = {
        "residual": (3 * 3 * 8 * 8 * 8 * 8, 0),
        "perceptron": (16 * 12, 0),
        "small reactnet_18": (9 * 16 * 16 * 32**2 + 9 * 16 * 32 * 16**2, 16 * 32 * 16**2),
        "reactnet_18": (
            sum(9 * cin * cout * size**2 * times for cin, cout, size, times in stages),
            sum(cin * 2 * cin * size**2 for cin, size in later),
        ),
    }
    name, _, files = held
    macs = analyze(str(files["qonnx"])).stages[0].tally.macs
    assert (macs.xnor, macs.signed_add) == by_hand[name]
