"""Networks as onnxruntime's own quantiser writes them, in its three forms: QDQ, operators, dynamic.

The network has a convolution of 3 -> 8 channels, one of 8 -> 8 (both 3x3 on 8x8 pixels), one of 8 -> 8 of 1x1, and
layers of 128 -> 16 and 16 -> 10; between them sums, products, a pool, a concatenation, and functions.
"""

from __future__ import annotations

import logging
import warnings

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)
from torch import nn

from abcost.cli import run
from abcost.onnx.load import load_onnx
from abcost.pipeline import analyze

FIRST, SECOND, POINTWISE = 3 * 8 * 9 * 64, 8 * 8 * 9 * 64, 8 * 8 * 64
HIDDEN, LAST = 128 * 16, 16 * 10
ALL = FIRST + SECOND + POINTWISE + HIDDEN + LAST
SHAPE = (1, 3, 8, 8)


class Network(nn.Module):
    """Every operator that the quantiser has a quantised form of, but for Where and Gather."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.pointwise, self.hidden, self.last = nn.Conv2d(8, 8, 1), nn.Linear(128, 16), nn.Linear(16, 10)

    def forward(self, x):
        x = torch.relu(self.first(x))
        y = self.second(x)
        x = F.leaky_relu(x + y, 0.1)
        x = torch.sigmoid(self.pointwise(x)) * x
        x = torch.cat([x, y], 1)[:, :8]
        x = F.avg_pool2d(F.max_pool2d(x, 2), 1)
        x = torch.relu(self.hidden(x.flatten(1)))
        return torch.softmax(self.last(x), 1)


class Pictures(CalibrationDataReader):
    def __init__(self):
        random = np.random.default_rng(0)
        self._rest = iter([{"x": random.standard_normal(SHAPE).astype(np.float32)} for _ in range(8)])

    def get_next(self):
        return next(self._rest, None)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """The network before it is quantised."""
    torch.manual_seed(0)
    file = tmp_path_factory.mktemp("plain") / "plain.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Network().eval(),
            (torch.randn(SHAPE),),
            str(file),
            dynamo=False,
            opset_version=17,
            input_names=["x"],
        )
    return file


OPERATORS = {"quant_format": QuantFormat.QOperator}
SIGNED = {"activation_type": QuantType.QInt8, "weight_type": QuantType.QInt8}
SYMMETRIC = {"per_channel": True, "extra_options": {"ActivationSymmetric": True}}
FORMS = {
    "qdq": ({}, {"8x8": ALL}),
    # from -127 to 127 about 0: what a ReLU made has 0 ... 127, 7 bits
    "qdq, symmetric": (SIGNED | SYMMETRIC, {"8x8": FIRST + POINTWISE + HIDDEN, "7x8": SECOND + LAST}),
    "qdq, 16-bit activations": ({"activation_type": QuantType.QUInt16}, {"16x8": ALL}),
    "qdq, 4-bit weights": ({"weight_type": QuantType.QInt4}, {"8x4": ALL}),
    "operators": (OPERATORS, {"8x8": ALL}),
    "operators, per channel": (OPERATORS | SIGNED | {"per_channel": True}, {"8x8": ALL}),
    "dynamic": ({"dynamic": True}, {"8x8": ALL}),
    "dynamic, uint8 weights": ({"dynamic": True, "weight_type": QuantType.QUInt8}, {"8x8": ALL}),
    "dynamic, products only": (
        {"dynamic": True, "op_types_to_quantize": ["MatMul"]},
        {"8x8": HIDDEN + LAST, "16x16": FIRST + SECOND + POINTWISE},
    ),
}


def quantised(plain, folder, options):
    file = folder / "quantised.onnx"
    options = dict(options)
    logging.disable(logging.WARNING)  # it asks for a preprocessing that changes nothing here
    try:
        if options.pop("dynamic", False):
            quantize_dynamic(str(plain), str(file), **options)
        else:
            quantize_static(str(plain), str(file), Pictures(), **options)
    finally:
        logging.disable(logging.NOTSET)
    return file


@pytest.mark.parametrize("form", FORMS)
def test_products_by_bits_and_results(plain, tmp_path, form):
    """As derived above; and what the file computes is what onnxruntime computes from it."""
    options, expected = FORMS[form]
    file = quantised(plain, tmp_path, options)
    report = analyze(str(file)).to_dict()
    assert report["macs"]["by_bits"] == expected
    picture = np.random.default_rng(3).standard_normal(SHAPE).astype(np.float32)
    session_options = onnxruntime.SessionOptions()
    session_options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(str(file), session_options, providers=["CPUExecutionProvider"])
    (theirs,) = session.run(None, {"x": picture})
    mine = load_onnx(file).program(torch.from_numpy(picture)).numpy()
    step = 1 / 255 if "dynamic" not in form else 1e-3  # of the softmax's 8 bits
    np.testing.assert_allclose(mine, theirs, atol=1.01 * step)


@pytest.mark.parametrize(("form", "operator"), [
    ("qdq", "DequantizeLinear"), ("operators", "QLinearConv"), ("dynamic", "ConvInteger"),
])  # fmt: skip
def test_the_files_have_the_form_that_they_are_named_for(plain, tmp_path, form, operator):
    proto = onnx.load(quantised(plain, tmp_path, FORMS[form][0]))
    assert operator in {node.op_type for node in proto.graph.node}


@pytest.mark.parametrize("form", ["qdq", "operators"])
def test_rewriting_is_exact(plain, tmp_path, form, capsys):
    """All that is lowered gives the same in fixed point: `verify` says so."""
    assert run(["verify", str(quantised(plain, tmp_path, FORMS[form][0]))]) == 0
    assert "Traceback" not in capsys.readouterr().err
