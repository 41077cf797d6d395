#!/usr/bin/env bash
# Resize of ONNX operator set 10 says nothing about which neighbour is nearest. onnxruntime 1.32.0 looks at i / scale and rounds
# down where an axis grows, up where it shrinks: five elements by 0.4 are the elements 0 and 3, not 0 and 2.
# In operator set 11 with asymmetric and floor it takes 0 and 2. (onnx 1.23.2's reference evaluator does not run Resize 10.)
# Usual wrong guess: Resize 10 is Resize 11 with coordinate_transformation_mode asymmetric and nearest_mode floor, both ways.
# Touches: whoever reads QONNX and other files of operator set 10. Exits 1 if onnxruntime answers otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet "onnxruntime==1.32.0" "onnx==1.23.2" numpy
"$folder/env/bin/python" -W ignore - <<'PYTHON'
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

X = np.arange(5, dtype=np.float32).reshape(1, 1, 1, 5)


def run(version, scale, **attributes):
    scales, roi = np.float32([1, 1, 1, scale]), np.float32([])
    names = ["x", "s"] if version == 10 else ["x", "r", "s"]
    held = {"s": scales} if version == 10 else {"r": roi, "s": scales}
    graph = helper.make_graph(
        [helper.make_node("Resize", names, ["y"], mode="nearest", **attributes)], "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, X.shape)], [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(v, n) for n, v in held.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", version)], ir_version=6)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": X})[0].astype(int).flatten().tolist()


floor = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
print("onnxruntime", onnxruntime.__version__, "onnx", onnx.__version__, " elements 0 1 2 3 4")
found = run(10, 0.4), run(11, 0.4, **floor), run(10, 1.5)
for text, answer in zip(("opset 10 by 0.4", "opset 11 by 0.4", "opset 10 by 1.5"), found):
    print(f"{text}:", answer)
raise SystemExit(found != ([0, 3], [0, 2], [0, 0, 1, 2, 2, 3, 4]))
PYTHON
