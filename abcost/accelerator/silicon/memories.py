"""Memories of a block: ROMs of gates, register files, or banks of SRAM macros, whichever takes least area.

Constants may be gates; what is written may be registers. A macro has one port, and what is written and read in one
cycle is held in pairs of words there, so that reading takes every other cycle and leaves the rest for writing (as in
`abcost.accelerator.memory` for SPRAM). ROMs and register files that are deeper than the clock allows, or larger than
the laws of a table reach, are several; behind those that stand behind each other are multiplexers and a register.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from abcost.accelerator.memory import Memory
from abcost.accelerator.unit_costs import UnitCosts
from abcost.cost.fused import MOST_COLUMNS, MOST_WORDS
from abcost.cost.organisation import Unit
from abcost.cost.sram import Bank, Macros
from abcost.cost.table import CostTable
from abcost.errors import CostError
from abcost.rtl.units import register_file

ROM, REGISTERS, MACRO = "rom", "registers", "macro"
"""Places of a memory on silicon; `external` is one too."""


@dataclass(frozen=True, slots=True)
class Held:
    """A memory at its place. cells_um2: area of `units`, None where a figure is unknown.

    banks: ROMs or register files behind each other, of which an access reads one. bank: of macros, None elsewhere.
    words: words of the memory that one access of a macro carries.
    """

    memory: Memory
    units: tuple[Unit, ...] = ()
    cells_um2: float | None = 0.0
    banks: int = 1
    bank: Bank | None = None
    words: int = 1

    @property
    def macro_um2(self) -> float:
        """Area of its macros."""
        return 0.0 if self.bank is None else self.bank.area_um2

    @property
    def macros(self) -> int:
        """How many."""
        return 0 if self.bank is None else self.bank.count


def held(
    memory: Memory, prices: UnitCosts, macros: Macros | None, utilisation: float, period_ns: float
) -> Held:
    """The memory where it takes least area, cells spread over the rows by `utilisation`.

    One whose cells the table does not price is in macros, if there are any.
    """
    if memory.place == "external":
        return Held(memory)
    in_cells = _in_cells(memory, prices, period_ns)
    in_macros = None if macros is None else _in_macros(memory, macros)
    if in_macros is None:
        return in_cells
    if in_cells.cells_um2 is None or in_macros.macro_um2 < in_cells.cells_um2 / utilisation:
        return in_macros
    return in_cells


def _in_cells(memory: Memory, prices: UnitCosts, period_ns: float) -> Held:
    op, most = ("rom", MOST_WORDS) if memory.constant else ("register_file", register_file.MOST_WORDS)
    depth = max(2, memory.depth)
    banks = -(-depth // min(most, _deepest(op, prices.table, period_ns)))
    units = _units(op, memory.width, -(-depth // banks), banks)
    try:
        area = prices.total(units)["area_um2"]
    except CostError:  # beyond what was measured
        area = None
    place = ROM if memory.constant else REGISTERS
    return Held(replace(memory, place=place), tuple(units), area, banks)


def _deepest(op: str, table: CostTable, period_ns: float) -> int:
    """Words that are read within a period; the fewest measured where none are, any number without delays."""
    laws = None if table.timing is None else table.timing.laws.get((op, table.mapping))
    if table.timing is None or laws is None:
        return MOST_WORDS
    widths = {"width": MOST_COLUMNS} if "width" in laws[0].valid else {}
    found = table.timing.largest(op, "depth", table.mapping, period_ns, side="value", **widths)
    return found or min(law.valid["depth"].low for law in laws)


def _units(op: str, width: int, depth: int, banks: int) -> list[Unit]:
    """Columns side by side, `banks` of each behind each other, and what selects among those."""
    whole, rest = divmod(width, MOST_COLUMNS)
    found = []
    for columns, count in ((MOST_COLUMNS, whole), (rest, 1)):
        if columns and count:
            found.append(Unit(op, count * banks, columns, depth=depth))
            if banks > 1:
                found.append(Unit("mux", count * (banks - 1), max(2, columns)))
                found.append(Unit("register", count, columns))
    return found


def _in_macros(memory: Memory, macros: Macros) -> Held:
    alone = memory.constant or memory.rests
    words = 1 if alone else 2
    bank = macros.bank(-(-max(1, memory.depth) // words), words * memory.width)
    return Held(replace(memory, place=MACRO), bank=bank, words=words)


def resources(
    logic_um2: float | None, memories: Sequence[Held], utilisation: float
) -> dict[str, float | None]:
    """Area of logic and memories, in square micrometres, and the number of macros."""
    cells = [one.cells_um2 for one in memories]
    stored = None if None in cells else sum(area or 0.0 for area in cells)
    macro_um2 = sum(one.macro_um2 for one in memories)
    known = logic_um2 is not None and stored is not None
    return {
        "area_um2": ((logic_um2 or 0.0) + (stored or 0.0)) / utilisation + macro_um2 if known else None,
        "logic_um2": logic_um2,
        "memory_um2": stored,
        "macro_um2": macro_um2,
        "macros": float(sum(one.macros for one in memories)),
    }
