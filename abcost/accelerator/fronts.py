"""What stands in front of the chains of engines, at all foldings: the same for all engines of one shape.

Networks are rows of like layers, and each stage of a network has them again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from abcost.accelerator.design.designer import Designer
from abcost.accelerator.design.engine import chain_lanes
from abcost.accelerator.engine import Engine
from abcost.accelerator.engine_memory import dot_memories, dot_shape
from abcost.accelerator.folding import Folding, products
from abcost.accelerator.hardware import Hardware
from abcost.accelerator.unit_costs import UnitCosts
from abcost.cost.organisation import Unit
from abcost.errors import CostError

Logic = dict[str, float | None]
"""LUTs, flip-flops and DSPs, or area; None where one has no figure."""

Shape = tuple[object, ...]
"""What the front of an engine depends on."""


class Front(NamedTuple):
    """The logic of a dot product and of the way to the chain, what its memories are worth, and the lanes it feeds."""

    logic: Logic
    memories: float
    lanes: int


class Offers(NamedTuple):
    """Fronts at foldings, and what logic and memories are worth there. examples: one folding of each `lanes`."""

    foldings: tuple[Folding, ...]
    cycles: NDArray[np.int64]
    logic: NDArray[np.float64]  # NaN where the table is silent
    memories: NDArray[np.float64]
    products: NDArray[np.float64]
    lanes: NDArray[np.int64]  # number in `examples`
    examples: tuple[Folding, ...]


class _Known:
    """What was found, of one table, number format, leaf and hardware."""

    def __init__(self) -> None:
        self.fronts: dict[tuple[Shape, Folding], Front | CostError] = {}
        self.offers: dict[tuple[Shape, tuple[Folding, ...]], Offers] = {}


class Fronts:
    """Those of one graph, remembered by the table for other graphs."""

    def __init__(self, designer: Designer, prices: UnitCosts, hardware: Hardware) -> None:
        self._designer, self._prices, self._hardware = designer, prices, hardware
        key = ("fronts", designer.number, designer.leaf, hardware.choices)
        self._known: _Known = prices.table.remembered.setdefault(key, _Known())
        self._shapes: dict[str, Shape] = {}
        self._totals: dict[int, Logic] = {}

    def of(self, engine: Engine, folding: Folding) -> Front:
        """The front of an engine at one folding. Raises CostError, the same each time."""
        key = (self._shape(engine), folding)
        found = self._known.fronts.get(key)
        if found is None:
            try:
                found = self._described(engine, folding)
            except CostError as error:
                found = error
            self._known.fronts[key] = found
        if isinstance(found, CostError):
            raise found
        return found

    def offers(self, engine: Engine, foldings: tuple[Folding, ...]) -> Offers:
        """Fronts at all of these foldings that the table prices. Raises CostError if there is none."""
        key = (self._shape(engine), foldings)
        found = self._known.offers.get(key)
        if found is None:
            found = self._known.offers[key] = self._offers(engine, foldings)
        return found

    def _offers(self, engine: Engine, foldings: tuple[Folding, ...]) -> Offers:
        known, refusal = [], None
        for folding in foldings:
            try:
                known.append((folding, self.of(engine, folding)))
            except CostError as error:
                refusal = refusal or error
        if not known:
            raise refusal or CostError(f"layer {engine.name} has no folding")
        examples: dict[int, Folding] = {}
        for folding, front in known:
            examples.setdefault(front.lanes, folding)
        number = {lanes: i for i, lanes in enumerate(examples)}
        return Offers(
            tuple(folding for folding, _ in known),
            np.array([engine.cycles(folding.pe, folding.simd) for folding, _ in known]),
            np.array([worth(front.logic, self._hardware.rates) for _, front in known]),
            np.array([front.memories for _, front in known]),
            np.array([float(products(folding)) for folding, _ in known]),
            np.array([number[front.lanes] for _, front in known]),
            tuple(examples.values()),
        )

    def _described(self, engine: Engine, folding: Folding) -> Front:
        designer = self._designer
        sums, turn = designer.sums(engine, folding), designer.turn(engine, folding)
        control = designer.control(engine, folding)
        logic = summed(
            (self.total(sums, sums.lane_units), folding.pe / sums.lanes),
            (self.total(sums.units, sums.units), 1),
            (self.total(control, control), 1),
            (self.total(turn, turn.units), 1),
        )
        stored = dot_memories(engine, folding, designer.graph, designer.number)
        return Front(logic, self._hardware.worth(stored), chain_lanes(engine, folding))

    def total(self, key: object, units: Sequence[Unit]) -> Logic:
        """The price of units, remembered by an object that lives as long as the designer."""
        found = self._totals.get(id(key))
        if found is None:
            found = self._totals[id(key)] = self._prices.total(units)
        return found

    def _shape(self, engine: Engine) -> Shape:
        found = self._shapes.get(engine.dot.name)
        if found is None:
            designer = self._designer
            memory = dot_shape(engine, designer.graph, designer.number)
            found = self._shapes[engine.dot.name] = (designer.shape(engine), memory)
        return found


def summed(*parts: tuple[Mapping[str, float | None], float]) -> Logic:
    """Amounts times how often they are there."""
    found: Logic = {}
    for name in parts[0][0]:
        known = [n * times for amounts, times in parts if (n := amounts[name]) is not None]
        found[name] = sum(known) if len(known) == len(parts) else None
    return found


def worth(amounts: Logic, rates: Mapping[str, float]) -> float:
    """What these are worth, at so much for one of each; not a number where one has no figure."""
    known = [(rate, amounts[name]) for name, rate in rates.items()]
    return sum(np.nan if amount is None else rate * amount for rate, amount in known)
