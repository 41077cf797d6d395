"""Stand-ins for Yosys and nextpnr: a netlist without synthesis, a report without placement.

Both append a line to the file `log` beside them for every start. What they do with a top is said in its Verilog:

    // strange    a cell that no part knows          // refused    nextpnr ends with an ERROR line, status 255
    // silent     nextpnr ends well, without a report
"""

from __future__ import annotations

import sys
from pathlib import Path

YOSYS = """
import json, pathlib, sys
here = pathlib.Path.cwd()
with (pathlib.Path(__file__).parent / "log").open("a") as log:
    log.write("yosys\\n")
verilog = (here / "unit.v").read_text()
script = (here / "run.ys").read_text()
assert script.splitlines()[-1] == "write_json netlist.json" and "tee -q -o stat.json stat -json" in script
cells = {"LUT4": 3, "CCU2C": 2, "TRELLIS_FF": 5, "DP16KD": 1, "MULT18X18D": 1, "$scopeinfo": 1}
if "// strange" in verilog:
    cells["MYSTERY"] = 1
(here / "stat.json").write_text(json.dumps({"modules": {"\\\\top": {"num_cells_by_type": cells}}}))
(here / "netlist.json").write_text(json.dumps({"verilog": verilog}))
"""

NEXTPNR = """
import json, pathlib, sys
here = pathlib.Path.cwd()
if "--version" in sys.argv:
    sys.stderr.write('"nextpnr-ecp5" -- Next Generation Place and Route (Version 0.9-1+b1)\\n')
    raise SystemExit
with (pathlib.Path(__file__).parent / "log").open("a") as log:
    log.write("nextpnr " + " ".join(sys.argv[1:]) + "\\n")
netlist = (here / sys.argv[sys.argv.index("--json") + 1]).read_text()
if "// refused" in netlist:
    sys.stderr.write("Info: packing\\nERROR: no BELs remaining\\n0 warnings, 1 error\\n")
    raise SystemExit(255)
seed = int(sys.argv[sys.argv.index("--seed") + 1])
clock = lambda name, mhz: {"from": "posedge " + name, "to": "posedge " + name, "path": [
    {"type": kind, "delay": delay, "to": {"cell": cell}, **({"net": net} if net else {})}
    for kind, delay, cell, net in (
        ("clk-to-q", 0.5, "a", ""), ("routing", 1000 / mhz - 0.75, "b", "n"), ("logic", 0.25, "b", ""))]}
report = {"fmax": {"slow": {"achieved": 50.0 + seed}, "fast": {"achieved": 200.0}},
          "critical_paths": [clock("fast", 200), clock("slow", 50 + seed)],
          "utilization": {"TRELLIS_COMB": {"used": 9, "available": 100}}}
if "// silent" not in netlist:
    (here / "report.json").write_text(json.dumps(report))
"""


def install(folder: Path) -> tuple[Path, Path]:
    """The programs `yosys` and `nextpnr-ecp5` in a folder of their own; returns both."""
    folder.mkdir()
    programs = folder / "yosys", folder / "nextpnr-ecp5"
    for program, text in zip(programs, (YOSYS, NEXTPNR), strict=True):
        program.write_text(f"#!{sys.executable} -IS\n{text}")
        program.chmod(0o755)
    return programs


def started(folder: Path) -> list[str]:
    """The starts of both, in order."""
    log = folder / "log"
    return log.read_text().splitlines() if log.exists() else []
