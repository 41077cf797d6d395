"""The rows behind the tables: one per stage, node and counted operation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from abcost.cost.price import PricedNode, unit_cost
from abcost.cost.table import CostTable
from abcost.report.report import Report, block_of

MEMORY = "memory"  # kind and class of the rows that carry the energy of memory traffic
_POPCOUNT = "popcount"  # the row that carries the cost of an XNOR-popcount unit
_ROW_OF_UNIT = {"xnor_popcount": _POPCOUNT, "prelu": "multiply", "qprelu": "mux", "shift_select": None}
RESOURCES = ("luts", "ffs", "dsps", "area_um2")
COLUMNS = (
    "stage", "layer", "block", "node", "kind", "class", "origin", "width_bits", "count", "energy_pj", *RESOURCES,
)  # fmt: skip
Row = dict[str, Any]


def rows_of(report: Report) -> list[Row]:
    """Column -> value, for the columns of COLUMNS.

    energy_pj is of the operations alone (no memory); resources stand in the row of the operation whose unit
    it is. A cost that the target has no table for is None.
    """
    rows = []
    for stage in report.stages:
        origins = {(row.node.name, row.count): row.origin for row in stage.tally.rows}
        for priced in stage.nodes:
            resources = _resources(priced, report.table)
            for counted in priced.counts:
                count = counted.count
                origin = origins[priced.node.name, count]
                rows.append(
                    {
                        "stage": stage.name,
                        "layer": priced.node.layer,
                        "block": block_of(priced.node.layer),
                        "node": priced.node.name,
                        "kind": count.primitive.value,
                        "class": count.primitive.op_class.value,
                        "origin": origin.value if origin else "",
                        "width_bits": count.width,
                        "count": count.count,
                        "energy_pj": counted.energy_pj,
                        **resources.pop(count.primitive.value, dict.fromkeys(RESOURCES, 0.0)),
                    }
                )
    return rows


def memory_rows(report: Report) -> list[Row]:
    """A row per stage with the energy of memory traffic, in the columns of `rows_of`; none without a memory table.

    It is no operation and builds nothing: its count is 0, and so are the resources that the stage knows. With these
    rows the energies of a stage sum to its total.
    """
    if report.table.memory is None:
        return []
    names = {
        "layer": "",
        "block": "",
        "node": "",
        "kind": MEMORY,
        "class": MEMORY,
        "origin": "",
        "width_bits": "",
    }
    return [
        {
            "stage": stage.name, **names, "count": 0, "energy_pj": stage.memory_energy_pj,
            **{name: None if getattr(stage.cost, name) is None else 0.0 for name in RESOURCES},
        }
        for stage in report.stages
    ]  # fmt: skip


def sums(rows: Iterable[Row], keys: Sequence[str], column: str) -> dict[tuple[str, ...], float]:
    """Values of `keys` -> sum of `column` over the rows that have them, in order of their first row.

    NaN where any part is unknown, for part of a cost is no cost.
    """
    parts: dict[tuple[str, ...], list[float | None]] = {}
    for row in rows:
        parts.setdefault(tuple(row[key] for key in keys), []).append(row[column])
    return {key: _sum(values) for key, values in parts.items()}


def _sum(values: Iterable[float | None]) -> float:
    """The sum; NaN where any part is unknown."""
    return float(np.sum([float("nan") if value is None else value for value in values]))


def distinct(rows: Iterable[Row], column: str) -> list[str]:
    """The values of a column, each once, in order of their first row."""
    return [*dict.fromkeys(row[column] for row in rows)]


def _resources(priced: PricedNode, table: CostTable) -> dict[str, dict[str, float | None]]:
    """Resources of a node's units by the operation whose row shows them."""
    kinds = [counted.count.primitive.value for counted in priced.counts]
    found: dict[str, dict[str, float | None]] = {}
    for unit in priced.units:
        row = _ROW_OF_UNIT.get(unit.op) or (unit.op if unit.op in kinds else kinds[0])
        cost = unit_cost(unit, table).scaled(unit.count).to_dict()
        have = found.setdefault(row, dict.fromkeys(RESOURCES, 0.0))
        for name in RESOURCES:
            a, b = have[name], cost[name]
            have[name] = None if a is None or b is None else a + b
    return found
