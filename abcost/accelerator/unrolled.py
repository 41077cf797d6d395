"""Binary layers that are unrolled whole, priced as graphs of adders too: which of the two would be smaller.

An engine with all channels and all products of a position in one cycle has its weights as constants. It is built of
popcounts; the same sums are products of a matrix of +-1 with bits, whose adders outputs can share:

    2p - K = sum(a w)        a: -1 or 1, and 0 outside the map

Both are priced without registers, by the laws of one table, and the smaller is built. Where the table has no figure of
popcounts with constant weights, which is smaller is not known, and popcounts are built.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from abcost.accelerator.design.adders import SIGNS
from abcost.accelerator.design.designer import Designer
from abcost.accelerator.design.net import NumberFormat
from abcost.accelerator.energy import units_energy
from abcost.accelerator.engine import Engine, engines
from abcost.accelerator.folding import Folding, whole
from abcost.accelerator.result import Accelerator
from abcost.accelerator.solve import AcceleratorGoal, organise
from abcost.accelerator.spent import Spent
from abcost.accelerator.unit_costs import UnitCosts
from abcost.core.adders.of_node import ATTRIBUTE, constant_matrix
from abcost.core.adders.shared import refusal, shared
from abcost.core.adders.widths import adders_by_bits
from abcost.core.edit import Edit
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
        }


def organise_unrolled(
    graph: OpGraph, table: CostTable, *, width: int, fraction_bits: int, goal: AcceleratorGoal
) -> tuple[OpGraph, Accelerator, tuple[Unrolled, ...]]:
    """Organise as `organise`, with graphs of adders for binary layers that are unrolled whole where those are smaller.

    The graph that comes back says of which layers that is so. Raises as `organise`.
    """
    found = organise(graph, table, width=width, fraction_bits=fraction_bits, goal=goal)
    if found.kind != "pipelined":
        return graph, found, ()
    designer = Designer(graph, NumberFormat(width, fraction_bits))
    layers, edit = [], Edit(graph)
    for engine, layer in zip(engines(graph, width), found.layers, strict=True):
        if Folding(layer.pe, layer.simd) == whole(engine) and _of_signs(engine):
            layers.append(_priced(designer, engine, table))
            if layers[-1].smaller == "graph":
                edit.replace(engine.dot, attrs={**engine.dot.attrs, ATTRIBUTE: True})
    if all(layer.smaller != "graph" for layer in layers):
        return graph, found, tuple(layers)
    changed = edit.freeze()
    again = organise(changed, table, width=width, fraction_bits=fraction_bits, goal=goal)
    return changed, again, tuple(layers)


def _of_signs(engine: Engine) -> bool:
    weight = engine.dot.const("weight")
    alone = int(engine.dot.attrs.get("groups", 1)) == 1 and not engine.dot.attrs.get("transposed", False)
    return engine.arithmetic is DotArithmetic.XNOR and weight is not None and weight.binary and alone


def _priced(designer: Designer, engine: Engine, table: CostTable) -> Unrolled:
    weight = engine.dot.consts["weight"]
    built = [unit for unit in designer.dot_units(engine, whole(engine)) if unit.op != "register"]
    luts, energy = _price(built, engine, table)
    found = Unrolled(engine.name, engine.taps, engine.channels, luts, energy)
    matrix = constant_matrix(weight)
    reason = refusal(matrix[0]) if matrix else "its weights are no whole numbers"
    if reason or matrix is None:
        return replace(found, why=reason)
    graph = shared(*matrix)
    adders = [Unit("add", count, bits) for bits, count in adders_by_bits(graph, *SIGNS).items()]
    graph_luts, graph_energy = _price(adders, engine, table)
    constant = sorted(
        {unit.op for unit in built if unit.op.startswith("constant_") and not table.has(unit.op)}
    )
    why = f"the table has no figure of {', '.join(constant)}" if constant else ""
    return replace(found, adders=len(graph.adds), graph_luts=graph_luts, graph_energy=graph_energy, why=why)


def _price(units: list[Unit], engine: Engine, table: CostTable) -> tuple[float | None, Spent]:
    """LUTs, and the energy of an inference."""
    cycles = engine.positions
    active = [(unit, cycles) for unit in units]
    return UnitCosts.of_table(table).total(units)["luts"], units_energy(active, interval=cycles, table=table)
