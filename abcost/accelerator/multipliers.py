"""Multipliers of LUTs where a device has fewer DSPs than a design multiplies with.

Those go first that take fewest LUTs per DSP that they free, as many as are needed and no more. A unit with a multiplier
in it goes as its parts: a PReLU as multiplier and select, the scale of a binary dot product as 2p - K and multiplier.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil

from abcost.accelerator.unit_costs import UnitCosts
from abcost.cost.fused import apart
from abcost.cost.organisation import Unit
from abcost.errors import CostError

IN_LUTS = "multiply_lut"
MULTIPLYING = frozenset({"multiply", "prelu", "scale_dot"})


@dataclass(frozen=True, slots=True)
class _Offer:
    """`count` units at a place that could do without their DSPs."""

    group: int
    index: int
    unit: Unit
    parts: tuple[Unit, ...]  # of one of them without a DSP
    dsps: float  # of one of them
    luts: float  # that one of them takes more without a DSP


def within_dsps(
    groups: Sequence[Sequence[Unit]], prices: UnitCosts, available: float | None
) -> list[list[Unit]]:
    """The units with as many multipliers of LUTs as the available DSPs make necessary; None: any number is there.

    Unchanged where the table does not price a multiplier of LUTs, or DSPs of some unit.
    """
    units = [list(group) for group in groups]
    if available is None or not prices.table.has(IN_LUTS):
        return units
    used = [prices.total(group)["dsps"] for group in groups]
    if None in used:
        return units
    excess = sum(x or 0.0 for x in used) - available
    if excess <= 0:
        return units
    offers = [
        offer
        for number, group in enumerate(groups)
        for index, unit in enumerate(group)
        if unit.op in MULTIPLYING and (offer := _offer(number, index, unit, prices)) is not None
    ]
    for offer in sorted(offers, key=lambda o: o.luts / o.dsps):
        if excess <= 0:
            break
        count = min(offer.unit.count, ceil(excess / offer.dsps))
        excess -= count * offer.dsps
        units[offer.group][offer.index] = replace(offer.unit, count=offer.unit.count - count)
        units[offer.group] += [replace(part, count=part.count * count) for part in offer.parts]
    return [[unit for unit in group if unit.count] for group in units]


def in_luts(units: Sequence[Unit]) -> int:
    """How many multipliers among them are made of LUTs."""
    return sum(unit.count for unit in units if unit.op == IN_LUTS)


def _offer(group: int, index: int, unit: Unit, prices: UnitCosts) -> _Offer | None:
    """The offer to make a unit without DSPs; None where it has none, or a figure is missing."""
    one = replace(unit, count=1)
    parts = _without_dsp(one)
    try:
        with_dsp, without = prices.total([one]), prices.total(parts)
    except CostError:
        return None
    if not with_dsp["dsps"] or with_dsp["luts"] is None or without["luts"] is None or without["dsps"] != 0:
        return None
    return _Offer(group, index, unit, parts, with_dsp["dsps"], without["luts"] - with_dsp["luts"])


def _without_dsp(unit: Unit) -> tuple[Unit, ...]:
    plain = Unit(IN_LUTS, 1, unit.width)
    if unit.op == "prelu":
        return (plain, Unit("mux", 1, unit.width))
    return tuple(plain if part.op == "multiply" else part for part in apart(unit))
