"""Models as files of every format, written by torch, by onnx's helper, and as QONNX."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper, numpy_helper
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from qonnx_files import QONNX, as_qonnx, export  # noqa: F401 - tests take them from here


class Residual(nn.Module):
    """A block as in ReActNet: real stem, shifted sign, binary convolution, scale, sum, PReLU, pool, classifier."""

    shape = (1, 3, 8, 8)

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.shift = nn.Parameter(torch.randn(1, 8, 1, 1))
        self.weight = nn.Parameter(torch.randn(8, 8, 3, 3))
        self.prelu = nn.PReLU(8)
        self.fc = nn.Linear(8, 5)

    def forward(self, x):
        x = self.stem(x)
        weight = torch.sign(self.weight) * self.weight.abs().mean(dim=(1, 2, 3), keepdim=True)
        y = F.conv2d(torch.sign(3.0 * x + self.shift), weight, padding=1)
        y = self.prelu(0.5 * y + x)
        return self.fc(torch.flatten(F.adaptive_avg_pool2d(F.avg_pool2d(y, 2), 1), 1))


class Perceptron(nn.Module):
    """Three linear layers, the middle one binary, with a clamp and weights scaled per output."""

    shape = (1, 6)

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(6, 16)
        self.weight = nn.Parameter(torch.randn(12, 16))
        self.last = nn.Linear(12, 4)

    def forward(self, x):
        x = torch.clamp(self.first(x), -1.0, 1.0)
        weight = torch.sign(self.weight) * self.weight.abs().mean(dim=1, keepdim=True)
        return self.last(F.relu(F.linear(torch.sign(x), weight)))


def made(kind):
    """A model of one of the classes above, always the same."""
    torch.manual_seed(0)
    return kind().eval()


def graph_file(
    file, nodes, inputs, constants=None, *, outputs=("y",), opset=17, result=None, dtype=TensorProto.FLOAT
):
    """A file with these nodes; inputs: name -> shape (text: an open size); constants: name -> array.

    Shapes of the outputs are inferred by onnx; where it cannot (QONNX) they are `result`, or the first input's.
    """
    proto = helper.make_model(
        helper.make_graph(
            nodes,
            "graph",
            [helper.make_tensor_value_info(name, dtype, shape) for name, shape in inputs.items()],
            [helper.make_empty_tensor_value_info(name) for name in outputs],
            [numpy_helper.from_array(np.asarray(array), name) for name, array in (constants or {}).items()],
        ),
        opset_imports=[helper.make_opsetid("", opset), helper.make_opsetid(QONNX, 1)],
        ir_version=10,
    )
    proto.opset_import.extend(
        helper.make_opsetid(domain, 1) for domain in ("onnx.brevitas", "finn.custom_op.general")
    )
    proto = onnx.shape_inference.infer_shapes(proto)
    for output in proto.graph.output:
        if not output.type.tensor_type.HasField("shape"):
            shape = next(iter(inputs.values())) if result is None else result
            output.CopyFrom(helper.make_tensor_value_info(output.name, TensorProto.FLOAT, shape))
    onnx.save(proto, file)
    return Path(file)
