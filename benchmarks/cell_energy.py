"""Energy of mapped units by abcost and by OpenSTA, from the same netlists under the same inputs: random bits.

abcost simulates random inputs, counts the transitions of every net without delays (low) and with one unit of delay per
cell, glitches included (high), and prices each with the net's capacitance and with internal power at the net's load,
averaged over states of the other inputs and over the slews of the table. OpenSTA is told that inputs change in every
other cycle and are 1 half of the time, propagates densities of transitions through the functions of the gates as if
all inputs of a gate were independent, computes slews from the netlist, and weighs states by their probability. Two
methods that share netlist and Liberty file and nothing else.

Debian's OpenSTA (2019) adds the energies of a rise and of a fall for every transition, so half of its internal power is
taken (findings/opensta-internal-power.sh). It takes activities of inputs alone, those of a design without a clock per
second. It knows no correlation: a register that holds its word, as in a register file, turns at random to it.

    python benchmarks/cell_energy.py LIBERTY_ROOT [--cache FOLDER] [--report reports/cell_energy.md]

LIBERTY_ROOT: a folder that has the Liberty files below it (docs/howto/own-target.md). Needs OpenSTA (`sta`).
"""

from __future__ import annotations

import argparse
import gzip
import math
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from abcost.calibrate.measure import job_of
from abcost.calibrate.point import Point
from abcost.calibrate.targets import target
from abcost.rtl.placed import placed
from abcost.rtl.units.rom import random_words
from abcost.synth.activity import energy_of
from abcost.synth.flows import flow
from abcost.synth.netlist import Instance, Netlist, netlist_of
from abcost.synth.runner import Synthesizer
from abcost.synth.standard_cells import read_standard_cells
from abcost.synth.tools import find_yosys
from fixed_work import machine

TARGETS = ("asic-sky130", "asic-sg13g2")
"""Of GT2N's files OpenSTA makes powers of 0."""
UNITS: Sequence[tuple[str, dict[str, object]]] = (
    ("add", {"width": 16}), ("mux", {"width": 16}), ("multiply", {"width": 8}), ("xnor_popcount", {"bits": 64}),
    ("xnor_popcount", {"bits": 144}), ("qprelu", {"width": 16, "exponents": (-3, -2, 0)}),
    ("accumulate", {"width": 16, "input_width": 13}), ("register", {"width": 16}),
    ("rom", {"width": 16, "contents": random_words(16, 64)}), ("register_file", {"width": 8, "depth": 16}),
)  # fmt: skip
PERIOD = 1e4  # in the library's unit of time: long enough for any of these


@dataclass(frozen=True, slots=True)
class Compared:
    """pJ per operation: ours without and with glitches, and OpenSTA's."""

    target: str
    unit: str
    low: float
    high: float
    opensta: float

    @property
    def ratio(self) -> float:
        """OpenSTA's by our geometric mean."""
        return self.opensta / math.sqrt(self.low * self.high)


def compared(name: str, files: Sequence[Path], synthesizer: Synthesizer, folder: Path) -> Iterator[Compared]:
    """Every unit on one library."""
    if synthesizer.cells is None:
        raise AssertionError("standard cells are given")
    library, seconds = synthesizer.cells.library, unpacked(files, folder)
    for op, parameters in UNITS:
        point = Point(op, {}, parameters, "fit")
        answer = synthesizer.run(job_of(point, flow("cells"), keep_netlist=True))
        unit = placed(point.unit)
        netlist = netlist_of(answer.netlist or {}, unit.name, library)
        energy = energy_of(unit, netlist, library)
        clock = f"n{netlist.inputs['clk'][0]}" if unit.clocked else ""
        yield Compared(
            name, point.unit.name, energy.low, energy.high, opensta(netlist, folder, seconds, clock)
        )


def unpacked(files: Sequence[Path], folder: Path) -> float:
    """Write the Liberty files as the tool reads them, 0.lib, 1.lib, …; their unit of time in seconds."""
    text = ""
    for number, file in enumerate(files):
        content = file.read_bytes()
        text = (gzip.decompress(content) if file.suffix == ".gz" else content).decode("latin-1")
        (folder / f"{number}.lib").write_text(text)
    unit = re.search(r'time_unit\s*:\s*"?\s*([\d.]+)\s*([pn])s', text)
    if unit is None:
        raise SystemExit(f"{files[-1]} has no time_unit in ns or ps")
    return float(unit[1]) * {"p": 1e-12, "n": 1e-9}[unit[2]]


def opensta(netlist: Netlist, folder: Path, seconds: float, clock: str) -> float:
    """PJ per cycle: internal and switching power at inputs of random bits."""
    (folder / "top.v").write_text(verilog(netlist))
    read = "\n".join(f"read_liberty {file}" for file in sorted(folder.glob("*.lib")))
    script = f"""{read}
read_verilog {folder}/top.v
link_design top
create_clock -name clk -period {PERIOD:g} {clock}
set_power_activity -input -activity {0.5 if clock else 0.5 / (PERIOD * seconds):.9g} -duty 0.5
report_power -digits 9
exit
"""
    (folder / "power.tcl").write_text(script)
    sta = shutil.which("sta")
    if sta is None:
        raise SystemExit("OpenSTA is not installed (Debian: opensta)")
    said = subprocess.run(  # noqa: S603 - a tool, on files that we wrote
        [sta, "-no_splash", "-exit", str(folder / "power.tcl")], capture_output=True, text=True, check=True
    ).stdout
    total = re.search(r"^Total\s+(\S+)\s+(\S+)\s+(\S+)\s+(\S+)", said, re.MULTILINE)
    if total is None:
        raise SystemExit(f"OpenSTA printed no power:\n{said[-2000:]}")
    internal, switching = float(total[1]), float(total[2])
    return (internal / 2 + switching) * (PERIOD * seconds) * 1e12


def instances(netlist: Netlist) -> list[Instance]:
    """Gates, then flip-flops."""
    return [*netlist.gates, *(instance for instance, _ in netlist.flip_flops)]


def verilog(netlist: Netlist) -> str:
    """The netlist as a module of one-bit ports, its cells called c0, c1 and so on."""
    inputs = [f"n{net}" for bits in netlist.inputs.values() for net in bits]
    driven = {net for bits in netlist.inputs.values() for net in bits} | {0, 1}
    outputs = dict.fromkeys(
        f"n{net}" for bits in netlist.outputs.values() for net in bits if net not in driven
    )

    def name(net: int) -> str:
        return f"1'b{net}" if net <= 1 else f"n{net}"

    cells = [
        f"{instance.cell.name} c{number} ({', '.join(f'.{pin}({name(net)})' for pin, net in instance.nets.items())});"
        for number, instance in enumerate(instances(netlist))
    ]
    ports = [f"input {', '.join(inputs)};", *([f"output {', '.join(outputs)};"] if outputs else [])]
    return "\n".join([f"module top ({', '.join([*inputs, *outputs])});", *ports, *cells, "endmodule", ""])


def files_of(name: str, root: Path) -> list[Path]:
    """The Liberty files of a target, below a folder."""
    found = []
    for wanted in target(name).library.split(", "):
        there = [*root.rglob(wanted), *root.rglob(f"{wanted}.gz")]
        if not there:
            return []
        found.append(there[0])
    return found


def rendered(rows: Sequence[Compared]) -> str:
    """The report."""
    head = (__doc__ or "").partition("    python benchmarks")[0].strip()
    lines = [
        "# Energy of cells, and OpenSTA's", "", "Written by `python benchmarks/cell_energy.py LIBERTY_ROOT --report`.",
        "", head, "", machine(), "",
        "| table | unit | ours, pJ: low | high | OpenSTA, pJ | by our geometric mean |", "|---|---|---|---|---|---|",
    ]  # fmt: skip
    for row in rows:
        figures = (row.low, row.high, row.opensta, row.ratio)
        lines.append(f"| {row.target} | {row.unit} | " + " | ".join(f"{x:.3g}" for x in figures) + " |")
    lines.append("")
    for name in dict.fromkeys(row.target for row in rows):
        ratios = [row.ratio for row in rows if row.target == name]
        mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
        lines.append(
            f"- {name}: {min(ratios):.2f} to {max(ratios):.2f} times ours, geometric mean {mean:.2f}."
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Print the report, or write it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("root", type=Path)
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "abcost" / "synth")
    parser.add_argument("--report", type=Path)
    arguments = parser.parse_args()
    rows: list[Compared] = []
    for name in TARGETS:
        files = files_of(name, arguments.root)
        if not files:
            print(f"{name}: its Liberty files are not below {arguments.root}")
            continue
        cells = read_standard_cells(files)
        synthesizer = Synthesizer(find_yosys(), arguments.cache, cells=cells)
        with tempfile.TemporaryDirectory() as folder:
            for row in compared(name, files, synthesizer, Path(folder)):
                rows.append(row)
                print(
                    row.target,
                    row.unit,
                    *(f"{x:.4g}" for x in (row.low, row.high, row.opensta, row.ratio)),
                    flush=True,
                )
    text = rendered(rows)
    if arguments.report:
        arguments.report.write_text(text, encoding="utf-8")
    else:
        print(text)


if __name__ == "__main__":
    main()
