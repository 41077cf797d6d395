"""Many pipelines at once: one graph whose power-of-two PReLUs may choose from different sets of exponents.

What `abcost.accelerator.solve.organise` finds for one graph, for thousands of variants of it. Only the chain of an
engine depends on its sets, so that an engine is priced once per combination of them; foldings, memories and latency
depend on the sets by way of the chosen foldings alone, and are kept per choice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from abcost.accelerator.cells import lone_ffs
from abcost.accelerator.clock import Delays, Slowest, leaf_for
from abcost.accelerator.engine import Engine, Work
from abcost.accelerator.folding import Folding, smallest
from abcost.accelerator.memory import Memory
from abcost.accelerator.multipliers import MULTIPLYING, within_dsps
from abcost.accelerator.parts import fpga_of
from abcost.accelerator.pipelined import PRELU_UNITS, Pipelined
from abcost.accelerator.placing import Places
from abcost.accelerator.result import resources_of
from abcost.accelerator.solve import AcceleratorGoal, longest_interval
from abcost.accelerator.unit_costs import LOGIC, UnitCosts
from abcost.classify.counts import counts_of
from abcost.core.graph import OpGraph
from abcost.core.kinds import OpKind
from abcost.core.node import OpNode
from abcost.cost.organisation import Unit
from abcost.cost.table import CostTable

Chosen = NDArray[np.int64]
"""(candidates, layers): which of the sets each layer has."""
Numbers = NDArray[np.float64]
_FIELDS = (*LOGIC, "post_luts", "prelu_luts", "lone_ffs")  # of an engine's logic


def offering(node: OpNode, exponents: Sequence[int]) -> OpNode:
    """The PReLU as hardware that offers these exponents."""
    return replace(node, attrs={**node.attrs, "allowed": sorted(exponents)})


def slope_nodes(graph: OpGraph) -> list[OpNode]:
    """Its power-of-two PReLUs."""
    return [node for node in graph if node.kind is OpKind.SHIFT_PRELU]


@dataclass(frozen=True, slots=True)
class Pipelines:
    """What each candidate takes, NaN where that is unknown or nothing fits; `fits`: the device, at the frames wished.

    post_luts: LUTs of what stands behind the sums of dot products: post-processing; prelu_luts: of PReLU units.
    """

    fits: NDArray[np.bool_]
    values: Mapping[str, Numbers]


@dataclass(frozen=True, slots=True)
class _Codes:
    """The combinations of sets that an engine has in a batch of candidates, and which candidate has which."""

    distinct: list[int]
    of: Chosen  # (candidates,)


class Variants:
    """Organises variants of one graph; a layer of `layers` takes one of `sets`."""

    def __init__(
        self,
        graph: OpGraph,
        table: CostTable,
        *,
        width: int,
        fraction_bits: int,
        goal: AcceleratorGoal,
        layers: Sequence[str],
        sets: Sequence[Sequence[int]],
    ) -> None:
        self._device = fpga_of(goal.device)
        self._delays = Delays(table, goal.device)
        leaf = leaf_for(self._delays.table, goal.clock_mhz, width)
        self._base = Pipelined(
            graph, table, width=width, fraction_bits=fraction_bits, folding=goal.folding, leaf=leaf
        )
        self._graph, self._width = graph, width
        self.goal, self._sets = goal, sets
        column = {layer: i for i, layer in enumerate(layers)}
        self._columns = [
            sorted({column[w.node.layer] for w in engine.chain if _chosen(w, column)})
            for engine in self._base.engines
        ]
        self._layers = layers
        self._rungs: dict[tuple[int, int], list[tuple[int, Folding]]] = {}
        self._variants: dict[tuple[int, int], Engine] = {}
        self._rows: dict[tuple[int, int, Folding], list[float]] = {}
        self._stored: dict[tuple[Folding, ...], _Stored] = {}
        self._slow: dict[tuple[str, Folding, int], Slowest] = {}

    def organise(self, chosen: Chosen) -> Pipelines:
        """Every candidate as `abcost.accelerator.solve.organise` would organise it. Raises CostError as that does."""
        codes = [self._codes(number, chosen) for number in range(len(self._columns))]
        rungs = [[self._ladder(i, code) for code in found.distinct] for i, found in enumerate(codes)]
        shortest = np.max(
            [np.array([found[0][0] for found in of])[c.of] for of, c in zip(rungs, codes, strict=True)],
            axis=0,
        )
        fits = np.zeros(len(chosen), dtype=bool)
        values = {name: np.full(len(chosen), np.nan) for name in _NAMES}
        left = np.arange(len(chosen))
        for interval in self._intervals({cycles for of in rungs for found in of for cycles, _ in found}):
            tried = left[shortest[left] <= interval]
            built = self._build(interval, codes, tried)
            good = ~self._over(built)
            first = np.isnan(values["interval"][tried])  # what does not fit is shown as it was first tried
            for name, numbers in built.items():
                values[name][tried[first | good]] = numbers[first | good]
            fits[tried[good]] = self._clocked(built)[good]
            left = np.setdiff1d(left, tried[good], assume_unique=True)
            if not len(left):
                break
        return Pipelines(fits, values)

    def _intervals(self, cycles: set[int]) -> list[float]:
        """Intervals in cycles as tried: fastest first; with frames/s to reach, the slowest that reaches them first."""
        fastest_first = sorted(cycles)
        if self.goal.fps is None:
            return [float(c) for c in fastest_first]
        longest = longest_interval(self.goal.fps, self.goal.clock_mhz)
        return [longest, *(float(c) for c in reversed(fastest_first) if c <= longest)]

    def _codes(self, number: int, chosen: Chosen) -> _Codes:
        code = np.zeros(len(chosen), dtype=np.int64)
        for column in self._columns[number]:
            code = code * len(self._sets) + chosen[:, column]
        distinct, of = _distinct(code)
        return _Codes(distinct.tolist(), of)

    def _variant(self, number: int, code: int) -> Engine:
        """The engine with the sets that the code says."""
        known = self._variants.get((number, code))
        if known is None:
            chosen: dict[str, Sequence[int]] = {}
            rest = code
            for column in reversed(self._columns[number]):
                rest, index = divmod(rest, len(self._sets))
                chosen[self._layers[column]] = self._sets[index]
            engine = self._base.engines[number]
            chain = tuple(self._work(work, chosen) for work in engine.chain)
            known = self._variants[number, code] = replace(engine, chain=chain)
        return known

    def _work(self, work: Work, chosen: Mapping[str, Sequence[int]]) -> Work:
        if not _chosen(work, chosen):
            return work
        node = offering(work.node, chosen[work.node.layer])
        return Work(node, counts_of(self._graph, node, self._width))

    def _ladder(self, number: int, code: int) -> list[tuple[int, Folding]]:
        known = self._rungs.get((number, code))
        if known is None:
            known = self._rungs[number, code] = self._base.rungs(number, self._variant(number, code))
        return known

    def _row(self, number: int, code: int, folding: Folding) -> list[float]:
        """`_FIELDS` of an engine's logic, and the longest delay of its units in ns; NaN where one is not known."""
        known = self._rows.get((number, code, folding))
        if known is None:
            variant, prices = self._variant(number, code), self._base.prices
            logic = self._base.logic(variant, folding)
            dot, post = self._base.groups(variant, folding)
            prelu = prices.total(unit for unit in post if unit.op in PRELU_UNITS)["luts"]
            slow = self._slowest(variant, folding)
            delay = None if slow.missing or slow.delay is None else slow.delay.value
            own = [prices.total(post)["luts"], prelu, lone_ffs([*dot, *post])]
            numbers = [*(logic[name] for name in LOGIC), *own, delay]
            known = self._rows[number, code, folding] = [np.nan if x is None else x for x in numbers]
        return known

    def _slowest(self, variant: Engine, folding: Folding) -> Slowest:
        """The longest path; that of all but its PReLUs is the same for many sets of exponents."""
        designer = self._base.designer
        chain = designer.chain_units(variant, folding)
        key = (variant.dot.name, folding, id(chain.common))
        fixed = self._slow.get(key)
        if fixed is None:
            units = designer.fixed_units(variant, folding)
            fixed = self._slow[key] = self._delays.slowest(variant.name, units)
        return fixed.or_later(self._delays.slowest(variant.name, chain.prelus))

    def _clocked(self, values: Mapping[str, Numbers]) -> NDArray[np.bool_]:
        """Which are not known to miss the clock."""
        found: NDArray[np.bool_] = ~(values["period_ns"] > 1000 / self.goal.clock_mhz * (1 + 1e-9))
        return found

    def _build(self, interval: float, codes: Sequence[_Codes], which: Chosen) -> dict[str, Numbers]:
        """The smallest foldings with at most so many cycles per frame, for the candidates `which`."""
        logic = np.zeros((len(which), len(_FIELDS)))
        period = np.zeros(len(which))
        foldings: list[list[Folding]] = []  # of each engine, those that occur
        indices = np.zeros((len(which), len(codes)), dtype=np.int64)  # which of them each candidate has
        for number, found in enumerate(codes):
            picked = []
            for code in found.distinct:
                rungs = self._ladder(number, code)
                picked.append(smallest(rungs, interval) or rungs[0][1])
            rows = np.array([self._row(number, c, f) for c, f in zip(found.distinct, picked, strict=True)])
            of = found.of[which]
            logic += rows[of, :-1]
            period = np.maximum(period, rows[of, -1])
            occurring = list(dict.fromkeys(picked))
            place_of = {folding: i for i, folding in enumerate(occurring)}
            indices[:, number] = np.array([place_of[folding] for folding in picked])[of]
            foldings.append(occurring)
        values = dict(zip(_FIELDS, logic.T.copy(), strict=True))
        values |= {name: np.zeros(len(which)) for name in _MEMORY}
        values["period_ns"] = period
        combinations, of = np.unique(indices, axis=0, return_inverse=True)
        for number, combination in enumerate(combinations):
            mine = np.flatnonzero(of.reshape(-1) == number)
            picked = [foldings[i][j] for i, j in enumerate(combination)]
            self._add_memories(values, mine, tuple(picked))
        return values

    def _add_memories(self, values: dict[str, Numbers], mine: Chosen, foldings: tuple[Folding, ...]) -> None:
        """What depends on the foldings: memories, which give way to logic, and times."""
        stored = self._stored.get(foldings)
        if stored is None:
            stored = self._stored[foldings] = _Stored(self._base, foldings, self.goal)
        values["interval"][mine], values["latency"][mine] = stored.interval, stored.latency
        for name, amount in stored.logic.items():
            values[name][mine] += amount
        device = self._device
        if device is not None:
            short = mine[values["dsps"][mine] > device.dsps]
            for excess in np.unique(values["dsps"][short] - device.dsps):
                those = short[values["dsps"][short] - device.dsps == excess]
                for name, more in stored.without_dsps(float(excess)).items():
                    values[name][those] += more
        leaving = np.searchsorted(stored.places.rooms, values["luts"][mine])
        for number in np.unique(leaving):
            those = mine[leaving == number]
            for name, amount in stored.placed(int(number)).items():
                values[name][those] += amount
            read = max((self._read(m) for m in stored.in_blocks(int(number))), default=0.0)
            values["period_ns"][those] = np.maximum(values["period_ns"][those], read)

    def _read(self, memory: Memory) -> float:
        """The delay of a read of block memory in ns; NaN where it is not known."""
        found = self._delays.read(memory)
        return np.nan if found is None else found.value

    def _over(self, values: Mapping[str, Numbers]) -> NDArray[np.bool_]:
        """Which exceed the device, or are not known to fit it."""
        wrong = [np.isnan(values[name]) for name in LOGIC]
        device = self._device
        if device is not None:
            cells = device.family.cells
            luts, ffs, lone = values["luts"], values["ffs"], values["lone_ffs"]
            used = {**values, "luts": luts if cells is None else cells.most(luts, ffs, lone)}
            wrong += [used[name] > getattr(device, name) for name in _COUNTED if name != "lutram"]
            if device.lutram is not None:
                wrong.append(values["lutram"] > device.lutram)
            if device.bandwidth_gb_s is not None:
                bits = values["external_bits"] * self.goal.clock_mhz * 1e6 / values["interval"]
                wrong.append(bits / 8e9 > device.bandwidth_gb_s * (1 + 1e-9))
        over: NDArray[np.bool_] = np.any(wrong, axis=0)
        return over


_MARKED = 1 << 20
"""Codes below it are marked in an array, which is faster than sorting them."""


def _distinct(code: Chosen) -> tuple[Chosen, Chosen]:
    """Rising, each once; and which of them each element is."""
    if not len(code) or code.max() >= _MARKED:
        distinct, of = np.unique(code, return_inverse=True)
        return distinct, of
    marked = np.zeros(code.max() + 1, dtype=np.int64)
    marked[code] = 1
    return np.flatnonzero(marked), (np.cumsum(marked) - 1)[code]


_MEMORY = ("lutram", "blocks", "uram", "spram", "external_bits", "interval", "latency")
_COUNTED = (*LOGIC, "lutram", "blocks", "uram", "spram")
_NAMES = (*_FIELDS, *_MEMORY, "period_ns")


def _chosen(work: Work, layers: Mapping[str, object]) -> bool:
    return work.node.kind is OpKind.SHIFT_PRELU and work.node.layer in layers


class _Stored:
    """Memories and times of one choice of foldings, and what multipliers of LUTs change.

    interval, latency: cycles. logic: `LOGIC` of what stands between the engines, and `lone_ffs`.
    places: see `abcost.accelerator.placing.Places`.
    """

    def __init__(self, base: Pipelined, foldings: Sequence[Folding], goal: AcceleratorGoal) -> None:
        self._base = base
        self._pairs = list(zip(base.engines, foldings, strict=True))
        cycles = {e.dot.name: e.cycles(f.pe, f.simd) for e, f in self._pairs}
        self.interval = max(cycles.values())
        self.latency = base.latency(foldings, cycles, self.interval)
        self._device = fpga_of(goal.device)
        memories = [m for group in base.memories(foldings) for m in group]
        between = [unit for around in base.between(foldings) for unit in around.units]
        self.logic = {name: np.nan if n is None else n for name, n in base.prices.total(between).items()}
        self.logic["lone_ffs"] = lone_ffs(between)
        self.places = Places(memories, self._device, goal.weights)
        self._placed: dict[int, dict[str, float]] = {}
        self._blocks: dict[int, list[Memory]] = {}
        self._multiplying: list[list[Unit]] | None = None
        self._relieved: dict[float, dict[str, float]] = {}

    def without_dsps(self, excess: float) -> dict[str, float]:
        """What logic takes more if it must do without `excess` DSPs.

        Which units multiply depends on no set of exponents.
        """
        known = self._relieved.get(excess)
        if known is None:
            base, prices = self._base, self._base.prices
            if self._multiplying is None:
                self._multiplying = [
                    [unit for unit in group if unit.op in MULTIPLYING]
                    for e, f in self._pairs
                    for group in base.groups(e, f)
                ]
            used = sum(prices.total(group)["dsps"] or 0.0 for group in self._multiplying)
            after = within_dsps(self._multiplying, prices, used - excess)
            known = self._relieved[excess] = {
                name: _amount(name, after, prices) - _amount(name, self._multiplying, prices)
                for name in _FIELDS
            }
        return known

    def in_blocks(self, leaving: int) -> Sequence[Memory]:
        """The memories that `placed` has in blocks, one of each size."""
        self.placed(leaving)
        return self._blocks[leaving]

    def _where(self, leaving: int) -> Sequence[Memory]:
        rooms = self.places.rooms
        found = self.places.beside(rooms[leaving] if leaving < len(rooms) else np.inf)
        sizes = {(m.width, m.depth, m.behind): m for m in found if m.place == "block"}
        self._blocks[leaving] = list(sizes.values())
        return found

    def placed(self, leaving: int) -> dict[str, float]:
        """What the memories take when the logic has outgrown `leaving` of the rooms of `places`."""
        known = self._placed.get(leaving)
        if known is None:
            found = self._where(leaving)
            taken = resources_of(dict.fromkeys(LOGIC, 0.0), found, self._device)
            known = self._placed[leaving] = {
                **{name: taken[name] or 0.0 for name in ("luts", "ffs", "lutram", "blocks", "uram", "spram")},
                "external_bits": float(sum(m.traffic_bits for m in found)),
            }
        return known


def _amount(name: str, groups: Sequence[Sequence[Unit]], prices: UnitCosts) -> float:
    """One of `_FIELDS` of units: those of a dot product and those of its post-processing in turn."""
    units = [unit for group in groups for unit in group]
    if name == "post_luts":
        return prices.total(unit for group in groups[1::2] for unit in group)["luts"] or 0.0
    if name == "prelu_luts":
        return prices.total(unit for unit in units if unit.op in PRELU_UNITS)["luts"] or 0.0
    if name == "lone_ffs":
        return lone_ffs(units)
    return prices.total(units)[name] or 0.0
