"""Blocks of standard cells as Yosys maps them, next to their estimates -> reports/mapped_blocks.csv and .md.

    python benchmarks/mapped_blocks.py LIBERTY_ROOT [--target NAME] [--case TEXT] [--report]
                              map, simulate and compare what is asked for; rows of the others stay as they are
    python benchmarks/mapped_blocks.py --render
                              write the page anew from the rows, without any tool

LIBERTY_ROOT has the Liberty files below it, by the names that `LIBRARIES` gives. An engine is described, printed as
Verilog for cells (weights as ROMs of gates, line buffers outside) and mapped with a Liberty file; then rows of the
interpreter are streamed through the mapped netlist (`mapped_stream.py`), 64 sequences side by side.

    estimate   area: units of its description and ROMs of its weights by the cost table
               energy: of one inference, as `abcost analyze` counts it, without leakage
    mapped     area of all cells; energy of their transitions, geometric mean of no and of unit delay
    error      estimate / mapped - 1
    flat       area where units are not kept apart, so that synthesis works across them
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import torch

from abcost.accelerator.design.designer import Designer
from abcost.accelerator.design.engine import EngineDesign, chain_lanes
from abcost.accelerator.energy import active_units, units_energy
from abcost.accelerator.engine import Engine, engines
from abcost.accelerator.engine_memory import memories, running_results
from abcost.accelerator.folding import Folding
from abcost.accelerator.silicon.die import ANYWHERE
from abcost.accelerator.silicon.energy import memory_energy
from abcost.accelerator.silicon.memories import Held
from abcost.accelerator.silicon.silicon import Silicon
from abcost.accelerator.spent import Spent
from abcost.accelerator.unit_costs import UnitCosts
from abcost.core.graph import OpGraph
from abcost.cost.table import CostTable
from abcost.emit.make import find_engine
from abcost.emit.project import written
from abcost.emit.rows import Rows, interpret, rows_of
from abcost.errors import AbcostError
from abcost.rtl.unit import Unit
from abcost.synth.flows import Flow, flow
from abcost.synth.netlist import netlist_of
from abcost.synth.runner import Job, Synthesizer, default_cache
from abcost.synth.standard_cells import StandardCells, read_standard_cells
from abcost.synth.tools import find_yosys
from mapped_network import measure_network
from mapped_report import Row, page
from mapped_stream import LANES, engine_energy
from routed import NUMBER, network

ROOT = Path(__file__).resolve().parents[1]
ROWS, REPORT = ROOT / "reports" / "mapped_blocks.csv", ROOT / "reports" / "mapped_blocks.md"
LIBRARIES = {
    "asic-sky130": "sky130hd_tt.lib.gz",
    "asic-sg13g2": "sg13g2_stdcell_typ_1p20V_25C.lib.gz",
}
CLOCK_MHZ = 100.0
IMAGES = 8  # whose windows the sequences take in turn
CYCLES = 384  # of one sequence, at least; an engine with a pool takes a whole image


@dataclass(frozen=True, slots=True)
class Case:
    """A layer of ReActNet-18 for digits (base width 16, blocks 2,2,2, stirred) at a folding.

    set: "seen" while estimates were mended, "unseen" before.
    """

    set: str
    layer: str
    pe: int
    simd: int
    what: str
    exponents: tuple[int, ...] = (-3, 0)

    @property
    def name(self) -> str:
        """Of the row."""
        return f"{self.layer} {self.pe}x{self.simd}"


CASES = (
    Case("seen", "conv1", 2, 9, "stem: 16-bit inputs, real weights"),
    Case("seen", "layer1.0.conv1", 4, 36, "binary, masks of padding, 16 words"),
    Case("seen", "layer1.1.conv1", 4, 16, "binary, 36 words; pool with its rows", (-2, 0)),
    Case("seen", "layer2.0.conv1", 8, 48, "binary, 12 words"),
    Case("seen", "layer2.0.downsample.1", 2, 8, "shortcut: signed sums, 32 words"),
    Case("seen", "layer1.0.conv1", 16, 144, "binary, all weights constant"),
    Case("unseen", "layer2.1.conv1", 2, 32, "binary, 144 words; pool with its rows"),
    Case("unseen", "layer3.0.conv1", 4, 32, "binary, 144 words", (-7, -5, -3, -1, 1)),
    Case("unseen", "layer3.0.downsample.1", 2, 32, "shortcut: signed sums of 32"),
    Case("seen", "layer1.0.conv1", 8, 144, "binary, two words"),
    Case("unseen", "fc", 2, 8, "classifier: 16-bit inputs, real weights"),
)

CELLS = flow("cells")
APART = replace(
    CELLS, name="cells-apart", steps=(*CELLS.steps, "setattr -mod -unset keep_hierarchy *", "flatten")
)
"""Units are mapped apart, as they are priced; the netlist is one module, which can be simulated."""
FLAT = replace(
    CELLS, name="cells-flat", steps=(CELLS.steps[0], "setattr -mod -unset keep_hierarchy *", *CELLS.steps[1:])
)


@dataclass(frozen=True, slots=True)
class Described:
    """An engine of a case, and what it is estimated with on a table."""

    graph: OpGraph
    engine: Engine
    folding: Folding
    designer: Designer
    design: EngineDesign

    def held(self, table: CostTable) -> list[Held]:
        """Weights, and what pools keep, in cells: macros are read from their Liberty file, not mapped."""
        silicon = Silicon(ANYWHERE, table, CLOCK_MHZ)
        silicon.macros = None
        lanes = chain_lanes(self.engine, self.folding)
        found = [m for m in memories(self.engine, self.folding, self.graph, NUMBER) if m.role == "weights"]
        for work in self.engine.chain:
            found += running_results(work.node, self.graph, lanes, NUMBER.width)
        return [silicon.held(memory) for memory in found]

    @property
    def cycles(self) -> int:
        """Of one inference."""
        return self.engine.cycles(self.folding.pe, self.folding.simd)


def described(case: Case) -> Described:
    """What a case says. Raises AbcostError for what has no Verilog."""
    graph = network("digits", case.exponents)
    engine, folding = find_engine(engines(graph, NUMBER.width), case.layer), Folding(case.pe, case.simd)
    designer = Designer(graph, NUMBER)
    design = designer.design(engine, folding)
    if design.unwritten:
        raise AbcostError(f"{case.name} has no Verilog: {'; '.join(design.unwritten)}")
    return Described(graph, engine, folding, designer, design)


def estimated(found: Described, table: CostTable) -> tuple[float, Spent]:
    """Square micrometres, and microjoule of one inference."""
    units, held = found.designer.units(found.engine, found.folding), found.held(table)
    areas = [UnitCosts(table).total(units)["area_um2"], *(one.cells_um2 for one in held)]
    if None in areas:
        raise AbcostError(f"the table {table.target} lacks areas of {found.engine.name}")
    active = active_units(found.designer, found.engine, found.folding)
    energy = units_energy(active, interval=found.cycles, table=table)
    energy = sum((memory_energy(one, found.cycles, table) for one in held), energy)
    if energy.missing:
        raise AbcostError(f"the table {table.target} lacks energies of {', '.join(sorted(energy.missing))}")
    return sum(area or 0.0 for area in areas), energy


def rows_for(found: Described) -> list[Rows]:
    """Rows of each sequence: windows of random images, chosen at random where not all are needed."""
    generator = torch.Generator().manual_seed(0)
    per_window = found.cycles // found.engine.positions
    windows = max(1, min(found.engine.positions, -(-CYCLES // per_window)))
    (shape,) = [node.shape for node in found.graph if not found.graph.inputs(node.name)][:1]
    values = [
        interpret(
            found.graph,
            [torch.randn(shape, generator=generator, dtype=torch.float64)],
            NUMBER.fraction_bits,
            NUMBER.width,
        )
        for _ in range(IMAGES)
    ]
    return [
        rows_of(found.graph, values[i % IMAGES], found.design, windows=windows, seed=i) for i in range(LANES)
    ]


def measure(case: Case, target: str, cells: StandardCells, synthesizer: Synthesizer) -> Row:
    """Map and simulate one engine."""
    found, table = described(case), CostTable.load(target)
    area, energy = estimated(found, table)
    unit = written(found.design, "rom", gates=True)
    answer = synthesizer.run(job(case.name, unit, APART))
    flat = synthesizer.run(job(case.name, unit, FLAT))
    assert answer.netlist is not None
    netlist = netlist_of(answer.netlist, unit.name, cells.library)
    spent, clock, cycles = engine_energy(unit, found.design, rows_for(found), netlist, cells.library)
    scale = found.cycles / cycles * 1e-6
    return Row(
        target=target, set=case.set, block=case.name, what=case.what, cycles=found.cycles,
        estimate_um2=round(area, 1), mapped_um2=round(answer.resources["area_um2"], 1),
        flat_um2=round(flat.resources["area_um2"], 1), flip_flops=answer.cells[cells.flip_flop],
        estimate_nj=round(energy.value * 1e3, 4), estimate_low_nj=round(energy.low * 1e3, 4),
        estimate_high_nj=round(energy.high * 1e3, 4), mapped_nj=round(spent.value * scale * 1e3, 4),
        mapped_low_nj=round(spent.low * scale * 1e3, 4), mapped_high_nj=round(spent.high * scale * 1e3, 4),
        clock_nj=round(clock * scale * 1e3, 4), tool=str(synthesizer.yosys), library=cells.provenance,
        date=time.strftime("%Y-%m-%d"),
    )  # fmt: skip


def job(name: str, unit: Unit, how: Flow) -> Job:
    """The synthesis of a module with all that it needs."""
    return Job(name, unit.name, unit.source, how, keep_netlist=how is APART)


def saved() -> list[Row]:
    """The rows as they were written."""
    if not ROWS.exists():
        return []
    kinds = {f.name: {"int": int, "float": float}.get(str(f.type), str) for f in fields(Row)}
    with ROWS.open(encoding="utf-8", newline="") as file:
        return [Row(**{k: kinds[k](v) for k, v in row.items()}) for row in csv.DictReader(file)]


def save(rows: Sequence[Row]) -> None:
    """Write them, in the order of cases."""
    order = [case.name for case in CASES]

    def place(row: Row) -> tuple[int, int]:
        listed = order.index(row.block) if row.block in order else len(order)
        return [*LIBRARIES].index(row.target), listed

    with ROWS.open("w", encoding="utf-8", newline="") as file:
        out = csv.DictWriter(file, [f.name for f in fields(Row)], lineterminator="\n")
        out.writeheader()
        out.writerows(asdict(row) for row in sorted(rows, key=place))


def measured(arguments: argparse.Namespace) -> Iterator[Row]:
    """What is asked for, one after another; a block that cannot be compared is said, and left out."""
    yosys = find_yosys()
    for target in [arguments.target] if arguments.target else LIBRARIES:
        files = sorted(arguments.liberty_root.rglob(LIBRARIES[target]))
        if not files:
            sys.exit(f"{arguments.liberty_root} has no {LIBRARIES[target]} below it")
        cells = read_standard_cells(files[:1])
        synthesizer = Synthesizer(yosys, arguments.cache or default_cache(), cells=cells)
        blocks = [case for case in CASES if (arguments.case or "") in case.name]
        for case in blocks:
            try:
                yield measure(case, target, cells, synthesizer)
            except AbcostError as error:
                print(f"{target} {case.name}: {error}", file=sys.stderr)
        if (arguments.case or "network") == "network":
            try:
                yield measure_network(target, cells, synthesizer, APART)
            except AbcostError as error:
                print(f"{target} network: {error}", file=sys.stderr)


def main() -> None:
    """Measure and write, or write anew."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("liberty_root", type=Path, nargs="?")
    parser.add_argument("--target", choices=list(LIBRARIES))
    parser.add_argument("--case", help="blocks whose name has this in it; network: the whole one alone")
    parser.add_argument("--cache", type=Path, help="folder that keeps finished syntheses")
    parser.add_argument("--report", action="store_true", help="write rows and page")
    parser.add_argument("--render", action="store_true", help="write the page from the rows that are there")
    given = parser.parse_args()
    if given.render:
        REPORT.write_text(page(saved()), encoding="utf-8")
        return
    if given.liberty_root is None:
        parser.error("give the folder of the Liberty files, or --render")
    for row in measured(given):
        print(row.text, flush=True)
        if given.report:
            save([*(r for r in saved() if (r.target, r.block) != (row.target, row.block)), row])
            REPORT.write_text(page(saved()), encoding="utf-8")


if __name__ == "__main__":
    main()
