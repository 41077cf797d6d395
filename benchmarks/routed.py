"""Engines after placing and routing next to their estimates -> cost_models/points/routed.csv, reports/routed.md.

    python benchmarks/routed.py [cache folder]   place and route what the cache does not have, write both
    python benchmarks/routed.py --render         write the report anew from the points, without any tool

Every engine of `routed_cases.py` is described, printed as Verilog and put between registers (`abcost.rtl.registered`):
a shift register gives its inputs, one flip-flop takes each output bit. Those have a clear of their own, so that
synthesis merges none of them with the engine's; they take no LUT, and their flip-flops are subtracted. Yosys maps the
whole, nextpnr places it three times (seeds 1 to 3).

    estimate   sum over the units of the description of what the family's table says for one, memories of weights where
               `placing` puts them, and 1 / (the largest delay among the units)
    error      estimate / routed - 1; of the clock against the mean of three placements
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cache
from pathlib import Path

import torch
from routed_cases import CASES, ECP5, REQUIRED, UNSEEN, Case

from abcost.accelerator.design.designer import Designer
from abcost.accelerator.design.dot import Leaf
from abcost.accelerator.design.net import NumberFormat
from abcost.accelerator.devices import device
from abcost.accelerator.engine import Engine, engines
from abcost.accelerator.engine_memory import memories
from abcost.accelerator.folding import Folding
from abcost.accelerator.memory import Memory
from abcost.accelerator.placing import place
from abcost.accelerator.result import Prices, resources_of
from abcost.core.graph import OpGraph
from abcost.core.inputs import InputSpec
from abcost.cost.fused import apart
from abcost.cost.organisation import Unit
from abcost.cost.table import CostTable
from abcost.cost.timing import Delay
from abcost.emit.make import find_engine
from abcost.emit.project import written
from abcost.errors import CostError, ToolError
from abcost.models.factory import build
from abcost.models.stir import stir
from abcost.nn import QuantizedPReLU
from abcost.pipeline import stage_graphs
from abcost.rewrite import RewriteOptions
from abcost.rtl.registered import TOP, between_registers
from abcost.rtl.unit import Unit as Module
from abcost.synth.parts import part
from abcost.synth.route import Routed, RouteJob, Router, left_out_ns

ROOT = Path(__file__).resolve().parents[1]
POINTS, REPORT = ROOT / "cost_models" / "points" / "routed.csv", ROOT / "reports" / "routed.md"
NUMBER = NumberFormat(16, 8)
SEEDS = (1, 2, 3)
WORKERS = 3
DEVICES = {"ecp5": "LFE5U-85F", "ice40": "iCE40UP5K"}
SETS = (("seen", CASES), ("required", REQUIRED), ("unseen", UNSEEN))


@dataclass(frozen=True, slots=True)
class Point:
    """One placement of one engine. ffs and cells: without those of the registers around it.

    delay_ns: of the slowest path between registers, with what nextpnr leaves out of it (`left_out_ns`);
    begins, ends: its first and last cell. tools: and their versions.
    """

    set: str
    case: str
    part: str
    mapping: str
    seed: int
    luts: float
    cells: int
    ffs: float
    dsps: float
    blocks: float
    harness_ffs: int
    delay_ns: float
    logic_ns: float
    left_out_ns: float
    begins: str
    ends: str
    tools: str


@dataclass(frozen=True, slots=True)
class Estimate:
    """What the description of an engine says. slowest: the unit that limits the clock; untimed: units without a delay."""

    luts: float
    ffs: float
    dsps: float
    blocks: float
    delay_ns: float | None
    slowest: str
    untimed: tuple[str, ...]


@cache
def network(name: str, exponents: tuple[int, ...]) -> OpGraph:
    """A network after all rewrites, with random biases, gains and slopes out of these exponents."""
    torch.manual_seed(0)
    if name == "digits":
        shape, model = (1, 3, 8, 8), build("reactnet_18", stem="cifar", num_classes=10, base_width=16, blocks=(2, 2, 2))
    elif name == "r18":
        shape, model = (1, 3, 32, 32), build("reactnet_18", stem="cifar", num_classes=10)
    else:
        shape, model = (1, 3, 224, 224), build("reactnet_a")
    stir(model.eval())
    chosen, generator = torch.tensor(exponents, dtype=torch.float32), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, QuantizedPReLU):
                picks = torch.randint(len(exponents), module.L_alpha.shape, generator=generator)
                module.L_alpha.copy_(chosen[picks])
    return stage_graphs(model, (InputSpec(shape),), RewriteOptions()).stages[-1].graph


def described(case: Case) -> tuple[OpGraph, Engine, Folding, Designer]:
    """The engine of a case, its folding, and what describes it."""
    graph = network(case.network, case.exponents)
    designer = Designer(graph, NUMBER, Leaf(case.leaf_bits, case.leaf_inputs))
    return graph, find_engine(engines(graph, NUMBER.width), case.layer), Folding(case.pe, case.simd), designer


def verilog(case: Case) -> tuple[Module, str]:
    """The engine, and the module between registers around it."""
    _, engine, folding, designer = described(case)
    design = designer.design(engine, folding)
    assert not design.unwritten, design.unwritten
    held = stored(case)
    unit = written(design, held[0].place if held else "block")
    inputs = {port.name: port.bits for port in unit.inputs}
    outputs = {port.name: port.bits for port in unit.outputs}
    return unit, between_registers(unit.name, inputs, outputs, clock="clk", apart=True)


def harness_ffs(unit: Module) -> int:
    """Flip-flops of the registers around it: one for each bit that goes in or comes out."""
    return max(2, sum(p.bits for p in unit.inputs)) + sum(p.bits for p in unit.outputs)


def jobs_of(case: Case) -> list[RouteJob]:
    """Its placements, one for each seed."""
    unit, around = verilog(case)
    sources = [(f"{unit.name}.v", unit.source), ("registered.v", around), *unit.all_files.items()]
    return [RouteJob(f"{case.name} seed {s}", TOP, tuple(sources), s, case.mapping) for s in SEEDS]


def measure(chosen: Sequence[tuple[str, Case]], folder: Path | None, *, known: bool) -> list[Point]:
    """Place and route, in parallel, what the cache does not have: the first seed of all engines, then the next.

    known: nothing is routed; the points are those that the cache has.
    """
    routers = {name: Router.find(name, cache=folder) for name in dict.fromkeys(case.part for _, case in chosen)}
    every = [(group, case, job) for group, case in chosen for job in jobs_of(case)]
    if not known:
        for seed in SEEDS:
            for name, router in routers.items():
                jobs = [job for _, case, job in every if case.part == name and job.seed == seed]
                answers = router.run_all(jobs, workers=WORKERS, done=progress)
                for job in jobs:
                    if isinstance(answer := answers[router.key(job)], ToolError):
                        print(f"error: {job.name}: {answer}", file=sys.stderr)
    answers_of = [(group, case, job, routers[case.part].known(job)) for group, case, job in every]
    return [point(group, case, job, routed, routers[case.part]) for group, case, job, routed in answers_of if routed]


def progress(job: RouteJob) -> None:
    """Say that a placement is done."""
    print(f"  {job.name}", file=sys.stderr, flush=True)


def point(group: str, case: Case, job: RouteJob, routed: Routed, router: Router) -> Point:
    """A row of the points."""
    assert routed.delay_ns is not None
    around = harness_ffs(verilog(case)[0])
    left_out = left_out_ns(routed, part(case.part))
    return Point(
        set=group, case=case.name, part=case.part, mapping=case.mapping, seed=job.seed, luts=routed.luts,
        cells=routed.logic_cells, ffs=routed.ffs - around, dsps=routed.dsps, blocks=routed.blocks,
        harness_ffs=around, delay_ns=round(routed.delay_ns + left_out, 3), logic_ns=round(routed.logic_ns, 3),
        left_out_ns=round(left_out, 3), begins=routed.critical_path[0].cell, ends=routed.critical_path[-1].cell,
        tools="; ".join(routed.versions),
    )  # fmt: skip


def stored(case: Case) -> list[Memory]:
    """The memory of its weights, if it has one, where it goes on the part; line buffers stand outside the engine."""
    graph, engine, folding, designer = described(case)
    chosen = part(case.part)
    logic = Prices(CostTable.load(chosen.target)).total(designer.units(engine, folding))
    weights = [m for m in memories(engine, folding, graph, NUMBER.width) if m.role == "weights"]
    return place(weights, device(DEVICES[chosen.family]), logic["luts"] or 0.0, "on-chip")


def estimate(case: Case) -> Estimate:
    """What the description says of an engine, priced by the table of its family."""
    _, engine, folding, designer = described(case)
    chosen = part(case.part)
    table = CostTable.load(chosen.target)
    units = designer.units(engine, folding)
    logic = Prices(table).total(units)
    assert None not in logic.values(), Prices(table).missing(units)
    placed = stored(case)
    total = resources_of(logic, placed, device(DEVICES[chosen.family]))
    slowest, delay, untimed = clock(units, table, case.mapping)
    for memory in placed:
        if memory.place == "block" and table.timing is not None:
            read = block_read(table, case.mapping, memory)
            if read is not None and (delay is None or read.value > delay):
                slowest, delay = "block_read", read.value
    amounts = {name: total[name] or 0.0 for name in ("luts", "ffs", "dsps", "blocks")}
    return Estimate(**amounts, delay_ns=delay, slowest=slowest, untimed=tuple(sorted(untimed)))


def block_read(table: CostTable, mapping: str, memory: Memory) -> Delay | None:
    """Of the block of the memory that is read slowest: each holds a share of the word, at least 512 words deep."""
    assert table.timing is not None
    size = {"width": min(16, memory.width), "depth": min(4096, max(512, memory.depth))}
    return table.timing.at("block_read", mapping, size)


def clock(units: Iterable[Unit], table: CostTable, mapping: str) -> tuple[str, float | None, set[str]]:
    """The slowest unit and its delay in ns, and the units of which the table has none."""
    slowest, largest, untimed = "", None, set()
    for unit in units:
        parts = [unit] if table.delay(unit, mapping) is not None else apart(unit)
        for each in parts:
            try:
                found = table.delay(each, mapping)
            except CostError as error:
                untimed.add(f"{each.op} ({error})")
                continue
            if found is None:
                untimed.add(each.op)
            elif largest is None or found.value > largest:
                slowest, largest = f"{each.op} {each.size}", found.value
    return slowest, largest, untimed


def main() -> None:
    """Measure and write, or write anew."""
    arguments = sys.argv[1:]
    only = [a.removeprefix("--only=") for a in arguments if a.startswith("--only=")]
    folders = [a for a in arguments if not a.startswith("--")]
    chosen = [(group, case) for group, cases in SETS for case in cases]
    chosen = [(g, c) for g, c in chosen if not only or any(text in f"{g} {c.name}" for text in only)]
    points = measure(chosen, Path(folders[0]) if folders else None, known="--known" in arguments)
    show(points, dict((c.name, c) for _, c in chosen))


def show(points: Sequence[Point], cases: Mapping[str, Case]) -> None:
    by_case: dict[str, list[Point]] = {}
    for p in points:
        by_case.setdefault(p.case, []).append(p)
    for name, rows in by_case.items():
        e, r = estimate(cases[name]), rows[0]
        mean = sum(p.delay_ns for p in rows) / len(rows)
        error = lambda a, b: f"{a:.0f}/{b:.0f} {100 * (a / b - 1):+.1f}%" if b else f"{a:.0f}/{b:.0f}"
        print(name, "LUT", error(e.luts, r.luts), "FF", error(e.ffs, r.ffs), "DSP", error(e.dsps, r.dsps), "BRAM",
              error(e.blocks, r.blocks), "cells", r.cells, f"MHz {1000/e.delay_ns:.1f}/{1000/mean:.1f}" if e.delay_ns else "",
              f"{100*(mean/e.delay_ns-1):+.1f}%" if e.delay_ns else "", e.slowest, e.untimed,
              [(round(1000/p.delay_ns,1), p.logic_ns, p.begins, p.ends) for p in rows])  # fmt: skip


if __name__ == "__main__":
    main()
