#!/usr/bin/env bash
# Two things that QONNX files mean by qonnx 1.0.0's execution, and that their attributes do not say:
# 1. Quant with bit_width 1, signed 1 gives -1 and +1 (x >= 0), not the -1 and 0 of one bit in two's complement; narrow makes no difference.
# 2. MultiThreshold without data_layout on an input of three axes has its channels last (NWC); on two and four axes they are second.
# Usual wrong guesses: -1 and 0; and channels at axis 1 whatever the number of axes, as in every operator of ONNX.
# Touches: whoever reads 1-bit weights, or thresholds behind a Conv1d. Exits 1 if qonnx answers otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet "qonnx==1.0.0" "onnx==1.23.2" "onnxruntime==1.32.0" numpy
"$folder/env/bin/python" -W ignore - <<'PYTHON'
from importlib.metadata import version

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx

DOMAIN = "qonnx.custom_op.general"


def run(name, x, constants, **attributes):
    value = lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, x.shape)
    graph = helper.make_graph(
        [helper.make_node(name, ["x", *constants], ["y"], domain=DOMAIN, **attributes)], "g", [value("x")], [value("y")],
        [numpy_helper.from_array(np.asarray(v, np.float32), n) for n, v in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13), helper.make_opsetid(DOMAIN, 1)], ir_version=8)
    return execute_onnx(ModelWrapper(model), {"x": x})["y"]


x = np.float32([[-2, -0.4, 0, 0.4, 2]])
one = {narrow: run("Quant", x, {"s": 1, "z": 0, "b": 1}, signed=1, narrow=narrow).astype(int).tolist() for narrow in (0, 1)}
print("qonnx", version("qonnx"))
print("Quant of 1 signed bit, narrow 0 and 1:", *one.values())
levels = {"t": [[0.5], [1.5], [2.5]]}  # one threshold for each of three channels
cube = np.broadcast_to(np.float32([1, 1, 1]), (1, 3, 3)).copy()
cubes = run("MultiThreshold", cube, levels, out_dtype="BINARY").astype(int).tolist()
print("MultiThreshold 0.5, 1.5, 2.5 of ones, three axes:", cubes)
second = run("MultiThreshold", cube, levels, out_dtype="BINARY", data_layout="NCW").astype(int).tolist()
print("the same with data_layout NCW:                   ", second)
expected = [[[1, 0, 0]] * 3], [[[1, 1, 1], [0, 0, 0], [0, 0, 0]]]
raise SystemExit(one != {0: [[-1, -1, 1, 1, 1]], 1: [[-1, -1, 1, 1, 1]]} or (cubes, second) != expected)
PYTHON
