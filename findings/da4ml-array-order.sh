#!/usr/bin/env bash
# da4ml 0.6.0: its solver reads a kernel's memory from beginning to end, whatever the strides of the NumPy array say.
# A matrix that lies column by column (a transposed view that was copied so, numpy.asfortranarray, many results of linear algebra) is
# multiplied with other constants than it holds, without a word: shape and type are right, and the graph of adders is consistent in itself.
# Output seen: the same 3 x 2 kernel, row by row [[3, 5], [7, -2], [9, 1]], column by column [[3, 7], [9, 5], [-2, 1]].
# Usual wrong guess: what takes a NumPy array takes it by its indices, or refuses another order.
# Touches: whoever makes adders of constant matrices: hand over numpy.ascontiguousarray, and multiply the answer out.
# Exits 1 if both orders give the same kernel.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet "da4ml==0.6.0" "numpy==2.4.6"
"$folder/env/bin/python" - <<'PYTHON'
import numpy as np
from da4ml.cmvm import solve

weights = np.array([[3, 5], [7, -2], [9, 1]], dtype=np.float32)
columns = np.asfortranarray(weights)
assert (weights == columns).all()
found = [np.asarray(solve(kernel).kernel).astype(int).tolist() for kernel in (weights, columns)]
print("row by row", found[0], "column by column", found[1])
raise SystemExit(found[0] == found[1] or found[0] != weights.astype(int).tolist())
PYTHON
