"""What a block of standard cells and macros takes, as `abcost.accelerator.hardware` asks it: area."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import replace

from abcost.accelerator.memory import Memory
from abcost.accelerator.placing import Weights
from abcost.accelerator.silicon.die import Die
from abcost.accelerator.silicon.memories import Held, held, resources
from abcost.accelerator.unit_costs import UnitCosts
from abcost.cost import sram
from abcost.cost.organisation import Unit
from abcost.cost.table import CostTable


class Silicon:
    """The cells of a table on a die at a clock, with the macros that are bundled for its process."""

    rates: Mapping[str, float] = {"area_um2": 1.0}

    def __init__(self, die: Die, table: CostTable, clock_mhz: float) -> None:
        self.part = die
        self.choices: Hashable = (die, clock_mhz)
        self.period_ns = 1000 / clock_mhz
        self.prices = UnitCosts.of_table(table)
        self.macros = macros_of(table)
        self._held: dict[tuple[object, ...], Held] = {}

    def held(self, memory: Memory) -> Held:
        """The memory where it takes least area."""
        found = self._alike(memory)
        return replace(found, memory=replace(memory, place=found.memory.place))

    def _alike(self, memory: Memory) -> Held:
        """One of its size there, remembered."""
        key = (memory.width, memory.depth, memory.constant, memory.rests, memory.place == "external")
        found = self._held.get(key)
        if found is None:
            found = self._held[key] = held(
                memory, self.prices, self.macros, self.part.utilisation, self.period_ns
            )
        return found

    def worth(self, memories: Iterable[Memory]) -> float:
        """Worth of the memories in square micrometres of cells: a macro leaves no room between cells."""
        total = 0.0
        for memory in memories:
            found = self._alike(memory)
            cells = math.nan if found.cells_um2 is None else found.cells_um2
            total += cells + found.macro_um2 * self.part.utilisation
        return total

    def too_large(self, logic: Sequence[Mapping[str, float | None]]) -> bool:
        """Whether the cells alone need more area than the block has; False where an area is unknown."""
        areas = [amounts["area_um2"] for amounts in logic]
        room = self.part.area_um2
        if room is None or None in areas:
            return False
        return sum(area or 0.0 for area in areas) / self.part.utilisation > room * (1 + 1e-9)

    def within(self, groups: Sequence[Sequence[Unit]], prices: UnitCosts) -> list[list[Unit]]:  # noqa: ARG002
        """The units unchanged: there are as many cells as are placed."""
        return [list(group) for group in groups]

    def place(
        self,
        memories: Sequence[Memory],
        logic: Sequence[Mapping[str, float | None]],  # noqa: ARG002 - memories need not give way
        weights: Weights | None,
    ) -> list[Memory]:
        """Each where it takes least; weights outside if they are asked to be."""
        outside = weights == "external"
        asked = [replace(m, place="external") if outside and m.role == "weights" else m for m in memories]
        return [self.held(memory).memory for memory in asked]

    def resources(
        self, logic: Mapping[str, float | None], memories: Sequence[Memory]
    ) -> dict[str, float | None]:
        """See `memories.resources`."""
        return resources(logic["area_um2"], [self.held(memory) for memory in memories], self.part.utilisation)


def macros_of(table: CostTable) -> sram.Macros | None:
    """The macros bundled for the process of a table, whose accesses are known in energy and time; None without any.

    A block with others in it would have neither a clock nor an energy; register files have both.
    """
    name = f"sram-{table.target.removeprefix('asic-')}"
    if name not in sram.names():
        return None
    found = sram.Macros.load(name)
    known = tuple(m for m in found.macros if None not in (m.read_pj, m.write_pj, m.idle_pj, m.access_ns))
    return replace(found, macros=known) if known else None
