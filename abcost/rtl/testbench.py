"""Self-checking test bench of one unit: stimulus and expected outputs as hex files, one row per vector."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from abcost.rtl.unit import Port, Unit, Values, flag

_CHECK = flag("check")
SHOWN = 5
"""Mismatches that a test bench prints before it only counts them."""


@dataclass(frozen=True, slots=True)
class Bench:
    """Files of a test bench by name; `top` is the module to run."""

    top: str
    files: dict[str, str]


def bench(unit: Unit, inputs: Values, expected: Values | None = None, check: Tensor | None = None) -> Bench:
    """A test bench that feeds `inputs` row by row and compares with `expected` (default: the unit's model).

    check: 1 at the rows that are compared (default: all behind the unit's warm-up). It prints `PASS <rows> vectors` or
    `FAIL <wrong> of <rows> vectors`, and the first few mismatches.
    """
    wanted = unit.model(inputs) if expected is None else expected
    rows = len(next(iter(inputs.values())))
    checked = (torch.arange(rows) >= unit.warm_up).to(torch.int64) if check is None else check
    top = f"{unit.name}_tb"
    return Bench(
        top,
        {
            **unit.all_files,
            f"{unit.name}.v": unit.source,
            f"{top}.v": _verilog(unit, top, rows, int(checked.sum())),
            f"{unit.name}_stimulus.hex": _hex(unit.inputs, inputs),
            f"{unit.name}_expected.hex": _hex((_CHECK, *unit.outputs), {**wanted, _CHECK.name: checked}),
        },
    )


def _hex(ports: Sequence[Port], values: Values) -> str:
    """One line per row: the ports side by side, the first one in the lowest bits."""
    packed = [port.pack(values[port.name]) for port in ports]
    digits = (sum(port.bits for port in ports) + 3) // 4
    lines = []
    for row in zip(*packed, strict=True):
        word, place = 0, 0
        for port, value in zip(ports, row, strict=True):
            word |= value << place
            place += port.bits
        lines.append(f"{word:0{digits}x}")
    return "\n".join(lines) + "\n"


def _verilog(unit: Unit, top: str, rows: int, checked: int) -> str:
    ins, outs = sum(p.bits for p in unit.inputs), sum(p.bits for p in unit.outputs)
    clock = ["    reg clk = 0;"] if unit.clocked else []
    wires, connect, place = [], [".clk(clk)"] if unit.clocked else [], 0
    for port in unit.inputs:
        wires.append(f"    wire [{port.bits - 1}:0] {port.name} = row[{place + port.bits - 1}:{place}];")
        connect.append(f".{port.name}({port.name})")
        place += port.bits
    place = 0
    for port in unit.outputs:
        connect.append(f".{port.name}(found[{place + port.bits - 1}:{place}])")
        place += port.bits
    edge = "            clk = 1; #1;\n" if unit.clocked else ""
    fall = "            clk = 0; #1;\n" if unit.clocked else ""
    return f"""`timescale 1ns / 1ps
module {top};
    reg [{ins - 1}:0] stimulus [0:{rows - 1}];
    reg [{outs}:0] expected [0:{rows - 1}];
    reg [{ins - 1}:0] row;
    wire [{outs - 1}:0] found;
{chr(10).join([*clock, *wires])}
    integer i;
    integer wrong = 0; // set in the block below, Verilator 5.006 takes it for 0 to the end

    {unit.name} dut ({", ".join(connect)});

    initial begin
        $readmemh("{unit.name}_stimulus.hex", stimulus);
        $readmemh("{unit.name}_expected.hex", expected);
        for (i = 0; i < {rows}; i = i + 1) begin
            row = stimulus[i]; #1;
{edge}            if (expected[i][0] && found !== expected[i][{outs}:1]) begin
                wrong = wrong + 1;
                if (wrong <= {SHOWN})
                    $display("vector %0d: in %h, got %h, expected %h", i, row, found, expected[i][{outs}:1]);
            end
{fall}        end
        if (wrong == 0) $display("PASS {checked} vectors");
        else $display("FAIL %0d of {checked} vectors", wrong);
        $finish;
    end
endmodule
"""
