"""Stand-ins for Yosys, nextpnr and ecppack: a netlist without synthesis, a report without placement.

The first two append a line to the file `log` beside them for every start. What they do with a top is said in its
Verilog:

    // strange    a cell that no part knows          // refused    nextpnr ends with an ERROR line, status 255
    // silent     nextpnr ends well, without a report

A module of the netlist has one LUT4 and nothing else; the whole Verilog is in the configuration and the bitstream.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

YOSYS = """
import json, pathlib, re, sys
here = pathlib.Path.cwd()
if "-V" in sys.argv:
    print("Yosys 0.9 (of nobody)")
    raise SystemExit
with (pathlib.Path(__file__).parent / "log").open("a") as log:
    log.write("yosys\\n")
verilog = "".join(file.read_text() for file in sorted(here.glob("*.v")))
script = (here / "run.ys").read_text()
assert script.splitlines()[-1] == "write_json netlist.json" and "tee -q -o stat.json stat -json" in script
cells = {"LUT4": 3, "CCU2C": 2, "TRELLIS_FF": 5, "DP16KD": 1, "MULT18X18D": 1, "$scopeinfo": 1}
if "// strange" in verilog:
    cells["MYSTERY"] = 1
(here / "stat.json").write_text(json.dumps({"modules": {"\\\\top": {"num_cells_by_type": cells}}}))
modules = {name: {"cells": {"one": {"type": "LUT4"}}} for name in re.findall(r"^module (\\w+)", verilog, re.M)}
(here / "netlist.json").write_text(json.dumps({"verilog": verilog, "modules": modules}))
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
if "--textcfg" in sys.argv and "// silent" not in netlist:
    pins = (here / sys.argv[sys.argv.index("--lpf") + 1]).read_text() if "--lpf" in sys.argv else ""
    placed = "seed %d, pins %r\\n" % (seed, pins) + json.loads(netlist)["verilog"]
    (here / sys.argv[sys.argv.index("--textcfg") + 1]).write_text(placed)
"""

ECPPACK = """
import pathlib, sys
if "--version" in sys.argv:
    print("Project Trellis ecppack Version 1.4-82-g3afe7b5")
    raise SystemExit
pathlib.Path(sys.argv[2]).write_text("bits of " + pathlib.Path(sys.argv[1]).read_text())
"""


def install(folder: Path) -> tuple[Path, Path]:
    """The programs `yosys` and `nextpnr-ecp5` in a folder of their own; returns both."""
    folder.mkdir()
    return _install(folder / "yosys", YOSYS), _install(folder / "nextpnr-ecp5", NEXTPNR)


def install_packer(folder: Path) -> Path:
    """The program `ecppack`, beside them."""
    return _install(folder / "ecppack", ECPPACK)


def only_native(monkeypatch, folder: Path) -> None:
    """What is in this folder alone is on PATH, and no package of PyPI is there for it."""
    find_spec = importlib.util.find_spec
    hidden = lambda name, *more: None if name.startswith("yowasp_") else find_spec(name, *more)  # noqa: E731
    monkeypatch.setattr(importlib.util, "find_spec", hidden)
    monkeypatch.setenv("PATH", str(folder))


def _install(program: Path, text: str) -> Path:
    program.write_text(f"#!{sys.executable} -IS\n{text}")
    program.chmod(0o755)
    return program


def started(folder: Path) -> list[str]:
    """The starts of both, in order."""
    log = folder / "log"
    return log.read_text().splitlines() if log.exists() else []
