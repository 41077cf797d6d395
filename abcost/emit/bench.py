"""A test bench that streams rows through an engine.

It stalls at random, feeds residual operands as they are taken, and compares every result.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from abcost.accelerator.design.engine import EngineDesign, steps_of
from abcost.emit.rows import Rows
from abcost.emit.verilog import span
from abcost.rtl.testbench import SHOWN, Bench
from abcost.rtl.unit import Port, Unit


def stream_bench(unit: Unit, design: EngineDesign, rows: Rows, *, stalls: bool = True) -> Bench:
    """Files of the test bench; it prints `PASS <n> values` or `FAIL …` and the first values that differ."""
    ports = {port.name: port for port in (*unit.inputs, *unit.outputs)}
    data = {**rows.inputs, **rows.sides, **rows.expected}
    top = f"{unit.name}_tb"
    files = {
        **unit.all_files,
        f"{unit.name}.v": unit.source,
        f"{top}.v": _verilog(unit, design, rows, ports, top, stalls=stalls),
        **{f"{unit.name}_{name}.hex": _hex(ports[name], values) for name, values in data.items()},
    }
    return Bench(top, files)


def _hex(port: Port, values: Tensor) -> str:
    digits = (port.bits + 3) // 4
    return "".join(f"{word:0{digits}x}\n" for word in port.pack(values))


def _verilog(
    unit: Unit, design: EngineDesign, rows: Rows, ports: Mapping[str, Port], top: str, *, stalls: bool
) -> str:
    steps = steps_of(design.engine, design.folding)
    folds = design.engine.channels // design.folding.pe
    positions = len(rows.inputs["a"]) // steps
    data = {**rows.inputs, **rows.sides, **rows.expected}
    memories = [
        f"    reg {span(ports[name].bits)}{name}_rows [0:{len(values) - 1}];" for name, values in data.items()
    ]
    reads = [f'        $readmemh("{unit.name}_{name}.hex", {name}_rows);' for name in data]
    drives = [f"    reg {span(ports[name].bits)}{name};" for name in (*rows.inputs, *rows.sides)]
    wires = [f"    wire {name}_take;" for name in rows.sides]
    for name in rows.expected:
        wires += [f"    wire {span(ports[name].bits)}{name};", f"    wire {name}_valid;"]
    connected = ", ".join(f".{name}({name})" for name in ("clk", *ports))
    counts = [f"    integer {name}_at = 0;" for name in (*rows.sides, *rows.expected)]
    feed = [f"            {name} = active ? {name}_rows[at] : ~{name}_rows[at];" for name in rows.inputs]
    sides = [
        f"            {name} = {name}_rows[{name}_at < {len(v)} ? {name}_at : 0];"
        for name, v in rows.sides.items()
    ]
    took = [f"            if ({name}_take) {name}_at = {name}_at + 1;" for name in rows.sides]
    total = sum(len(v) for v in rows.expected.values())
    checks = [line for name, values in rows.expected.items() for line in _check(name, len(values))]
    stall = "random[0] | random[3]" if stalls else "1'b1"
    idle = design.stages + design.folding.pe // design.lanes + 8
    return "\n".join([
        "`timescale 1ns / 1ps",
        f"module {top};",
        "    reg clk = 0;", "    reg reset = 1;", "    reg valid = 0;", "    reg active = 0;",
        "    reg [15:0] random = 16'hace1;",
        *memories, *drives, *wires, *counts,
        "    integer position, fold, step, at;", "    integer wrong = 0;", "    integer quiet = 0;",
        f"    {unit.name} dut ({connected});",
        "    initial begin", *reads,
        "        position = 0; fold = 0; step = 0; at = 0;",
        f"        while (quiet < {idle}) begin",
        f"            active = !reset && position < {positions} && ({stall});",
        "            valid = active;",
        f"            at = position < {positions} ? position * {steps} + step : 0;",
        *feed, *sides, "            #1;", *checks, *took,
        f"            if (position >= {positions}) quiet = quiet + 1;",
        "            if (active) begin",
        f"                if (step < {steps - 1}) step = step + 1;",
        f"                else begin step = 0; if (fold < {folds - 1}) fold = fold + 1;",
        "                    else begin fold = 0; position = position + 1; end end",
        "            end",
        "            random = {random[14:0], random[15] ^ random[13] ^ random[12] ^ random[10]};",
        "            clk = 1; #1; reset = 0; clk = 0; #1;",
        "        end",
        *[f"        if ({name}_at != {len(values)}) begin wrong = wrong + 1;"
          f' $display("{name}: %0d of {len(values)} values", {name}_at); end'
          for name, values in {**rows.sides, **rows.expected}.items()],
        f'        if (wrong == 0) $display("PASS {total} values");',
        f'        else $display("FAIL %0d of {total} values", wrong);',
        "        $finish;", "    end", "endmodule", "",
    ])  # fmt: skip


def _check(name: str, number: int) -> Sequence[str]:
    return [
        f"            if ({name}_valid) begin",
        f"                if ({name}_at >= {number} || {name} !== {name}_rows[{name}_at]) begin",
        "                    wrong = wrong + 1;",
        f"                    if (wrong <= {SHOWN}) "
        f'$display("{name} %0d: got %h, expected %h", {name}_at, {name}, {name}_rows[{name}_at]);',
        "                end",
        f"                {name}_at = {name}_at + 1;",
        "            end",
    ]
