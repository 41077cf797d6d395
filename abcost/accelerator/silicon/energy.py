"""What a block of silicon spends: its units, memories, and what leaks.

    units           instances * cycles in which they work * energy of one operation of the table
    ROM             reads * energy of a read, of the one that is read of several behind each other
    register file   reads or writes, whichever are more, * energy of its cycle, in which both happen and all of its
                    registers are clocked; at least, registers are clocked when they are written alone and a read is
                    that of a ROM; at most, all files behind each other work
    waiting         flip-flops * cycles in which their unit or memory does nothing * energy of a clock cycle, where the
                    table has it; at least nothing, for their clock could be held
    outside         what is read from there, as for FPGAs
    macro           reads * read energy + writes * write energy + the other cycles * energy of an idle cycle
    leakage         leakage power of all cells and macros * time between two inferences

A macro reads and writes its whole word, whatever is used of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from abcost.accelerator.energy import flip_flops, operation, units_energy, working
from abcost.accelerator.energy import memory_energy as of_placed
from abcost.accelerator.engine import engines
from abcost.accelerator.hardware import hardware_of
from abcost.accelerator.result import Accelerator
from abcost.accelerator.silicon.memories import REGISTERS, Held
from abcost.accelerator.silicon.silicon import Silicon
from abcost.accelerator.spent import Power, Spent
from abcost.accelerator.unit_costs import UnitCosts
from abcost.core.graph import OpGraph
from abcost.cost.organisation import Unit
from abcost.cost.sram import Bank
from abcost.cost.table import CostTable

_UJ = 1e-6  # of a picojoule


def memory_energy(found: Held, interval: int, table: CostTable) -> Spent:
    """Energy in microjoule of all that one memory reads and writes in one inference of `interval` cycles."""
    memory = found.memory
    if memory.place == "external":
        return of_placed(memory, table)
    if found.bank is not None:
        return _macro_energy(found, found.bank, interval)
    accesses = max(memory.reads, memory.writes)
    every = _cycle(found.units, table).times(accesses)
    one = every.times(1 / found.banks)
    waiting = 0.0
    if table.clock is not None:
        files = sum(flip_flops(unit) for unit in found.units)
        cycles = max(0.0, interval - accesses / found.banks)  # of a file among those behind each other
        waiting = files * cycles * table.clock.energy_pj * _UJ
    if memory.place != REGISTERS:
        return Spent(one.value + waiting, one.low, one.high + waiting, one.missing)
    read = _cycle([replace(u, op="rom") if u.op == "register_file" else u for u in found.units], table)
    written = _cycle(found.units, table)
    gated = (written.low * memory.writes + read.low * memory.reads) / found.banks
    return Spent(one.value + waiting, min(one.low, gated), every.high + waiting, every.missing)


def _cycle(units: Iterable[Unit], table: CostTable) -> Spent:
    """One cycle of all of them."""
    return sum((operation(unit, table).times(unit.count) for unit in units), Spent())


def _macro_energy(found: Held, bank: Bank, interval: int) -> Spent:
    """A memory in its bank; where a word of a macro is two of the memory, half as many accesses."""
    memory = found.memory
    reads, writes = memory.reads / found.words, memory.writes / found.words
    idle = max(0.0, interval - reads - writes)
    macro = bank.macro
    parts = [(reads, bank.read_pj), (writes, bank.write_pj)]
    parts.append((idle, None if macro.idle_pj is None else bank.count * macro.idle_pj))
    if any(energy is None for times, energy in parts if times):
        return Spent(missing=frozenset({macro.name}))
    each = sum(times * (energy or 0.0) for times, energy in parts) * _UJ
    return Spent(each, each, each)


def leakage_nw(
    units: Iterable[Unit], memories: Sequence[Held], prices: UnitCosts
) -> tuple[float, frozenset[str]]:
    """Leakage power of units and memories in nanowatt, of what has a figure; and the names of what has none."""
    if not prices.table.leaks:
        return 0.0, frozenset({"leakage of cells"})
    total, missing = 0.0, set[str]()
    for unit in (*units, *(unit for found in memories for unit in found.units)):
        each = prices.of(unit).leakage_nw
        if each is None:
            missing.add(f"leakage of {unit.op}")
        else:
            total += each * unit.count
    for found in memories:
        if found.bank is None:
            continue
        if found.bank.leakage_nw is None:
            missing.add(f"leakage of {found.bank.macro.name}")
        else:
            total += found.bank.leakage_nw
    return total, frozenset(missing)


def with_power(
    graph: OpGraph, table: CostTable, accelerator: Accelerator, *, width: int, fraction_bits: int
) -> Accelerator:
    """A block with its energy and power. One engine that all layers share has none: its duty is not known here."""
    if accelerator.kind != "pipelined":
        return accelerator
    silicon = hardware_of(table, accelerator.device, accelerator.clock_mhz)
    if not isinstance(silicon, Silicon):
        raise TypeError(f"{accelerator.device} is no silicon")
    interval = accelerator.interval
    dynamic, leaking, missing = Spent(), 0.0, frozenset[str]()
    for active, layer in working(graph, accelerator, width=width, fraction_bits=fraction_bits):
        stored = [silicon.held(memory) for memory in layer.memories]
        dynamic += units_energy(active, interval=interval, table=table)
        dynamic = sum((memory_energy(found, interval, table) for found in stored), dynamic)
        power, unknown = leakage_nw([*layer.units, *layer.between], stored, silicon.prices)
        leaking, missing = leaking + power, missing | unknown
    period = interval / (accelerator.clock_mhz * 1e6)
    leaked = leaking * 1e-9 * period * 1e6  # nanowatt and seconds to microjoule
    leakage = Spent(leaked, leaked, leaked, missing)
    energy = dynamic + leakage
    if table.clock is None:  # registers that wait are clocked too
        energy += Spent(missing=frozenset({"clock of registers that wait"}))
    macs = sum(engine.macs for engine in engines(graph, width))
    return replace(accelerator, energy=energy, power=Power(energy, leakage, period, 2 * macs))
