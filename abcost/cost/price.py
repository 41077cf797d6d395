"""The price of a counted graph on a target.

    energy of a node = sum over primitives of count x energy per operation
                       + stored parameter bits and moved activation bits x energy per bit
    area of a node   = sum over the units its lanes instantiate

An operation narrower than a table's smallest unit is priced as that unit (a bound, said in the report);
one wider is refused. What the table does not price makes the sum unknown, and is listed.

Low and high are the same sums over the least and most that the sources of each figure say; a figure without
such a bound counts with its value.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter

from abcost.classify.counts import Count, counts_of
from abcost.core.cost import FIELDS, ZERO, Cost
from abcost.core.graph import OpGraph
from abcost.core.node import OpNode
from abcost.core.primitives import FREE
from abcost.core.unit_size import SIZES, sizes_given
from abcost.cost.bound import Bound, at_bound
from abcost.cost.entry import UnitPrice
from abcost.cost.memory import Traffic, traffic_of
from abcost.cost.organisation import Lanes, Unit, cycles_of, units_of
from abcost.cost.table import CostTable


@dataclass(frozen=True, slots=True)
class PricedCount:
    """A count with its energy in picojoule, None if the table does not know it."""

    count: Count
    energy_pj: float | None


@dataclass(frozen=True, slots=True)
class BoundedCost:
    """Cost of a node by one reading of the figures. `cost.energy_pj` includes memory where the table has it."""

    cost: Cost
    memory_energy_pj: float | None


@dataclass(frozen=True, slots=True)
class PricedNode:
    """A node with everything it costs: by the figures' values, and by their lower and upper bounds."""

    node: OpNode
    counts: tuple[PricedCount, ...]
    units: tuple[Unit, ...]
    traffic: Traffic
    value: BoundedCost
    low: BoundedCost
    high: BoundedCost
    known: Cost  # by the figures' values, of the parts that have one; None where no part has
    known_memory_energy_pj: float | None  # the part of it that is memory traffic
    cycles: int = 0  # of one inference in its lanes

    @property
    def cost(self) -> Cost:
        """Cost by the figures' values."""
        return self.value.cost

    @property
    def memory_energy_pj(self) -> float | None:
        """Energy of memory traffic in picojoule, by the figures' values."""
        return self.value.memory_energy_pj

    def reading(self, side: Bound) -> BoundedCost:
        """One of the three."""
        return {"value": self.value, "low": self.low, "high": self.high}[side]


def price(graph: OpGraph, table: CostTable, *, width: int, organisation: Lanes) -> tuple[PricedNode, ...]:
    """Price every node. Raises CostError where an operation is wider than the table's laws reach."""
    return tuple(price_node(graph, node, table, width, organisation) for node in graph)


def total(costs: Iterable[Cost]) -> Cost:
    """Sum in which an unknown part makes the field unknown."""
    sums: list[float | None] = [0.0] * len(FIELDS)
    for cost in costs:
        if cost is not ZERO:
            for place, value in enumerate(_values(cost)):
                so_far = sums[place]
                sums[place] = None if so_far is None or value is None else so_far + value
    return Cost(*sums)


_values = attrgetter(*FIELDS)


def known_total(costs: Iterable[Cost]) -> Cost:
    """Sum of the parts that are known; None where none is."""
    sums: list[float | None] = [None] * len(FIELDS)
    for cost in costs:
        for place, value in enumerate(_values(cost)):
            if value is not None:
                sums[place] = (sums[place] or 0.0) + value
    return Cost(*sums)


MEMORY_TRAFFIC = "memory traffic"
"""What is unpriced where bits go through a memory without a figure; counted in bits."""
_RESOURCES = {"fpga": ("luts", "ffs", "dsps"), "asic": ("area_um2",)}


def unpriced(nodes: Sequence[PricedNode], table: CostTable) -> dict[str, dict[str, int]]:
    """Field -> what the table has no figure of -> how many.

    energy_pj: operations of one inference, and bits of memory traffic; luts, ffs, dsps of FPGAs, area_um2 of silicon:
    units. Names are sorted, fields without a hole left out.
    """
    found: dict[str, Counter[str]] = {}
    for node in nodes:
        energy = found.setdefault("energy_pj", Counter())
        for counted in node.counts:
            if counted.energy_pj is None:
                energy[counted.count.primitive.value] += counted.count.count
        if table.memory is not None and node.memory_energy_pj is None:
            energy[MEMORY_TRAFFIC] += node.traffic.unknown_bits(table.memory)
        for unit in node.units:
            cost = unit_cost(unit, table).to_dict()
            for field in _RESOURCES[table.technology]:
                if cost[field] is None:
                    found.setdefault(field, Counter())[unit.op] += unit.count
    return {field: dict(sorted(names.items())) for field, names in found.items() if names}


def unit_cost(unit: Unit, table: CostTable, side: Bound = "value") -> Cost:
    """Cost of one instance of `unit`: resources and area; energy is counted per operation instead."""
    key = ("unit", side, unit.op, *_sizes(unit))
    known = table.remembered.get(key)
    if known is None:
        known = replace(read(price_of_unit(unit, table), side), energy_pj=0.0)
        if (unit.op, _stand_in(unit.op, table, _RESOURCES[table.technology])) == ("and", "xnor"):
            known = known.scaled(unit.width)
        table.remembered[key] = known
    found: Cost = known
    return found


_sizes = attrgetter(*SIZES)
_operation = attrgetter("primitive", *SIZES)


def read(price: UnitPrice, side: Bound) -> Cost:
    """A unit's cost by one reading of its figures; fields without a figure stay None."""
    if side == "value":
        return price.cost
    details = {name: price.details.get(name) for name in FIELDS}
    return Cost(
        **{name: None if d is None else at_bound(side, d.value, d.low, d.high) for name, d in details.items()}
    )


def price_of_unit(unit: Unit, table: CostTable) -> UnitPrice:
    """What the table says of a unit of this size, or of its narrowest."""
    op = _stand_in(unit.op, table, _RESOURCES[table.technology])
    return table.price(op, **_priced_size(table, op, {"exponents": 1, **unit.size}))


def price_of_count(count: Count, table: CostTable) -> UnitPrice:
    """What the table says of one operation of this size, or of its narrowest."""
    op = _stand_in(count.primitive.value, table, ("energy_pj",))
    return table.price(op, **_priced_size(table, op, {"exponents": 1, **sizes_given(count)}))


def price_node(graph: OpGraph, node: OpNode, table: CostTable, width: int, organisation: Lanes) -> PricedNode:
    """Price one node, which stands where the node of its name stands in `graph`. Raises as `price`."""
    counts = counts_of(graph, node, width)
    units = units_of(node, counts, organisation)
    traffic = traffic_of(graph, node, width)
    key = ("node", counts, units, traffic)
    known = table.remembered.get(key)
    if known is None:
        known = table.remembered[key] = _readings(counts, units, traffic, table)
    return PricedNode(
        node=node,
        counts=known.counts,
        units=units,
        traffic=traffic,
        value=known.value,
        low=known.low,
        high=known.high,
        known=known.known,
        known_memory_energy_pj=known.moved,
        cycles=cycles_of(counts, organisation),
    )


@dataclass(frozen=True, slots=True)
class _Readings:
    """What nodes with the same counts, units and traffic cost; networks repeat them, and so do their stages."""

    counts: tuple[PricedCount, ...]
    value: BoundedCost
    low: BoundedCost
    high: BoundedCost
    known: Cost
    moved: float | None  # known energy of memory traffic


def _readings(
    counts: tuple[Count, ...], units: tuple[Unit, ...], traffic: Traffic, table: CostTable
) -> _Readings:
    def reading(side: Bound) -> BoundedCost:
        memory = traffic.energy_pj(table.memory, side) if table.memory is not None else None
        cost = total(_times(unit_cost(unit, table, side), unit.count) for unit in units)
        energies = [*(_energy(count, table, side) for count in counts), *([memory] if table.memory else [])]
        known = [energy for energy in energies if energy is not None]
        energy = sum(known) if len(known) == len(energies) else None
        return BoundedCost(Cost(energy, *_values(cost)[1:]), memory)

    moved = traffic.known_energy_pj(table.memory) if table.memory is not None else None
    return _Readings(
        tuple(PricedCount(count, _energy(count, table, "value")) for count in counts),
        reading("value"),
        reading("low"),
        reading("high"),
        _known(counts, units, moved, table),
        moved,
    )


def price_counts(
    counts: tuple[Count, ...], units: tuple[Unit, ...], table: CostTable
) -> Mapping[Bound, Cost]:
    """Energy of the counts and resources of the units, by each reading of the figures; no memory. Raises as `price`."""
    found = _readings(counts, units, Traffic(0, 0, 0), table)
    return {"low": found.low.cost, "value": found.value.cost, "high": found.high.cost}


def _times(cost: Cost, count: int) -> Cost:
    return cost if count == 1 else cost.scaled(count)


def _known(counts: Sequence[Count], units: Sequence[Unit], moved: float | None, table: CostTable) -> Cost:
    """Sums of what has a figure; what is free has none, and is no reason to say 0. moved: energy of memory traffic."""
    energies = [_energy(count, table, "value") for count in counts if count.primitive not in FREE]
    known = [energy for energy in (*energies, moved) if energy is not None]
    built = known_total(_times(unit_cost(unit, table), unit.count) for unit in units)
    return Cost(sum(known) if known else None, *_values(built)[1:])


def _energy(count: Count, table: CostTable, side: Bound) -> float | None:
    if count.primitive in FREE:
        return 0.0
    key = ("energy", side, *_operation(count))
    each = table.remembered.get(key, _NEVER)
    if each is _NEVER:
        each = table.remembered[key] = read(price_of_count(count, table), side).energy_pj
    return None if each is None else float(each) * count.count


_NEVER = object()


def _stand_in(op: str, table: CostTable, fields: Sequence[str]) -> str:
    """An AND takes no more than an XNOR of one bit, and a word of them no more than a select of that width.

    fields: what is asked for; the energy of an XNOR may be known without its LUTs.
    """
    if op != "and" or table.has(op):
        return op
    return "xnor" if any(("xnor", name) in table.figures for name in fields) else "mux"


def _priced_size(table: CostTable, op: str, size: dict[str, int]) -> dict[str, int]:
    """The size that is priced: the one asked for, or the table's narrowest where that is larger."""
    width = max(size["width"], table.narrowest(op).get("width", 1))
    least = table.narrowest(op, width)
    bounded = [name for name in size if name in ("bits", "fraction_bits", "depth")]
    return {**size, **{name: max(size[name], least.get(name, 1)) for name in bounded}, "width": width}
