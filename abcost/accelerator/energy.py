"""Energy of one inference on an accelerator: what its units, registers and memories spend.

    units       instances * cycles in which they work * energy of one operation of the table
    registers   flip-flops * cycles in which they wait * energy of a clocked register, where the table has one
    blocks      bits read and written * energy per bit of the table's memory
    LUT memory  reads or writes, whichever are more, * energy of a ROM in LUTs of that size, for LUT RAM too
    DRAM        what is read from outside, between its published ends; the geometric mean of both

The units of a dot product work in every cycle of their engine, those behind it as often as their operation occurs.
What has no figure is named, and left out of `known`. No clock tree, leakage, pads or host.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from abcost.accelerator.design.designer import Designer
from abcost.accelerator.design.engine import chain_lanes
from abcost.accelerator.design.net import NumberFormat
from abcost.accelerator.engine import Engine, engines
from abcost.accelerator.external import energy_uj
from abcost.accelerator.folding import Folding
from abcost.accelerator.memory import Memory
from abcost.accelerator.result import Accelerator, Layer
from abcost.accelerator.spent import Spent
from abcost.core.graph import OpGraph
from abcost.cost.entry import Detail
from abcost.cost.fused import MOST_COLUMNS, apart, of_gates, rom
from abcost.cost.organisation import Unit
from abcost.cost.price import price_of_unit, unit_cost
from abcost.cost.table import CostTable
from abcost.rtl.units.rom import BANK

_UJ = 1e-6  # of a picojoule


Active = tuple[Unit, int]
"""A unit, and the cycles of one inference in which it works."""


def energy_of(
    graph: OpGraph, table: CostTable, accelerator: Accelerator, *, width: int, fraction_bits: int
) -> Spent | None:
    """Energy of an inference on a layer pipeline; None for one engine that all layers share: its duty is unknown here.

    Raises CostError outside the valid range of the table.
    """
    if accelerator.kind != "pipelined":
        return None
    found = Spent()
    for units, layer in working(graph, accelerator, width=width, fraction_bits=fraction_bits):
        found += units_energy(units, interval=accelerator.interval, table=table)
        found = sum((memory_energy(memory, table) for memory in layer.memories), found)
    return found


def working(
    graph: OpGraph, accelerator: Accelerator, *, width: int, fraction_bits: int
) -> Iterator[tuple[list[Active], Layer]]:
    """The layers of a pipeline, each with its units and the cycles of an inference in which they work."""
    designer = Designer(graph, NumberFormat(width, fraction_bits))
    for engine, layer in zip(engines(graph, width), accelerator.layers, strict=True):
        planned = active_units(designer, engine, Folding(layer.pe, layer.simd))
        around = [(unit, layer.cycles) for unit in layer.between]
        yield [*as_built(planned, layer.units, layer.cycles), *around], layer


def as_built(planned: Sequence[Active], built: Sequence[Unit], cycles: int) -> list[Active]:
    """The units that are built, with the cycles of those that were planned: some multipliers are of LUTs instead.

    One that stands for no planned unit counts as if it worked in all `cycles` of its engine.
    """
    left: dict[Unit, list[Active]] = {}
    longest: dict[Unit, int] = {}
    for unit, active in planned:
        left.setdefault(unit, []).append((unit, active))
        one = replace(unit, count=1)
        longest[one] = max(active, longest.get(one, 0))
    found: list[Active] = []
    for unit in built:
        same = left.get(unit)
        if same:
            found.append(same.pop(0))
            continue
        plain = replace(unit, count=1, op="multiply" if unit.op == "multiply_lut" else unit.op)
        found.append((unit, longest.get(plain, cycles)))
    return found


def active_units(designer: Designer, engine: Engine, folding: Folding) -> list[Active]:
    """What an engine is built of, and for how many cycles of an inference each works.

    Post-processing works in the cycles in which it takes values: results / lanes.
    """
    cycles = engine.cycles(folding.pe, folding.simd)
    taken = -(-engine.positions * engine.channels // chain_lanes(engine, folding))
    return [
        *((unit, cycles) for unit in designer.dot_units(engine, folding)),
        *((unit, min(taken, cycles)) for unit in designer.post_units(engine, folding)),
    ]


def units_energy(units: Iterable[Active], *, interval: int, table: CostTable) -> Spent:
    """Energy of these units in one inference of `interval` cycles. Raises CostError beyond the table's valid range."""
    found = Spent()
    for unit, active in units:
        found += operation(unit, table).times(unit.count * active)
        found += _waiting(unit, max(0, interval - active), table)
    return found


def operation(unit: Unit, table: CostTable) -> Spent:
    """Energy of one cycle of one instance; where it has no figure, the upper bound that its parts give (`apart`)."""
    parts = of_gates(unit, table)
    if parts == (unit,) and (unit.op, "energy_pj") not in table.figures:
        parts = apart(unit)
    if parts != (unit,):
        return sum((operation(part, table).times(part.count / unit.count) for part in parts), Spent())
    detail = price_of_unit(unit, table).details.get("energy_pj")
    if detail is None:
        return Spent(missing=frozenset({unit.op}))
    return _spent(detail)


def _spent(detail: Detail) -> Spent:
    low = detail.value if detail.low is None else detail.low
    high = detail.value if detail.high is None else detail.high
    return Spent(detail.value * _UJ, low * _UJ, high * _UJ)


def _waiting(unit: Unit, cycles: int, table: CostTable) -> Spent:
    """Registers that are clocked while nothing moves; nothing where the table has no figure of a clock."""
    if table.clock is None or not cycles:
        return Spent()
    if table.technology == "asic":
        each = flip_flops(unit) * cycles * table.clock.energy_pj * _UJ
        return Spent(each, 0.0, each)  # at least: the clock of what waits is held
    registers = unit_cost(unit, table).ffs if table.has(unit.op) else 0
    each = (registers or 0) * unit.count * cycles * table.clock.energy_pj * _UJ
    return Spent(each, each, each)


_ONE_WORD = frozenset({"register", "accumulate", "counter"})


def flip_flops(unit: Unit) -> int:
    """Flip-flops of all instances of a unit of gates: words that wait, and what a memory reads into."""
    words = 0
    if unit.op in _ONE_WORD:
        words = 1
    elif unit.op == "rom":
        words = -(-(unit.depth or 1) // BANK)
    elif unit.op == "register_file":
        words = (unit.depth or 1) + 1
    elif (parts := apart(unit)) != (unit,):
        return sum(flip_flops(part) for part in parts)
    return words * unit.width * unit.count


def memory_energy(memory: Memory, table: CostTable) -> Spent:
    """All that is read and written in one inference."""
    match memory.place:
        case "external":
            low, high = energy_uj(memory.traffic_bits)
            return Spent(math.sqrt(low * high), low, high)
        case "lutram":
            reads = (operation(part, table).times(part.count) for part in _columns(memory))
            return sum(reads, Spent()).times(max(memory.reads, memory.writes))
        case "block":
            level = table.memory and (table.memory.weights if memory.constant else table.memory.activations)
            if not level:
                return Spent(missing=frozenset({"block RAM"}))
            bits = memory.moved_bits
            low = level.energy_pj if level.low_pj is None else level.low_pj
            high = level.energy_pj if level.high_pj is None else level.high_pj
            return Spent(level.energy_pj, low, high).times(bits / level.access_bits * _UJ)
        case _:
            return Spent(missing=frozenset({memory.place}))


def _columns(memory: Memory) -> Iterator[Unit]:
    """The memory as ROMs that the laws of a ROM reach."""
    whole, rest = divmod(memory.width, MOST_COLUMNS)
    depth = max(2, memory.depth)
    for columns, count in ((MOST_COLUMNS, whole), (rest, 1)):
        if columns and count:
            one = rom(1, depth, columns)
            yield replace(one, count=one.count * count)
