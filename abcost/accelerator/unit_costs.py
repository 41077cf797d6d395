"""What single units of a cost table take, remembered."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from abcost.core.cost import Cost
from abcost.cost.fused import apart, of_gates
from abcost.cost.organisation import Unit
from abcost.cost.price import total, unit_cost
from abcost.cost.table import CostTable
from abcost.errors import CostError

LOGIC = ("luts", "ffs", "dsps")
LOGIC_OF = {"fpga": LOGIC, "asic": ("area_um2",)}
"""What units take, by the technology of a table."""


class UnitCosts:
    """What one unit of a table takes, remembered: organisations are made of few different units, many times."""

    def __init__(self, table: CostTable) -> None:
        self.table = table
        self.names = LOGIC_OF[table.technology]
        self._known: dict[Unit, Cost] = {}

    @staticmethod
    def of_table(table: CostTable) -> UnitCosts:
        """Unit costs of a table, the same object for all who ask."""
        found: UnitCosts = table.remembered.setdefault(("prices of units",), UnitCosts(table))
        return found

    def of(self, unit: Unit) -> Cost:
        """Cost of one unit of this kind. Raises CostError outside the valid range of the table."""
        found = self._known.get(unit)
        if found is None:
            one = replace(unit, count=1)
            found = self.of(one) if unit != one else self._of_one(one)
            self._known[unit] = found
        return found

    def _of_one(self, unit: Unit) -> Cost:
        """A unit that the table prices; otherwise, or beyond what was measured of a fused one, its parts."""
        gates = of_gates(unit, self.table)
        if gates != (unit,):
            return self._of_all(gates)
        parts = apart(unit)
        if self.table.has(unit.op):
            try:
                return unit_cost(unit, self.table)
            except CostError:
                if parts == (unit,):
                    raise
        elif parts == (unit,):
            return unit_cost(unit, self.table)
        return self._of_all(parts)

    def _of_all(self, parts: Iterable[Unit]) -> Cost:
        """Cost of parts, none of which is a fused unit of the table."""
        return total(self._of_one(replace(part, count=1)).scaled(part.count) for part in parts)

    def total(self, units: Iterable[Unit]) -> dict[str, float | None]:
        """LUTs, flip-flops and DSPs of units, or their area; None where one has no figure."""
        sums: dict[str, float | None] = dict.fromkeys(self.names, 0.0)
        for unit in units:
            cost = self.of(unit)
            for name in self.names:
                so_far, each = sums[name], getattr(cost, name)
                sums[name] = None if so_far is None or each is None else so_far + each * unit.count
        return sums

    def missing(self, units: Iterable[Unit]) -> frozenset[str]:
        """Figures that the table lacks: "prelu luts"."""
        return frozenset(
            f"{unit.op} {name}"
            for unit in units
            for name in self.names
            if getattr(self.of(unit), name) is None
        )
