"""One engine per dot product, all working at once on successive frames (FINN's organisation)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from abcost.accelerator.design.buffers import streams
from abcost.accelerator.design.designer import Blocks, Designer
from abcost.accelerator.design.dot import Leaf
from abcost.accelerator.design.engine import chain_lanes
from abcost.accelerator.design.net import NumberFormat
from abcost.accelerator.design.network import window_at
from abcost.accelerator.engine import Engine, engines
from abcost.accelerator.engine_memory import chain_memories, factor_memories
from abcost.accelerator.folding import Folding, foldings, products, smallest, worth_less
from abcost.accelerator.fronts import Fronts, Logic, Offers, summed, worth
from abcost.accelerator.hardware import Fpga, Hardware
from abcost.accelerator.memory import Memory
from abcost.accelerator.multipliers import in_luts
from abcost.accelerator.own_folding import NO_FOLDING, OwnFolding, depthwise
from abcost.accelerator.placing import Weights
from abcost.accelerator.result import Accelerator, Layer
from abcost.accelerator.stream_buffers import Between, StreamBuffers
from abcost.accelerator.timing import delays, latency
from abcost.accelerator.unit_costs import UnitCosts
from abcost.core.graph import OpGraph
from abcost.cost.organisation import Unit
from abcost.cost.table import CostTable
from abcost.errors import CostError

DOT_UNITS = (
    "xnor_popcount",
    "masked_popcount",
    "plain_popcount",
    "constant_popcount",
    "two_word_popcount",
    "masked_two_word_popcount",
    "signed_sum",
)
PRELU_UNITS = ("prelu", "qprelu", "qprelu_add")


class _Built(NamedTuple):
    """The units of an engine at a folding, those of its dot product and those behind it, and what they take."""

    dot: Sequence[Unit]
    post: Sequence[Unit]
    logic: Logic
    chain_luts: float | None
    prelu_luts: float | None


class Pipelined:
    """The layer pipeline of one graph; `build` organises it for a frame interval.

    folding: of the layers that the user has folded. leaf: what is added up in one clock cycle. streamed: only
    foldings whose taps come out of a window's memory step by step, as in a circuit of the whole network.
    hardware: what it is built of; default: an FPGA without limits.
    """

    kind = "pipelined"

    def __init__(
        self,
        graph: OpGraph,
        table: CostTable,
        *,
        width: int,
        fraction_bits: int,
        folding: OwnFolding = NO_FOLDING,
        leaf: Leaf | None = None,
        streamed: bool = False,
        hardware: Hardware | None = None,
    ) -> None:
        self.graph, self.streamed = graph, streamed
        self.hardware = hardware or Fpga(None)
        self.prices = UnitCosts.of_table(table)
        self.width = width
        self.fraction_bits = fraction_bits
        self.engines = engines(graph, width)
        number = NumberFormat(width, fraction_bits)
        blocks = table.remembered.setdefault(("blocks", number, leaf), Blocks())
        self.designer = Designer(graph, number, leaf, blocks)
        self._buffers = StreamBuffers(graph, self.engines, self.designer)
        self._fronts = Fronts(self.designer, self.prices, self.hardware)
        self._given = folding.of(self.engines)
        self._folding = folding.part(self.engines)
        self._offered: dict[str, Offers] = {}
        self._built: dict[tuple[int, Folding], _Built] = {}
        self._logics: dict[tuple[int, Folding], Logic] = {}
        self._chain_worths: dict[tuple[str, int], float] = {}
        self._ladders = [self.rungs(number, engine) for number, engine in enumerate(self.engines)]

    def rungs(self, number: int, engine: Engine) -> list[tuple[int, Folding]]:
        """The ladder of an engine, or one rung where its folding is given. Raises CostError where no price reaches."""
        given = self._given[number]
        if given is None:
            return self._ladder(engine)
        self.worth(engine, given)
        return [(engine.cycles(given.pe, given.simd), given)]

    def _ladder(self, engine: Engine) -> list[tuple[int, Folding]]:
        """The foldings worth less than every faster one; see `worth`, here for all at once."""
        offers = self._offers(engine)
        found, refusal = [], None
        for folding in offers.examples:
            try:
                found.append((self._worth(self._behind(engine, folding)), self._chain_worth(engine, folding)))
            except CostError as error:
                refusal = refusal or error
                found.append((np.inf, np.inf))
        behind, stored = np.array(found).T
        if refusal is not None and np.isinf(behind).all():
            raise refusal
        values = offers.logic + (stored[offers.lanes] + offers.memories) + behind[offers.lanes]
        values = np.where(np.isnan(values), offers.products, values)
        priced = np.isfinite(values)
        chosen = [offers.foldings[i] for i in np.flatnonzero(priced)]
        return worth_less(chosen, offers.cycles[priced], values[priced])

    def _offers(self, engine: Engine) -> Offers:
        """The same for all sets of exponents of an engine. Raises CostError where no price reaches any."""
        found = self._offered.get(engine.dot.name)
        if found is None:
            allowed = tuple(folding for folding in foldings(engine) if self._allowed(engine, folding))
            found = self._offered[engine.dot.name] = self._fronts.offers(engine, allowed)
        return found

    def _allowed(self, engine: Engine, folding: Folding) -> bool:
        return not self.streamed or streams(window_at(self.graph, engine), folding.simd)

    @property
    def intervals(self) -> list[int]:
        """Cycles per frame that some folding has, fastest first."""
        shortest = max(rungs[0][0] for rungs in self._ladders)
        found = {cycles for rungs in self._ladders for cycles, _ in rungs}
        return sorted(cycles for cycles in found if cycles >= shortest)

    def slowest_engine(self) -> str:
        """What sets the shortest interval: an engine, and how it is folded then."""
        number = max(range(len(self.engines)), key=lambda i: self._ladders[i][0][0])
        how = "fully unrolled" if self._given[number] is None else "folded as given"
        return f"{how}, {self.engines[number].name}"

    def too_large(self, interval: float) -> bool:
        """Whether the logic alone exceeds the part: seen sooner than by building."""
        chosen = self._chosen(interval)
        return self.hardware.too_large([self._logic_at(i, folding) for i, folding in enumerate(chosen)])

    def _logic_at(self, number: int, folding: Folding) -> Logic:
        """The logic of an engine of the graph, remembered as in `_at`."""
        key = (number, folding)
        if key not in self._logics:
            self._logics[key] = self.logic(self.engines[number], folding)
        return self._logics[key]

    def _chosen(self, interval: float) -> list[Folding]:
        """The smallest foldings with at most so many cycles per frame; of engines that have none the fastest."""
        return [smallest(rungs, interval) or rungs[0][1] for rungs in self._ladders]

    def build(self, interval: float, *, clock_mhz: float, weights: Weights | None = None) -> Accelerator:
        """The smallest foldings with at most so many cycles per frame; engines that cannot are at their fastest."""
        chosen = self._chosen(interval)
        cycles = [e.cycles(f.pe, f.simd) for e, f in zip(self.engines, chosen, strict=True)]
        actual = max(cycles)
        own = {e.dot.name: n for e, n in zip(self.engines, cycles, strict=True)}
        built = self._within([self._at(number, folding) for number, folding in enumerate(chosen)])
        between = self.between(chosen)
        logic = [
            summed((part.logic, 1), (self.prices.total(around.units), 1))
            for part, around in zip(built, between, strict=True)
        ]
        held = self._placed(chosen, logic, weights)
        layers = tuple(
            Layer(
                name=engine.name,
                pe=folding.pe,
                simd=folding.simd,
                cycles=n,
                resources=self.hardware.resources(taken, stored),
                chain_luts=part.chain_luts,
                prelu_luts=part.prelu_luts,
                weights=_home(engine, stored),
                external_bits=sum(m.traffic_bits for m in stored),
                missing=self._missing(part) | self.prices.missing(around.units),
                lut_multipliers=in_luts([*part.dot, *part.post]),
                depthwise=depthwise(engine),
                pipeline_stages=self.designer.stages(engine, folding),
                units=(*part.dot, *part.post),
                between=around.units,
                memories=tuple(stored),
            )
            for engine, folding, n, part, around, taken, stored in zip(
                self.engines, chosen, cycles, built, between, logic, held, strict=True
            )
        )
        return Accelerator(
            kind=self.kind,
            clock_mhz=clock_mhz,
            device=self.hardware.part,
            layers=layers,
            bottleneck=max(layers, key=lambda layer: layer.cycles).name,
            interval=actual,
            latency=self.latency(chosen, own, actual),
            folding=self._folding,
        )

    def _at(self, number: int, folding: Folding) -> _Built:
        """An engine of the graph at a folding, remembered: one interval after another is built of the same."""
        found = self._built.get((number, folding))
        if found is None:
            found = self._built[number, folding] = self._priced_of(
                *self.groups(self.engines[number], folding)
            )
        return found

    def _priced_of(self, dot: Sequence[Unit], post: Sequence[Unit]) -> _Built:
        logic, behind = self.prices.total([*dot, *post]), self.prices.total(post)
        prelus = self.prices.total(unit for unit in post if unit.op in PRELU_UNITS)
        return _Built(dot, post, logic, behind.get("luts"), prelus.get("luts"))

    def _within(self, built: list[_Built]) -> list[_Built]:
        """The same, some units made otherwise where the part has too few of something."""
        groups = [group for part in built for group in (part.dot, part.post)]
        units = self.hardware.within(groups, self.prices)
        return [
            part if dot == [*part.dot] and post == [*part.post] else self._priced_of(dot, post)
            for part, dot, post in zip(built, units[::2], units[1::2], strict=True)
        ]

    def _missing(self, part: _Built) -> frozenset[str]:
        """Figures that the table lacks of an engine's units."""
        if None not in part.logic.values():
            return frozenset()
        return self.prices.missing([*part.dot, *part.post])

    def latency(self, chosen: Sequence[Folding], cycles: Mapping[str, int], interval: int) -> float:
        """Cycles from the first pixel to the last result, at these foldings; cycles: of the dot products, by node."""
        pairs = zip(self.engines, chosen, strict=True)
        stages = {engine.dot.name: self.designer.stages(engine, folding) for engine, folding in pairs}
        return latency(self.graph, delays(self.graph, cycles, interval, stages), interval)

    def logic(self, engine: Engine, folding: Folding) -> Logic:
        """What an engine's units take; foldings share blocks, which are priced once."""
        return summed((self._fronts.of(engine, folding).logic, 1), (self._behind(engine, folding), 1))

    def _behind(self, engine: Engine, folding: Folding) -> Logic:
        """The chain."""
        units = self.designer.chain_units(engine, folding)
        parts = (units.common, units.prelus)
        return summed(*((self._fronts.total(part, part), 1) for part in parts))

    def units(self, engine: Engine, folding: Folding) -> list[Unit]:
        """What an engine is built of at a folding."""
        return self.designer.units(engine, folding)

    def groups(self, engine: Engine, folding: Folding) -> tuple[Sequence[Unit], Sequence[Unit]]:
        """Units of the dot product, and units of post-processing."""
        return self.designer.dot_units(engine, folding), self.designer.post_units(engine, folding)

    def _placed(
        self, chosen: Sequence[Folding], logic: Sequence[Logic], weights: Weights | None
    ) -> list[list[Memory]]:
        """Memories per engine, placed together: they compete for the same blocks."""
        asked = self.memories(chosen)
        placed = iter(self.hardware.place([m for group in asked for m in group], logic, weights))
        return [[next(placed) for _ in group] for group in asked]

    def between(self, chosen: Sequence[Folding]) -> list[Between]:
        """What stands between the engines at these foldings: in front of each, and behind the last."""
        return self._buffers.of(chosen)

    def memories(self, chosen: Sequence[Folding]) -> list[list[Memory]]:
        """What each engine stores at these foldings: weights, windows, running results, FIFOs of its operands."""
        number = self.designer.number
        return [
            [
                *factor_memories(engine, folding, self.graph, number),
                *chain_memories(engine, chain_lanes(engine, folding), self.graph, number.width),
                *around.memories,
            ]
            for engine, folding, around in zip(self.engines, chosen, self.between(chosen), strict=True)
        ]

    def worth(self, engine: Engine, folding: Folding) -> float:
        """What the logic and memories of an engine are worth at a folding; products where the table is silent."""
        front = self._fronts.of(engine, folding)
        memories = self._chain_worth(engine, folding) + front.memories
        found = self._worth(front.logic) + memories + self._worth(self._behind(engine, folding))
        return products(folding) if np.isnan(found) else found

    def _worth(self, amounts: Logic) -> float:
        return worth(amounts, self.hardware.rates)

    def _chain_worth(self, engine: Engine, folding: Folding) -> float:
        """What the memories behind a dot product are worth, FIFOs aside."""
        key = (engine.dot.name, chain_lanes(engine, folding))
        found = self._chain_worths.get(key)
        if found is None:
            stored = chain_memories(engine, key[1], self.graph, self.designer.number.width)
            found = self._chain_worths[key] = self.hardware.worth(stored)
        return found


def _home(engine: Engine, stored: Sequence[Memory]) -> str:
    """Where the weights are; "logic" if they are constants of the circuit, "none" if both factors are computed."""
    made = "none" if engine.dot.const("weight") is None else "logic"
    return next((m.place for m in stored if m.role == "weights"), made)
