"""How fast a design can be clocked: the slowest unit between registers, of all engines.

    Fmax = 1 / max over units and block reads of (register to register delay of the table + spread)

Every unit ends in a register, so no path goes through two of them. A unit that the table times as no unit of its own is
timed as its parts one after another, and a scale behind a binary sum as the adder and the multiplier that it is, with
the register between them. Units without any delay are named; where there is one, Fmax is unknown. What wires take more
in an engine than around a lone unit is in `abcost.accelerator.spread`; an interval goes from none of it to twice of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import TYPE_CHECKING

from abcost.accelerator.design.dot import Leaf
from abcost.accelerator.devices import FAMILIES, Device, Family
from abcost.accelerator.fmax import Fmax
from abcost.accelerator.spread import MULTIPLIERS, NO_SPREAD, POPCOUNTS, SPREADS, TWO_WORDS, Spread
from abcost.cost.fused import apart, of_gates
from abcost.cost.organisation import Unit
from abcost.cost.table import CostTable
from abcost.cost.timing import Delay
from abcost.errors import CostError, UsageError

if TYPE_CHECKING:
    from abcost.accelerator.memory import Memory
    from abcost.accelerator.result import Layer, Part
    from abcost.accelerator.silicon.memories import Held
    from abcost.accelerator.silicon.silicon import Silicon

_WIRING = frozenset({"shift_constant"})
_BLOCK = "block_read"
_WIDE = 32
"""Bits of a register and a select as they are timed."""
_POPCOUNTS = 64
"""Popcounts of an engine that leaves are chosen for, before it is known how many there are."""


@dataclass(frozen=True, slots=True)
class Slowest:
    """The longest path: its delay, and the layer and unit that it is in. missing: units without a delay."""

    delay: Delay | None
    layer: str
    unit: str
    missing: frozenset[str] = frozenset()

    def or_later(self, other: Slowest) -> Slowest:
        """The longer of two paths of one engine; `missing` names the units of both."""
        mine, theirs = self.delay, other.delay
        longer = theirs is not None and (mine is None or theirs.value > mine.value)
        return replace(other if longer else self, missing=self.missing | other.missing)


def foreign_delays(table: CostTable, found: Part | None) -> str:
    """Why the delays of a table are not those of a device; "" where they are, or there are none."""
    if table.timing is None or not isinstance(found, Device):
        return ""
    return dict(found.family.foreign_delays).get(table.timing.part, "")


def timed_for(table: CostTable, found: Part | None) -> CostTable:
    """The table, without its delays where they are not those of the device."""
    return replace(table, timing=None) if foreign_delays(table, found) else table


def leaf_for(table: CostTable, clock_mhz: float, width: int) -> Leaf:
    """The widest leaves of popcounts and signed sums that a clock allows; the narrowest measured where none does.

    A table without delays says nothing: the default.
    """
    if table.timing is None:
        return Leaf()
    period = 1000 / clock_mhz
    narrower = max(period - _spread(table).popcounts(_POPCOUNTS), period / 2)
    ops = [op for op in ("xnor_popcount", "masked_popcount") if (op, table.mapping) in table.timing.laws]
    bits = [_largest(table, op, narrower, {}) for op in ops]
    return Leaf(
        min(bits, default=Leaf().bits), _largest(table, "signed_sum", period, {"width": width}, Leaf().inputs)
    )


def _largest(
    table: CostTable, op: str, period: float, size: Mapping[str, int], default: int = Leaf().bits
) -> int:
    """The most bits or inputs within a period; the least measured where none is; the default where nothing is."""
    timing = table.timing
    laws = None if timing is None else timing.laws.get((op, table.mapping))
    if timing is None or laws is None:
        return default
    ranges = {name: laws[0].valid[name] for name in size if name in laws[0].valid}
    within = {name: min(max(size[name], valid.low), valid.high) for name, valid in ranges.items()}
    found = timing.largest(op, "bits", table.mapping, period, side="value", **within)
    return found or min(law.valid["bits"].low for law in laws)


class Delays:
    """Delays of the units of one table on a device, remembered: engines are made of few different units."""

    def __init__(self, table: CostTable, found: Part | None = None) -> None:
        self.table, self.foreign = timed_for(table, found), foreign_delays(table, found)
        self._spread = _spread(self.table)
        self._known: dict[Unit, tuple[tuple[Delay, str], ...] | None] = {}

    def of(self, unit: Unit) -> tuple[tuple[Delay, str], ...] | None:
        """Delay and name of each path through the unit; None where there is no delay of it."""
        if unit not in self._known:
            one = unit if unit.count == 1 else replace(unit, count=1)
            self._known[unit] = self._paths(one) if one is unit else self.of(one)
        return self._known[unit]

    def _paths(self, unit: Unit) -> tuple[tuple[Delay, str], ...] | None:
        if unit.op in _WIRING:
            return ()
        if (gates := of_gates(unit, self.table)) != (unit,):
            return self._of_gates(unit, gates)
        if unit.op == "scale_dot":
            paths = [self.of(part) for part in apart(unit)]
            return None if None in paths else tuple(path for found in paths for path in found or ())
        own = self._own(unit)
        if own is not None:
            return ((own, _text(unit)),)
        parts = apart(unit)
        found = [self._own(part) for part in parts]
        if parts == (unit,) or None in found:
            return None
        known = [delay for delay in found if delay is not None]
        value, low, high = (
            sum(ends) for ends in zip(*((d.value, d.low, d.high) for d in known), strict=True)
        )
        return ((Delay(value, low, high, "derived"), _text(unit)),)

    def _of_gates(self, unit: Unit, parts: Sequence[Unit]) -> tuple[tuple[Delay, str], ...] | None:
        """A product takes as long as one of two factors of half as many bits each; sums stand in a tree."""
        found: list[tuple[Delay, str]] = []
        for part in parts:
            square = -(-(part.width + (part.bits or part.width)) // 2)
            product = part.op == "product"
            own = self._own(Unit("multiply", 1, square) if product else part)
            if own is None:
                return None
            levels = 1 if product else part.count.bit_length()
            ends = levels * own.value, levels * own.low, levels * own.high
            found.append((Delay(*ends, confidence="derived"), _text(unit)))
        return tuple(found)

    def _own(self, unit: Unit) -> Delay | None:
        timed = replace(unit, op="mux") if unit.op == "and" else unit  # a select is an AND, and more
        try:
            return self.table.delay(timed)
        except CostError:  # beyond what was measured
            return None

    def read(self, memory: Memory) -> Delay | None:
        """Delay in ns of a read of block memory, with what is behind it up to a register or the memory; None: unknown.

        Wider and deeper memories are several blocks side by side.
        """
        found = self._block(memory.width, memory.depth)
        units = [Unit(op, 1, memory.width) for op in memory.behind]
        more = 0.0
        if self._spread is not NO_SPREAD:
            family = _family(self.table)
            units += [Unit("mux", 1, 2)] * ceil((memory.deep(family) - 1).bit_length() / family.level)
            more = self._spread.blocks(memory.blocks(family))
        paths = [self.of(unit) for unit in units]
        if found is None or None in paths:
            return None
        behind = sum(delay.value for path in paths for delay, _ in path or ())
        return _later(_later(found, behind, behind), more)

    def held(self, layer: str, found: Held) -> list[Slowest]:
        """Paths of a read on silicon: cells or a macro's access, then what selects among them, and a register.

        The register's own delay holds its setup, and more; so does that of each select: both are upper bounds.
        """
        name = f"read of {found.memory.place} ({found.memory.role})"
        if found.bank is None:
            cells = [unit for unit in found.units if unit.op != "mux"]
            return [self.slowest(layer, cells), self._behind(layer, name, Delay(0, 0, 0), found, found.banks)]
        access = found.bank.macro.access_ns
        if access is None:
            return [Slowest(None, layer, name, frozenset({found.bank.macro.name}))]
        return [self._behind(layer, name, Delay(access, access, access), found, found.bank.rows)]

    def _behind(self, layer: str, name: str, read: Delay, found: Held, rows: int) -> Slowest:
        """Selects among so many rows, and a register, behind what is read."""
        width = min(_WIDE, max(2, found.memory.width))  # of wider ones there are several side by side
        paths = [self.of(Unit("register", 1, width))]
        paths += [self.of(Unit("mux", 1, width))] * (rows - 1).bit_length()
        if None in paths:
            return Slowest(None, layer, name, frozenset({"register and mux"}))
        every = [read, *(delay for path in paths for delay, _ in path or ())]
        total = Delay(sum(d.value for d in every), sum(d.low for d in every), sum(d.high for d in every))
        return Slowest(total, layer, name)

    def _block(self, width: int, depth: int) -> Delay | None:
        timing = self.table.timing
        laws = None if timing is None else timing.laws.get((_BLOCK, self.table.mapping))
        if timing is None or laws is None:
            return None
        valid = laws[0].valid
        size = {
            name: min(max(value, valid[name].low), valid[name].high)
            for name, value in (("width", width), ("depth", depth))
            if name in valid
        }
        return timing.at(_BLOCK, self.table.mapping, size)

    def slowest(self, layer: str, units: Iterable[Unit]) -> Slowest:
        """The longest path of an engine's units."""
        longest: tuple[Delay, str] | None = None
        missing = set()
        every = list(units)
        popcounts = Counter[str]()
        for unit in every:
            if unit.op in POPCOUNTS:
                popcounts[unit.op] += unit.count * (unit.choices or 1)
        multipliers = sum(unit.count for unit in every if unit.op in MULTIPLIERS)
        flag = self._spread.flag(sum(unit.count for unit in every if unit.op in TWO_WORDS))
        for unit in every:
            paths = self.of(unit)
            if paths is None:
                missing.add(unit.op)
                continue
            multiplies = unit.op in MULTIPLIERS
            spread = self._spread
            more = spread.multipliers(multipliers) if multiplies else spread.popcounts(popcounts[unit.op])
            more += flag if unit.op in TWO_WORDS else 0.0
            for own, text in paths:
                if longest is None or own.value + more > longest[0].value:
                    longest = _later(own, more), text
        delay, name = longest or (None, "")
        return Slowest(delay, layer, name, frozenset(missing))


def fmax_of(layers: Sequence[Layer], delays: Delays, silicon: Silicon | None = None) -> Fmax | None:
    """Fmax of all engines together, with their memories; None where the table has no delays at all."""
    if delays.foreign:
        return Fmax(None, None, None, "", foreign=delays.foreign)
    if delays.table.timing is None:
        return None
    found = []
    for layer in layers:
        found.append(delays.slowest(layer.name, layer.units))
        for memory in layer.memories:
            if silicon is not None:
                found += delays.held(layer.name, silicon.held(memory))
            elif memory.place == "block":
                read = delays.read(memory)
                unread = frozenset[str]() if read else frozenset({_BLOCK})
                found.append(Slowest(read, layer.name, f"read of block memory ({memory.role})", unread))
    missing = tuple(sorted(frozenset().union(*(slow.missing for slow in found))))
    timed = [(slow.delay, slow) for slow in found if slow.delay is not None]
    if missing or not timed:
        return Fmax(None, None, None, "", missing)
    delay, slow = max(timed, key=lambda pair: pair[0].value)
    return Fmax(
        1000 / delay.value, 1000 / delay.high, 1000 / delay.low, f"{slow.layer}: {slow.unit}", missing
    )


def _spread(table: CostTable) -> Spread:
    return NO_SPREAD if table.timing is None else SPREADS.get(table.timing.part, NO_SPREAD)


def _family(table: CostTable) -> Family:
    """Family of the table's blocks, which are the same whatever the table is mapped for."""
    name = table.target.removesuffix("-delay")
    return next(family for family in FAMILIES.values() if name in family.targets)


def _later(delay: Delay, more: float, least: float = 0.0) -> Delay:
    """The delay and `more` ns: its low end plus `least`, its high end plus 2 * more - least, `more` at least."""
    if not more:
        return delay
    return replace(
        delay, value=delay.value + more, low=delay.low + least, high=delay.high + max(2 * more - least, more)
    )


def check_timed(table: CostTable) -> None:
    """Raises UsageError if a table has no delays, for who asks for the fastest clock."""
    if table.timing is None:
        raise UsageError(
            f"--clock-mhz max: the table {table.target} has no delays; give a number, or a target that has "
            "(abcost targets list)"
        )


def _text(unit: Unit) -> str:
    sizes = ", ".join(f"{name} {value}" for name, value in unit.size.items())
    return f"{unit.op} ({sizes})"
