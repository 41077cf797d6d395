"""Which figures of a table a price rests on, and how sure they are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from abcost.core.primitives import FREE
from abcost.cost.entry import CONFIDENCES, UnitPrice
from abcost.cost.price import PricedNode, price_of_count, price_of_unit
from abcost.cost.table import CostTable


@dataclass(frozen=True, slots=True)
class Used:
    """One field of one unit that was used, at any size: its method, least confidence and sources."""

    unit: str
    field: str
    method: str
    confidence: str
    sources: tuple[str, ...]  # names in the table; `abcost targets show NAME --sources` prints them


def figures_used(nodes: Iterable[PricedNode], table: CostTable) -> tuple[Used, ...]:
    """Energy figures of the operations and resource figures of the units, sorted by unit and field."""
    found: dict[tuple[str, str], Used] = {}
    for counts, units in dict.fromkeys((node.counts, node.units) for node in nodes):  # networks repeat them
        for counted in counts:
            if counted.count.primitive not in FREE:
                _add(found, price_of_count(counted.count, table), energy=True)
        for unit in units:
            _add(found, price_of_unit(unit, table), energy=False)
    return tuple(found[key] for key in sorted(found))


def _add(found: dict[tuple[str, str], Used], price: UnitPrice, *, energy: bool) -> None:
    for field, detail in price.details.items():
        if (field == "energy_pj") is not energy:
            continue
        sources = tuple(source.name for source in detail.sources)
        known = found.get((price.op, field))
        if known is None or CONFIDENCES.index(detail.confidence) > CONFIDENCES.index(known.confidence):
            found[price.op, field] = Used(price.op, field, detail.method, detail.confidence, sources)
