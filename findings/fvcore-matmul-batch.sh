#!/usr/bin/env bash
# fvcore 0.1.5.post20221221 counts `weight @ x` of a constant (4, 3) and a batch x (2, 3, 5) as 60 multiply-accumulates.
# By hand it is 2 * 4 * 5 * 3 = 120: each of the two products of the batch has 4 x 5 sums of 3 terms. Its formula multiplies the
# sizes of the first operand by the last size of the second, so a batch that only the second operand has is left out.
# `x.mT @ weight.T`, the same products, is counted as 120. `baddbmm` and `dot` are counted as 0, with a warning.
# Usual wrong guess: a matmul is counted by the shape of its result, whichever side the weight is on.
# Touches: whoever holds his own counts against fvcore's. Exits 1 if fvcore answers otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet "fvcore==0.1.5.post20221221" "torch==2.13.0" numpy
"$folder/env/bin/python" -W ignore - <<'PYTHON'
import logging
from importlib.metadata import version

import torch
from fvcore.nn import FlopCountAnalysis

logging.disable(logging.WARNING)
w, x = torch.ones(4, 3), torch.ones(2, 3, 5)


def counted(function):
    class Model(torch.nn.Module):
        def forward(self, x):
            return function(x)

    return dict(FlopCountAnalysis(Model(), x).by_operator())


left, right = counted(lambda x: w @ x), counted(lambda x: x.mT @ w.T)
added, dots = counted(lambda x: torch.baddbmm(x @ x.mT, x, x.mT)), counted(lambda x: torch.dot(x[0, :, 0], w[0]))
print("fvcore", version("fvcore"), "torch", torch.__version__)
print("weight @ x:       ", left, "(by hand 120)")
print("x.mT @ weight.T:  ", right, "(by hand 120)")
print("x @ x.mT, baddbmm:", added, "(by hand 90 + 90)")
print("dot of 3:         ", dots, "(by hand 3)")
raise SystemExit((left, right, added, dots) != ({"matmul": 60}, {"matmul": 120}, {"matmul": 90}, {}))
PYTHON
