"""Engines after placing and routing next to their estimates -> cost_models/points/routed.csv, reports/routed.md.

    python benchmarks/routed.py [SET…] [FOLDER]   place and route what the cache in FOLDER lacks of these sets (seen,
                                                  required, unseen; none named: all), write points and report;
                                                  what has points of the same Verilog and tools is not routed again
    python benchmarks/routed.py --known           the same of what the cache has, without routing more
    python benchmarks/routed.py --render          write the report anew from the points, without any tool

Every engine of `routed_cases.py` is described, printed as Verilog and put between registers
(`abcost.rtl.registered`): a shift register gives its inputs, one flip-flop takes each output bit. Those have a clear
of their own, so that synthesis merges none of them with the engine's; they take no LUT, and their flip-flops are
subtracted. Yosys maps the whole, nextpnr places it (SEEDS says with which seeds).

    estimate   sum over the units of the description of what the family's table says for one, memories where
               `placing` puts them, and 1 / (the largest delay among the units)
    error      estimate / routed - 1; of the clock against the mean of its placements
"""

from __future__ import annotations

import csv
import hashlib
import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch

from abcost.accelerator.cells import lone_ffs
from abcost.accelerator.clock import Delays
from abcost.accelerator.design.designer import Designer
from abcost.accelerator.design.dot import Leaf
from abcost.accelerator.design.engine import chain_lanes
from abcost.accelerator.design.net import NumberFormat
from abcost.accelerator.devices import device
from abcost.accelerator.engine import Engine, engines
from abcost.accelerator.engine_memory import memories, running_results
from abcost.accelerator.folding import Folding
from abcost.accelerator.memory import Memory
from abcost.accelerator.placing import place
from abcost.accelerator.result import resources_of
from abcost.accelerator.unit_costs import UnitCosts
from abcost.core.graph import OpGraph
from abcost.core.inputs import InputSpec
from abcost.cost.bundled import bundled_targets as targets
from abcost.cost.organisation import Unit
from abcost.cost.table import CostTable
from abcost.emit.make import find_engine
from abcost.emit.project import written
from abcost.errors import ToolError
from abcost.models.factory import build
from abcost.models.randomise import randomise_parameters
from abcost.nn import QuantizedPReLU
from abcost.pipeline import stage_graphs
from abcost.rewrite import RewriteOptions
from abcost.rtl.registered import TOP, between_registers
from abcost.rtl.unit import Unit as Module
from abcost.synth.parts import part
from abcost.synth.route import Routed, RouteJob, Router, left_out_ns
from routed_cases import CASES, EARLIER, ICE40, REQUIRED, UNSEEN, Case
from routed_report import Estimate, Point, Row, report

ROOT = Path(__file__).resolve().parents[1]
POINTS, REPORT = ROOT / "cost_models" / "points" / "routed.csv", ROOT / "reports" / "routed.md"
NUMBER = NumberFormat(16, 8)
SEEDS = {"seen": (1,), "required": (1, 2, 3), "unseen": (1, 2, 3)}
"""Placements of each engine, by set."""
WORKERS = 2
DEVICES = {"ecp5": "LFE5U-85F", "ice40": "iCE40UP5K"}
SETS = (("seen", (*CASES, *EARLIER)), ("required", REQUIRED), ("unseen", UNSEEN))


@cache
def network(name: str, exponents: tuple[int, ...]) -> OpGraph:
    """A network after all rewrites, with random biases, gains and slopes out of these exponents."""
    torch.manual_seed(0)
    if name == "digits":
        shape, model = (
            (1, 3, 8, 8),
            build("reactnet_18", stem="cifar", num_classes=10, base_width=16, blocks=(2, 2, 2)),
        )
    elif name == "r18":
        shape, model = (1, 3, 32, 32), build("reactnet_18", stem="cifar", num_classes=10)
    else:
        shape, model = (1, 3, 224, 224), build("reactnet_a")
    randomise_parameters(model.eval())
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
    held = [memory.place for memory in stored(case) if memory.role == "weights"]
    unit = written(design, held[0] if held else "block")
    inputs = {port.name: port.bits for port in unit.inputs}
    outputs = {port.name: port.bits for port in unit.outputs}
    return unit, between_registers(unit.name, inputs, outputs, clock="clk", clear="both")


def harness_ffs(unit: Module) -> int:
    """Flip-flops of the registers around it: one for each bit that goes in or comes out."""
    return max(2, sum(p.bits for p in unit.inputs)) + sum(p.bits for p in unit.outputs)


def jobs_of(case: Case, seeds: Sequence[int]) -> list[RouteJob]:
    """Its placements, one for each seed."""
    unit, around = verilog(case)
    sources = [(f"{unit.name}.v", unit.source), ("registered.v", around), *unit.all_files.items()]
    return [RouteJob(f"{case.name} seed {s}", TOP, tuple(sources), s, case.mapping) for s in seeds]


def digest(job: RouteJob) -> str:
    """Of the Verilog."""
    return hashlib.sha256(json.dumps(job.sources).encode()).hexdigest()[:16]


def measure(chosen: Sequence[tuple[str, Case]], folder: Path | None, *, known: bool) -> list[Point]:
    """The points that there are of the same Verilog and tools; in parallel placed and routed, what the cache lacks too.

    known: nothing is routed; the points are those that there are, or that the cache has.
    """
    routers = {
        name: Router.find(name, cache=folder) for name in dict.fromkeys(case.part for _, case in chosen)
    }
    there = {(p.case, p.seed, p.sources, p.tools): p for p in saved()}
    asked = [(group, case, job) for group, case in chosen for job in jobs_of(case, SEEDS[group])]
    keys = [(c.name, job.seed, digest(job), "; ".join(routers[c.part].versions)) for _, c, job in asked]
    points = [
        replace(there[key], set=group) for (group, _, _), key in zip(asked, keys, strict=True) if key in there
    ]
    every = [item for item, key in zip(asked, keys, strict=True) if key not in there]
    if not known:
        for seed in sorted(set().union(*SEEDS.values())):
            for name, router in routers.items():
                jobs = [job for _, case, job in every if case.part == name and job.seed == seed]
                answers = router.run_all(jobs, workers=WORKERS, done=progress)
                for job in jobs:
                    if isinstance(answer := answers[router.key(job)], ToolError):
                        print(f"error: {job.name}: {answer}", file=sys.stderr)
    answers_of = [(group, case, job, routers[case.part].known(job)) for group, case, job in every]
    points += [
        point(group, case, job, routed, routers[case.part])
        for group, case, job, routed in answers_of
        if routed
    ]
    return points


def progress(job: RouteJob) -> None:
    """Say that a placement is done."""
    print(f"  {job.name}", file=sys.stderr, flush=True)


def point(group: str, case: Case, job: RouteJob, routed: Routed, router: Router) -> Point:
    """A row of the points."""
    assert routed.delay_ns is not None
    around = harness_ffs(verilog(case)[0])
    netlist = router.netlist(job)
    assert netlist is not None
    cells = around - sharing(netlist) if case.part == ICE40 else 0
    left_out = left_out_ns(routed)
    return Point(
        set=group, case=case.name, part=case.part, mapping=case.mapping, seed=job.seed, luts=routed.luts,
        cells=routed.logic_cells - cells, ffs=routed.ffs - around, dsps=routed.dsps, blocks=routed.blocks,
        harness_ffs=around, delay_ns=round(routed.delay_ns + left_out, 3), logic_ns=round(routed.logic_ns, 3),
        left_out_ns=round(left_out, 3), begins=routed.critical_path[0].cell,
        ends=routed.critical_path[-1].cell,
        sources=digest(job), tools="; ".join(routed.versions),
    )  # fmt: skip


def stored(case: Case) -> list[Memory]:
    """Its memories where they go on the part: weights, and what pools keep; line buffers stand outside."""
    graph, engine, folding, designer = described(case)
    chosen = part(case.part)
    logic = UnitCosts(CostTable.load(table_of(case))).total(designer.units(engine, folding))
    weights = [m for m in memories(engine, folding, graph, NUMBER) if m.role == "weights"]
    lanes = chain_lanes(engine, folding)
    pools = [m for work in engine.chain for m in running_results(work.node, graph, lanes, NUMBER.width)]
    return place([*weights, *pools], device(DEVICES[chosen.family]), logic["luts"] or 0.0, "on-chip")


def sharing(netlist: Mapping[str, Any]) -> int:
    """How many registers behind outputs share a logic cell with a LUT that feeds nothing else."""
    module = netlist["modules"][TOP]
    behind = set(module["netnames"]["out"]["bits"])
    cells = list(module["cells"].values())
    ends = Counter(
        bit
        for cell in cells
        for port, bits in cell["connections"].items()
        if cell["port_directions"][port] == "input"
        for bit in bits
    )
    made = {bit for cell in cells if cell["type"] == "SB_LUT4" for bit in cell["connections"]["O"]}
    registers = [cell["connections"] for cell in cells if cell["type"].startswith("SB_DFF")]
    return sum(r["Q"][0] in behind and r["D"][0] in made and ends[r["D"][0]] == 1 for r in registers)


def table_of(case: Case) -> str:
    """The table of its family and mapping; that of the family where the other mapping has none."""
    target = part(case.part).target
    own = f"{target}-delay" if case.mapping == "delay" else target
    return own if own in targets() else target


def estimate(case: Case) -> Estimate:
    """What the description says of an engine, priced by the table of its family, timed under its mapping."""
    _, engine, folding, designer = described(case)
    chosen = part(case.part)
    table = CostTable.load(table_of(case))
    units = designer.units(engine, folding)
    logic = UnitCosts(table).total(units)
    assert None not in logic.values(), UnitCosts(table).missing(units)
    placed, found = stored(case), device(DEVICES[chosen.family])
    total = resources_of(logic, placed, found)
    amounts = {name: total[name] or 0.0 for name in ("luts", "ffs", "dsps", "blocks")}
    cells = found.family.cells
    counted = amounts["luts"]
    if cells is not None:
        counted = cells.likely(amounts["luts"], amounts["ffs"], lone_ffs(units))
    delay, slowest, untimed = clock(units, placed, replace(table, mapping=case.mapping))
    return Estimate(**amounts, cells=counted, delay_ns=delay, slowest=slowest, untimed=untimed)


def clock(
    units: Sequence[Unit], placed: Sequence[Memory], table: CostTable
) -> tuple[float | None, str, tuple[str, ...]]:
    """The largest delay in ns, the unit that has it, and what has no delay in the table."""
    if table.timing is None:
        return None, "", ()
    delays = Delays(table)
    found = delays.slowest("", units)
    paths = [(found.delay, found.unit)]
    paths += [(delays.read(m), "read of a block") for m in placed if m.place == "block"]
    known = [(delay.value, name) for delay, name in paths if delay is not None]
    longest, slowest = max(known, default=(None, ""))
    return longest, slowest, tuple(sorted(found.missing))


def save(points: Sequence[Point]) -> None:
    """Write the points: one row per placement."""
    with POINTS.open("w", encoding="utf-8", newline="") as file:
        rows = csv.DictWriter(file, [f.name for f in fields(Point)], lineterminator="\n")
        rows.writeheader()
        rows.writerows(asdict(p) for p in points)


def saved() -> list[Point]:
    """The points as they were written."""
    with POINTS.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    kinds = {f.name: {"int": int, "float": float}.get(str(f.type), str) for f in fields(Point)}
    return [Point(**{name: kinds[name](value) for name, value in row.items()}) for row in rows]


def main() -> None:
    """Measure and write, or write anew."""
    arguments = sys.argv[1:]
    sets = [a for a in arguments if a in dict(SETS)]
    folders = [Path(a) for a in arguments if not a.startswith("--") and a not in sets]
    listed = [(group, case) for group, cases in SETS for case in cases]
    chosen = [(group, case) for group, case in listed if not sets or group in sets]
    if "--render" in arguments:
        points = saved()
    else:
        others = [p for p in saved() if p.case not in {case.name for _, case in chosen}]
        found = measure(chosen, folders[0] if folders else None, known="--known" in arguments)
        order = [case.name for _, case in listed]
        points = sorted([*others, *found], key=lambda p: (order.index(p.case), p.seed))
        save(points)
    cases = {case.name: case for _, case in listed}
    rows = [
        Row(cases[name], group, tuple(mine), estimate(cases[name]))
        for group, name in dict.fromkeys((p.set, p.case) for p in points)
        if (mine := [p for p in points if p.case == name])
    ]
    REPORT.write_text(report(rows, len(listed)), encoding="utf-8")


if __name__ == "__main__":
    main()
