"""ReActNet-18 for images of 32 x 32 as a block of silicon, on every table of cells that prices one whole.

The same network, rate and clock everywhere, at each of the four stages: what removing the masks and quantising the
slopes is worth in silicon. Weights are those of an untrained network, whose slopes are all one power of two: a trained
network has multiplexers where this one has wiring.
"""

from __future__ import annotations

from dataclasses import dataclass

from abcost.accelerator.result import Accelerator
from abcost.accelerator.solve import AcceleratorGoal
from abcost.cost import TARGETS, CostTable
from abcost.cost.organisation import Lanes
from abcost.models.network import NetworkSpec
from abcost.models.subject import Request, resolve
from abcost.pipeline import analyze_subject
from abcost.rewrite import RewriteOptions

NETWORK = NetworkSpec("reactnet_18", preset="cifar10")
FPS, CLOCK_MHZ = 1000.0, 100.0


@dataclass(frozen=True, slots=True)
class SiliconBlock:
    """One stage on one table. None where a figure is unknown; energies in microjoule a frame, power in milliwatt."""

    target: str
    node: str
    stage: str
    area_mm2: float | None
    fmax_mhz: float | None
    fps: float
    energy_uj: float | None
    low_uj: float | None
    high_uj: float | None
    total_mw: float | None
    leakage_mw: float | None
    tops_per_w: float | None


def blocks() -> tuple[SiliconBlock, ...]:
    """Every stage on every table that has register files, without which no block is whole."""
    tables = [table for table in map(CostTable.load, TARGETS.names()) if _whole(table)]
    reports = analyze_subject(
        resolve(Request(NETWORK.model, preset=NETWORK.preset), late=True),
        tables,
        width=None,
        organisation=Lanes(),
        accelerator=AcceleratorGoal(fps=FPS, clock_mhz=CLOCK_MHZ),
        rewriting=RewriteOptions(),
    )
    return tuple(
        _block(report.table, stage.name, stage.organisation)
        for report in reports
        for stage in report.stages
        if stage.organisation is not None
    )


def _whole(table: CostTable) -> bool:
    return table.technology == "asic" and table.has("register_file")


def _block(table: CostTable, stage: str, found: Accelerator) -> SiliconBlock:
    area, energy = found.resources["area_um2"], found.energy
    power = {} if found.power is None else found.power.to_dict()
    known = energy if energy is not None and not energy.missing else None
    return SiliconBlock(
        target=table.target,
        node=table.node,
        stage=stage,
        area_mm2=None if area is None else area / 1e6,
        fmax_mhz=None if found.fmax is None else found.fmax.value,
        fps=found.fps,
        energy_uj=None if known is None else known.value,
        low_uj=None if known is None else known.low,
        high_uj=None if known is None else known.high,
        total_mw=power.get("total_mw"),
        leakage_mw=power.get("leakage_mw"),
        tops_per_w=power.get("tops_per_w"),
    )
