"""Binary layers that are unrolled whole, priced as graphs of adders too: which of the two would be smaller.

An engine with all channels and all products of a position in one cycle has its weights as constants. It is built of
popcounts; the same sums are products of a matrix of +-1 with bits, whose adders outputs can share:

    sum(a w) = 2 sum(w b) - sum(w),  a = 2b - 1        b: 0 or 1, nothing outside the map
    sum(a w)                         directly          a: -1, 0 outside the map, 1

Both are priced without registers, by the laws of one table. Where that has no figure of popcounts with constant
weights, which is smaller is not known. What is built are the popcounts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from abcost.accelerator.design.designer import Designer
from abcost.accelerator.design.dot import padded
from abcost.accelerator.design.net import NumberFormat
from abcost.accelerator.energy import units_energy
from abcost.accelerator.engine import Engine, engines
from abcost.accelerator.folding import Folding, whole
from abcost.accelerator.result import Organised, Prices
from abcost.accelerator.spent import Spent
from abcost.core.adders.shared import refusal, shared
from abcost.core.adders.widths import adders_by_bits
from abcost.core.graph import OpGraph
from abcost.core.kinds import DotArithmetic
from abcost.cost.organisation import Unit
from abcost.cost.table import CostTable


@dataclass(frozen=True, slots=True)
class Unrolled:
    """One layer. luts: None where a figure is unknown; energy: of an inference in microjoule, of its working cycles.

    adders: of the graph, None where the solver does not take the matrix, which `why` says.
    """

    layer: str
    inputs: int
    outputs: int
    popcount_luts: float | None
    popcount_energy: Spent
    adders: int | None = None
    graph_luts: float | None = None
    graph_energy: Spent | None = None
    why: str = ""

    @property
    def smaller(self) -> str | None:
        """Graph or popcounts, by LUTs; None where that is not known."""
        if self.graph_luts is None or self.popcount_luts is None or self.why:
            return None
        return "graph" if self.graph_luts < self.popcount_luts else "popcounts"

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            "layer": self.layer,
            "inputs": self.inputs,
            "outputs": self.outputs,
            "adders": self.adders,
            "graph": {
                "luts": self.graph_luts,
                "energy_uj": self.graph_energy and self.graph_energy.to_dict(),
            },
            "popcounts": {"luts": self.popcount_luts, "energy_uj": self.popcount_energy.to_dict()},
            "smaller": self.smaller,
            "why": self.why,
            "built": "popcounts",
        }


def unrolled(
    graph: OpGraph, table: CostTable, organised: Organised, *, width: int, fraction_bits: int
) -> tuple[Unrolled, ...]:
    """The binary layers of a pipeline that are unrolled whole. Raises CostError beyond what the table reaches."""
    if organised.kind != "pipelined":
        return ()
    designer = Designer(graph, NumberFormat(width, fraction_bits))
    return tuple(
        _priced(designer, engine, table)
        for engine, layer in zip(engines(graph, width), organised.layers, strict=True)
        if Folding(layer.pe, layer.simd) == whole(engine) and _of_signs(engine)
    )


def _of_signs(engine: Engine) -> bool:
    weight = engine.dot.const("weight")
    alone = int(engine.dot.attrs.get("groups", 1)) == 1 and not engine.dot.attrs.get("transposed", False)
    return engine.arithmetic is DotArithmetic.XNOR and weight is not None and weight.binary and alone


def _priced(designer: Designer, engine: Engine, table: CostTable) -> Unrolled:
    weight = engine.dot.consts["weight"]
    matrix = np.where(weight.values.flatten(1).numpy() >= 0, 1, -1).astype(np.int64)
    built = [unit for unit in designer.dot_units(engine, whole(engine)) if unit.op != "register"]
    luts, energy = _price(built, engine, table)
    found = Unrolled(engine.name, engine.taps, engine.channels, luts, energy)
    reason = refusal(matrix)
    if reason:
        return replace(found, why=reason)
    graph = shared(matrix)
    low = -1 if padded(engine) else 0
    adders = [Unit("add", count, bits) for bits, count in adders_by_bits(graph, low, 1).items()]
    graph_luts, graph_energy = _price(adders, engine, table)
    constant = [unit.op for unit in built if "popcount" in unit.op]
    foreign = sorted({op for op in constant if not op.startswith("constant_") or not table.has(op)})
    why = f"the table has no figure of {', '.join(foreign)} with constant weights" if foreign else ""
    return replace(found, adders=len(graph.adds), graph_luts=graph_luts, graph_energy=graph_energy, why=why)


def _price(units: list[Unit], engine: Engine, table: CostTable) -> tuple[float | None, Spent]:
    """LUTs, and the energy of an inference."""
    cycles = engine.positions
    active = [(unit, cycles) for unit in units]
    return Prices.of_table(table).total(units)["luts"], units_energy(active, interval=cycles, table=table)
