#!/usr/bin/env bash
# onnxruntime 1.32.0 rounds com.microsoft QLinearAdd, QLinearMul and QLinearAveragePool with the zero point of the result inside:
#     y = saturate(round(real / scale + zero point)),    halves to even.
# QuantizeLinear (and QLinearConv, QLinearMatMul, QLinearGlobalAveragePool) round first: y = saturate(round(real / scale) + zero point).
# With an odd zero point a half therefore goes the other way: 2 * 0.5 + 3 * 0.5 = 2.5 with zero point 1 is 4 by QLinearAdd
# (3.5 to even) and 3 by DequantizeLinear, Add, QuantizeLinear (2 + 1), the form that the same quantiser writes as QDQ. Run with its
# default optimisations, onnxruntime fuses the three into QLinearAdd, so the answer to one file depends on the optimisation level.
# Usual wrong guess: the operator form of a quantised network gives what its QDQ form gives, at any level, to the last unit.
# Touches: whoever executes quantised ONNX files himself, or compares the two forms. Exits 1 if onnxruntime answers otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet "onnxruntime==1.32.0" "onnx==1.23.2" numpy
"$folder/env/bin/python" -W ignore - <<'PYTHON'
import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

HALF, ONE = np.float32(0.5), np.float32(1)


def run(nodes, zero, level=onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL):
    constants = {"h": HALF, "one": ONE, "none": np.uint8(0), "z": np.uint8(zero), "b": np.uint8([[[[3, 3, 3, 3]]]]), "two": np.uint8(2)}
    read = {name for node in nodes for name in node.input}
    value = lambda name, kind, shape: helper.make_tensor_value_info(name, kind, shape)
    graph = helper.make_graph(
        nodes, "g", [value("a", TensorProto.UINT8, (1, 1, 1, 4))], [value("y", TensorProto.UINT8, None)],
        [numpy_helper.from_array(np.asarray(v), n) for n, v in constants.items() if n in read],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)], ir_version=9)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = level
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {"a": np.uint8([[[[2, 4, 6, 8]]]])})[0].flatten().tolist()


node = helper.make_node
add = [node("QLinearAdd", ["a", "h", "none", "b", "h", "none", "one", "z"], ["y"], domain="com.microsoft")]
pair = [
    node("DequantizeLinear", ["a", "h", "none"], ["p"]), node("DequantizeLinear", ["b", "h", "none"], ["q"]),
    node("Add", ["p", "q"], ["r"]), node("QuantizeLinear", ["r", "one", "z"], ["y"]),
]
print("onnxruntime", onnxruntime.__version__, " a = 2 4 6 8, b = 3, scales 0.5, result scale 1: 2.5 3.5 4.5 5.5")
found = {}
for zero in (0, 1):
    found[zero] = run(add, zero), run(pair, zero), run(pair, zero, onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL)
    print(f"zero point {zero}: QLinearAdd {found[zero][0]}, Dequantize, Add, Quantize {found[zero][1]}, optimised {found[zero][2]}")
even, odd, rounded_first = [2, 4, 4, 6], [4, 4, 6, 6], [3, 5, 5, 7]
raise SystemExit(found != {0: (even, even, even), 1: (odd, rounded_first, odd)})
PYTHON
