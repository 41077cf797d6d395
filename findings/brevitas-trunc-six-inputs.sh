#!/usr/bin/env bash
# Brevitas 0.13.4 exports Trunc in version 2 of the QONNX operators: six inputs (x, scale, zero point, bits in, scale out, bits out),
# a rounding mode in lower case, and opset_import qonnx.custom_op.general 2. Version 1, which most files and papers show, has five:
# (x, scale, zero point, bits in, bits out), rounds and does not clamp.
# Usual wrong guess: input 4 is the number of bits that are left. It is a scale here, and a small one reads as 0 or 1 bits.
# Touches: whoever reads QONNX with average pools. Exits 1 if Brevitas writes otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet "brevitas==0.13.4" "torch==2.13.0" "onnx==1.23.2" "onnxoptimizer==0.4.2" numpy
cd "$folder"
"$folder/env/bin/python" -W ignore - <<'PYTHON'
import warnings

warnings.simplefilter("ignore")
import brevitas
import onnx
import torch
from brevitas.export import export_qonnx
from brevitas.nn import QuantReLU, TruncAvgPool2d
from brevitas.quant import TruncTo8bit, Uint8ActPerTensorFloat

model = torch.nn.Sequential(
    QuantReLU(act_quant=Uint8ActPerTensorFloat, bit_width=4, return_quant_tensor=True),
    TruncAvgPool2d(2, trunc_quant=TruncTo8bit, bit_width=4, float_to_int_impl_type="floor"),
)
x = torch.rand(1, 8, 8, 8) * 4
model(x)
export_qonnx(model.eval(), args=x, export_path="trunc.onnx", dynamo=False)
proto = onnx.load("trunc.onnx")
held = {t.name: onnx.numpy_helper.to_array(t).item() for t in proto.graph.initializer if len(t.dims) == 0}
held |= {n.output[0]: onnx.helper.get_attribute_value(n.attribute[0]) for n in proto.graph.node if n.op_type == "Constant"}
(trunc,) = [n for n in proto.graph.node if n.op_type == "Trunc"]
attributes = {a.name: onnx.helper.get_attribute_value(a) for a in trunc.attribute}
versions = {entry.domain: entry.version for entry in proto.opset_import}
print("brevitas", brevitas.__version__, "torch", torch.__version__)
print(len(trunc.input), "inputs:", [held.get(name, "x") for name in trunc.input])
print(attributes, versions)
raise SystemExit(len(trunc.input) != 6 or attributes["rounding_mode"] != b"floor" or versions.get(trunc.domain) != 2)
PYTHON
