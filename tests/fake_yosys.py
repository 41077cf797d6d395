"""A stand-in for Yosys: answers -V, and leaves statistics of unit.v without synthesizing anything.

As a program (`install`) it appends the module of every job to the file `log` beside it. What it does with a job can
be said in the Verilog:

    // crash      an ERROR line among others, status 1           // silent    status 0, nothing written
    // strange    a cell that no flow knows                      // hang      sleeps for an hour

With FAKE_YOSYS_HOLD=N in the environment, all but the first N jobs hang: whoever waits for N answers can then do what
it likes, however fast the machine is.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from pathlib import Path

VERSION = "9.9"
_FOREVER_S = 3600


def top_of(verilog: str) -> str:
    return re.findall(r"^module (\w+)", verilog, re.MULTILINE)[-1].removesuffix("_placed")


def cells_of(verilog: str) -> dict[str, int]:
    """One LUT per bit of the ports of the last module, flip-flops for its outputs if it has a clock."""
    ports = re.split(r"^module ", verilog, flags=re.MULTILINE)[-1].split(");")[0]
    found = {"input": 0, "output": 0}
    for direction, high in re.findall(r"(input|output) (?:signed )?(?:\[(\d+):0\])?", ports):
        found[direction] += int(high or 0) + 1
    clocked = "input clk" in ports
    return {"SB_LUT4": sum(found.values()), **({"SB_DFF": found["output"]} if clocked else {})}


def statistics(verilog: str, cells: dict[str, int]) -> str:
    top = re.findall(r"^module (\w+)", verilog, re.MULTILINE)[-1]
    counts = {"num_cells_by_type": cells}
    return json.dumps({"modules": {f"\\{top}": counts}, "design": counts})


def synthesize(folder: Path) -> None:
    """What the program does in its work folder. Raises SystemExit with its status."""
    verilog = (folder / "unit.v").read_text()
    assert "stat -json" in (folder / "run.ys").read_text()
    if "// hang" in verilog:
        time.sleep(_FOREVER_S)
    if "// crash" in verilog:
        sys.stdout.write("1. Executing Verilog-2005 frontend: unit.v\n")
        sys.stderr.write(f"unit.v:1: ERROR: no way to read {top_of(verilog)}\n")
        sys.stderr.write("<suppressed ~3 debug messages>\n")
        raise SystemExit(1)
    if "// silent" in verilog:
        return
    cells = cells_of(verilog)
    if "// strange" in verilog:
        cells["SB_STRANGE"] = 1
    (folder / "stat.json").write_text(statistics(verilog, cells))


def main() -> None:
    if "-V" in sys.argv:
        sys.stdout.write(f"Yosys {VERSION} (git sha1 0, a compiler on a host)\n")
        return
    here = Path.cwd()
    line = top_of((here / "unit.v").read_text()) + "\n"
    path = Path(__file__).parent / "log"
    with path.open("a") as log:
        log.write(line)
        log.flush()
        before = path.read_bytes()[: log.tell() - len(line)].count(b"\n")
    if before >= int(os.environ.get("FAKE_YOSYS_HOLD", "1000000")):
        time.sleep(_FOREVER_S)
    synthesize(here)


def install(folder: Path) -> Path:
    """The program `yosys` in a folder of its own; returns it."""
    folder.mkdir()
    program = folder / "yosys"
    program.write_text(f"#!{sys.executable} -IS\n" + Path(__file__).read_text())
    program.chmod(0o755)
    return program


def started(program: Path) -> list[str]:
    """Modules in the order in which the program was started on them."""
    log = program.parent / "log"
    return log.read_text().splitlines() if log.exists() else []


if __name__ == "__main__":
    main()
