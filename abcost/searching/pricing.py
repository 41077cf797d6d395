"""The price of candidates: set up once for a network on a target, then thousands per second.

What does not depend on the sets is priced once; per layer and set only its PReLU is priced, when it is first asked for,
and with a device or frames per second its engine (`abcost.accelerator.variants`). The numbers are those of
`abcost analyze --slopes`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from abcost.accelerator.devices import Device
from abcost.accelerator.memory import family_of
from abcost.accelerator.parts import fpga_of
from abcost.accelerator.pipelined import DOT_UNITS, PRELU_UNITS
from abcost.accelerator.solve import AcceleratorGoal, organise
from abcost.accelerator.variants import Chosen, Numbers, Variants, offering, slope_nodes
from abcost.core.exponents import ExponentSet, code_bits, selected, sizes_of
from abcost.core.graph import OpGraph
from abcost.core.node import OpNode
from abcost.cost.organisation import Lanes, Unit
from abcost.cost.price import PricedNode, price, price_node, unit_cost
from abcost.cost.table import CostTable
from abcost.searching.budget import Budget
from abcost.searching.space import Candidate, Space

_FIELDS = ("energy_pj", "luts", "ffs", "dsps", "area_um2", "post_luts", "prelu_luts", "weight_bits")
_BATCH = 20_000  # candidates that are priced together


@dataclass(frozen=True, slots=True)
class PricingHardware:
    """What candidates are priced on. goal: None without a device and frames per second to reach."""

    table: CostTable
    width: int
    organisation: Lanes
    goal: AcceleratorGoal | None

    @property
    def device(self) -> Device | None:
        """The part that must hold the design."""
        return None if self.goal is None else fpga_of(self.goal.device)


@dataclass(frozen=True, slots=True)
class Priced:
    """Quantities per candidate, as in `abcost.searching.budget.QUANTITIES`, and what LUTs are for.

    post_luts: of logic behind the binary dot products; prelu_luts: of PReLU units alone, which choose among exponents.
    NaN where the table has no figure. fits: the device, at the frames per second wished (all, where none are).
    """

    fits: NDArray[np.bool_]
    values: Mapping[str, Numbers]

    def within(self, budget: Budget) -> NDArray[np.bool_]:
        """Which candidates exceed no limit."""
        inside = [self.values[name] <= limit * (1 + 1e-12) for name, limit in budget.costs.items()]
        within: NDArray[np.bool_] = np.all([self.fits, *inside], axis=0)
        return within

    def of(self, index: int) -> dict[str, float | None]:
        """Quantities of one candidate; None where unknown."""
        return {
            name: None if np.isnan(numbers[index]) else float(numbers[index])
            for name, numbers in self.values.items()
        }


class SpacePricer:
    """Prices candidates of one space for one network; its graph is rewritten down to shifts and adds."""

    def __init__(self, graph: OpGraph, space: Space, hardware: PricingHardware) -> None:
        self._space = space
        self._sets: list[ExponentSet] = []  # one of each structure
        self._index: dict[ExponentSet, int] = {}
        structures: dict[tuple[int, ...], int] = {}
        for exponents in space.sets():
            structure = _structure(exponents)
            if structure not in structures:
                structures[structure] = len(self._sets)
                self._sets.append(exponents)
            self._index[exponents] = structures[structure]
        self._hardware = hardware
        groups = enumerate(space.groups.values())
        owner = {layer: group for group, layers in groups for layer in layers}
        self._layers = tuple(owner)
        self._group = np.array([owner[layer] for layer in self._layers])
        column = {layer: i for i, layer in enumerate(self._layers)}
        self._graph = graph
        self._mine: list[list[OpNode]] = [[] for _ in self._layers]  # per layer, its PReLUs
        for node in slope_nodes(graph):
            if node.layer in column:
                self._mine[column[node.layer]].append(node)
        self._fixed = self._fixed_part()
        self._tables = [np.zeros((len(self._sets), len(_FIELDS))) for _ in self._layers]
        self._known = np.zeros((len(self._layers), len(self._sets)), dtype=bool)
        self._variants: Variants | None = None
        if hardware.goal is not None:
            self._variants = Variants(
                graph,
                hardware.table,
                width=hardware.width,
                fraction_bits=hardware.organisation.fraction_bits,
                goal=hardware.goal,
                layers=self._layers,
                sets=self._sets,
            )

    def encode(self, candidates: Sequence[Candidate]) -> Chosen:
        """(candidates, groups): the structure of each set; without those of groups that are not in the network."""
        return np.array([[self._index[s] for s in c.sets if s] for c in candidates], dtype=np.int64)

    def price(self, candidates: Sequence[Candidate]) -> Priced:
        """Raises CostError where the table does not reach."""
        return self.price_encoded(self.encode(candidates))

    def price_encoded(self, encoded: Chosen) -> Priced:
        """Price candidates as `encode` gives them."""
        parts = [self._price(encoded[i : i + _BATCH]) for i in range(0, len(encoded), _BATCH)]
        names = parts[0].values
        return Priced(
            np.concatenate([part.fits for part in parts]),
            {name: np.concatenate([part.values[name] for part in parts]) for name in names},
        )

    def _price(self, encoded: Chosen) -> Priced:
        chosen = encoded[:, self._group]
        sums = np.repeat(self._fixed[None], len(chosen), axis=0)
        for column, table in enumerate(self._tables):
            self._learn(column, chosen[:, column])
            sums += table[chosen[:, column]]
        found = dict(zip(_FIELDS, sums.T, strict=True))
        values = {
            "energy_uj": found.pop("energy_pj") / 1e6,
            "weight_kib": found.pop("weight_bits") / 8 / 1024,
            **found,
        }
        if self._variants is None:
            return Priced(np.ones(len(chosen), dtype=bool), values)
        made = self._variants.organise(chosen)
        goal = self._variants.goal
        per_bram36 = family_of(fpga_of(goal.device)).blocks_per_bram36
        built = dict(made.values)
        interval, cycles = built.pop("interval"), built.pop("latency")
        values |= built
        values["bram36"] = built["blocks"] / per_bram36 if per_bram36 else np.full(len(chosen), np.nan)
        values["latency_ms"] = cycles / goal.clock_mhz / 1e3
        values["fps"] = goal.clock_mhz * 1e6 / interval
        return Priced(made.fits, values)

    def _fixed_part(self) -> Numbers:
        """`_FIELDS` of all that does not depend on the sets."""
        table, width, lanes = self._hardware.table, self._hardware.width, self._hardware.organisation
        names = {node.name for nodes in self._mine for node in nodes}
        others = (price_node(self._graph, n, table, width, lanes) for n in self._graph if n.name not in names)
        return sum((_numbers(node, table) for node in others), np.zeros(len(_FIELDS)))

    def _learn(self, column: int, chosen: Chosen) -> None:
        """Price a layer's PReLUs with the sets that are asked for and not known yet."""
        if self._known[column][chosen].all():
            return
        table, width, lanes = self._hardware.table, self._hardware.width, self._hardware.organisation
        for row in np.unique(chosen[~self._known[column][chosen]]):
            for node in self._mine[column]:
                offered = offering(node, self._sets[row])
                priced = price_node(self._graph, offered, table, width, lanes)
                self._tables[column][row] += _numbers(priced, table)
            self._known[column, row] = True


Kind = tuple[str, str, int | None, int | None, str | None, float | None]
"""What a pricer is set up for: size of the network, rounding, width, fraction bits, device, frames per second."""


def kind_of(candidate: Candidate) -> Kind:
    """What a candidate chooses besides exponents and alpha, which is a shift whatever its exponent."""
    c = candidate
    return c.size, c.scale, c.width, c.fraction, c.device, c.fps


class CandidatePricer:
    """Prices candidates that choose more than exponents: a pricer for each of the other choices, once it is needed."""

    def __init__(self, made: Callable[[Kind], SpacePricer]) -> None:
        """made: what sets a pricer up."""
        self._made = made
        self._pricers: dict[Kind, SpacePricer] = {}

    def price(self, candidates: Sequence[Candidate]) -> Priced:
        """Price candidates, at least one, as `SpacePricer.price`."""
        kinds: dict[Kind, list[int]] = {}
        for i, candidate in enumerate(candidates):
            kinds.setdefault(kind_of(candidate), []).append(i)
        fits = np.zeros(len(candidates), dtype=bool)
        values: dict[str, Numbers] = {}
        for kind, mine in kinds.items():
            if kind not in self._pricers:
                self._pricers[kind] = self._made(kind)
            priced = self._pricers[kind].price([candidates[i] for i in mine])
            fits[mine] = priced.fits
            for name, numbers in priced.values.items():
                values.setdefault(name, np.full(len(candidates), np.nan))[mine] = numbers
        return Priced(fits, values)

    def one(self, candidate: Candidate) -> dict[str, float | None]:
        """The quantities of one candidate."""
        return self.price([candidate]).of(0)


def quantities(graph: OpGraph, hardware: PricingHardware) -> dict[str, float | None]:
    """The quantities of one rewritten graph, priced as a whole. NaN-free: None where unknown, or where nothing fits.

    Raises CostError where the table does not reach.
    """
    table, lanes, goal = hardware.table, hardware.organisation, hardware.goal
    nodes = price(graph, table, width=hardware.width, organisation=lanes)
    sums = sum((_numbers(node, table) for node in nodes), np.zeros(len(_FIELDS)))
    found = {name: None if np.isnan(x) else float(x) for name, x in zip(_FIELDS, sums, strict=True)}
    energy, bits = found.pop("energy_pj"), found.pop("weight_bits")
    found["energy_uj"] = None if energy is None else energy / 1e6
    found["weight_kib"] = None if bits is None else bits / 8 / 1024
    if goal is None:
        return found
    made = organise(graph, table, width=hardware.width, fraction_bits=lanes.fraction_bits, goal=goal)
    plain = made.to_dict()
    post = [layer.chain_luts for layer in made.layers]
    prelus = [layer.prelu_luts for layer in made.layers]
    return {
        **found,
        **plain["resources"],
        "post_luts": None if None in post else sum(x or 0.0 for x in post),
        "prelu_luts": None if None in prelus else sum(x or 0.0 for x in prelus),
        "latency_ms": plain["latency_ms"],
        "fps": plain["fps"],
    }


def _structure(exponents: ExponentSet) -> tuple[int, ...]:
    """What the cost of a PReLU with these exponents depends on."""
    coded = selected(exponents, identity=True)
    return (*sizes_of(exponents, identity=True).values(), code_bits(coded))


def _numbers(node: PricedNode, table: CostTable) -> Numbers:
    """`_FIELDS` of a node, NaN where unknown."""
    cost = node.cost.to_dict()
    post = _luts((unit for unit in node.units if unit.op not in DOT_UNITS), table)
    prelu = _luts((unit for unit in node.units if unit.op in PRELU_UNITS), table)
    numbers = [*(cost[name] for name in _FIELDS[:5]), post, prelu, node.traffic.weight_bits]
    return np.array([np.nan if x is None else x for x in numbers], dtype=np.float64)


def _luts(units: Iterable[Unit], table: CostTable) -> float | None:
    total = 0.0
    for unit in units:
        each = unit_cost(unit, table).luts
        if each is None:
            return None
        total += each * unit.count
    return total
