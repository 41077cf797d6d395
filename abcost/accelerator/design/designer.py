"""Describes the engines of one graph, and keeps what it described: foldings and sets of exponents share most of it.

The chain of an engine depends on its lanes alone, its dot product on nothing in the chain.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from abcost.accelerator.design.constants import parameter_bits, weight_fraction
from abcost.accelerator.design.dot import (
    FEW_WORDS,
    POPCOUNTED,
    Leaf,
    address_counter,
    padded,
    segment,
    taps_per_position,
)
from abcost.accelerator.design.engine import (
    ChainBlock,
    EngineDesign,
    SumsBlock,
    TurnBlock,
    chain_lanes,
    describe_chain,
    describe_sums,
    describe_turn,
    steps_of,
    unwritten_dot,
)
from abcost.accelerator.design.net import NumberFormat
from abcost.accelerator.engine import Engine
from abcost.accelerator.engine_memory import weight_word
from abcost.accelerator.folding import Folding, divisors
from abcost.classify.counts import exponents_of
from abcost.core.adders.of_node import graph_of
from abcost.core.exponents import ExponentSet, sizes_of
from abcost.core.graph import OpGraph
from abcost.core.kinds import OpKind
from abcost.cost.organisation import Unit
from abcost.rtl.units.exponents import distinct


class ChainUnits(NamedTuple):
    """What a chain takes: its power-of-two PReLUs in order, and all else."""

    common: tuple[Unit, ...]
    prelus: tuple[Unit, ...]


class _Choices(NamedTuple):
    """Of the power-of-two PReLUs of a chain, in order: the exponents that hardware tells apart, and the stored codes.

    codes: whether channels choose among exponents, and the bits of the code that says which.
    """

    sets: tuple[ExponentSet, ...]
    codes: tuple[tuple[bool, int], ...]


_Resized = dict[tuple[ExponentSet, ...], tuple[Unit, ...]]
"""PReLUs of a chain, by the sets that they choose from."""


class Blocks:
    """Dot products and ways to the lanes that are described, by what they depend on."""

    def __init__(self) -> None:
        self.sums: dict[tuple[object, ...], SumsBlock] = {}
        self.turns: dict[tuple[object, ...], TurnBlock] = {}


class Designer:
    """Engines at their foldings. leaf: what is added up in one clock cycle.

    blocks: those of designers of other graphs with the same number format and leaf, to share.
    """

    def __init__(
        self, graph: OpGraph, number: NumberFormat, leaf: Leaf | None = None, blocks: Blocks | None = None
    ) -> None:
        self.graph, self.number, self.leaf = graph, number, leaf or Leaf()
        self._blocks = blocks or Blocks()
        self._chains: dict[
            tuple[int, int], tuple[Engine, ChainBlock]
        ] = {}  # keeps the engine: ids are of the living
        self._choices: dict[int, tuple[Engine, _Choices]] = {}
        self._like: dict[tuple[object, ...], tuple[ChainUnits, _Resized]] = {}
        self._prelus: dict[tuple[Unit, ...], _Resized] = {}
        self._shapes: dict[str, tuple[object, ...]] = {}
        self._dots: dict[tuple[str, Folding], tuple[Unit, ...]] = {}

    def sums(self, engine: Engine, folding: Folding) -> SumsBlock:
        """The dot product with as many taps per step, in some number of lanes, whose units scale to any other number.

        Lanes whose weights are constants share units: then the number is that of the folding.
        """
        known = self._words(engine, folding) <= FEW_WORDS
        pe = folding.pe if known else next((n for n in divisors(engine.channels) if n > 1), 1)
        key = (self.shape(engine), folding.simd, known and pe)
        found = self._blocks.sums.get(key)
        if found is None:
            word = weight_word(engine, self.number)
            folded = Folding(pe, folding.simd)
            found = self._blocks.sums[key] = describe_sums(
                engine, folded, self.number, self.leaf, word, memory=bool(word)
            )
        return found

    def turn(self, engine: Engine, folding: Folding) -> TurnBlock:
        """The way from its PE sums to the lanes of the chain."""
        lanes = chain_lanes(engine, folding)
        key = (self.shape(engine), folding.pe, lanes, self._segment(engine, folding))
        found = self._blocks.turns.get(key)
        if found is None:
            found = self._blocks.turns[key] = describe_turn(
                engine, self.sums(engine, folding).sums, folding.pe, lanes
            )
        return found

    def chain(self, engine: Engine, folding: Folding) -> ChainBlock:
        """The chain of an engine."""
        key = (id(engine), chain_lanes(engine, folding))
        found = self._chains.get(key)
        if found is None:
            value = self.turn(engine, folding).value
            chain = describe_chain(self.graph, engine, self.number, key[1], value)
            found = self._chains[key] = (engine, chain)
        return found[1]

    def chain_units(self, engine: Engine, folding: Folding) -> ChainUnits:
        """Units of the chain of an engine; another set of exponents changes its PReLUs and codes only.

        So one chain is described for all sets whose codes have as many bits, and its PReLUs are resized; chains with
        the same PReLUs share the resized ones.
        """
        sets, codes = self._choices_of(engine)
        key = (engine.dot.name, chain_lanes(engine, folding), codes)
        like = self._like.get(key)
        if like is None:
            unsized = self._unsized(engine, folding, len(sets))
            like = self._like[key] = (unsized, self._prelus.setdefault(unsized.prelus, {}))
        unsized, resized = like
        prelus = resized.get(sets)
        if prelus is None:
            prelus = resized[sets] = tuple(
                replace(unit, **sizes_of(chosen, identity=True))
                for unit, chosen in zip(unsized.prelus, sets, strict=True)
            )
        return ChainUnits(unsized.common, prelus)

    def _choices_of(self, engine: Engine) -> _Choices:
        known = self._choices.get(id(engine))
        if known is None:
            nodes = [work.node for work in engine.chain if work.node.kind is OpKind.SHIFT_PRELU]
            width = self.number.width
            sets = tuple(distinct(exponents_of(node), width) for node in nodes)
            codes = tuple(
                (len(exponents_of(node)) > 1, parameter_bits(node, "exponent", width, 0)) for node in nodes
            )
            known = self._choices[id(engine)] = (engine, _Choices(sets, codes))
        return known[1]

    def _unsized(self, engine: Engine, folding: Folding, prelus: int) -> ChainUnits:
        """Its chain, with PReLUs of a set that stands for any: chains that differ in sets alone have the same."""
        units = self.chain(engine, folding).units
        found = tuple(replace(u, **sizes_of((-1,), identity=True)) for u in units if u.op == "qprelu")
        if len(found) != prelus:
            raise AssertionError(f"{engine.name}: {prelus} PReLUs in {len(found)} units")
        return ChainUnits(tuple(u for u in units if u.op != "qprelu"), found)

    def design(self, engine: Engine, folding: Folding) -> EngineDesign:
        """The whole engine, every lane of it."""
        word = weight_word(engine, self.number)
        sums = describe_sums(engine, folding, self.number, self.leaf, word, memory=bool(word))
        turn, chain = self.turn(engine, folding), self.chain(engine, folding)
        reasons = (*sums.unwritten, *unwritten_dot(self.graph, engine), *chain.unwritten)
        lanes = chain_lanes(engine, folding)
        return EngineDesign(engine, folding, self.number, self.leaf, lanes, sums, turn, chain, reasons)

    def control(self, engine: Engine, folding: Folding) -> tuple[Unit, ...]:
        """The counter that reads the weights."""
        return address_counter(self._words(engine, folding))

    def units(self, engine: Engine, folding: Folding) -> list[Unit]:
        """What the engine takes, in the units of a cost table."""
        return [*self.dot_units(engine, folding), *self.post_units(engine, folding)]

    def dot_units(self, engine: Engine, folding: Folding) -> tuple[Unit, ...]:
        """What its dot product takes."""
        key = (engine.dot.name, folding)
        found = self._dots.get(key)
        if found is None:
            sums = self.sums(engine, folding)
            lanes = (replace(unit, count=unit.count * folding.pe // sums.lanes) for unit in sums.lane_units)
            found = self._dots[key] = (*sums.units, *lanes, *self.control(engine, folding))
        return found

    def post_units(self, engine: Engine, folding: Folding) -> list[Unit]:
        """Units of the post-processing behind its sums."""
        chain = self.chain_units(engine, folding)
        return [*self.turn(engine, folding).units, *chain.common, *chain.prelus]

    def fixed_units(self, engine: Engine, folding: Folding) -> list[Unit]:
        """All but the power-of-two PReLUs of its chain."""
        common = self.chain_units(engine, folding).common
        return [*self.dot_units(engine, folding), *self.turn(engine, folding).units, *common]

    def stages(self, engine: Engine, folding: Folding) -> int:
        """Clock edges from the last step of a dot product to the latest result."""
        last = max((result.net.age for result in self.chain(engine, folding).results), default=1)
        return self.sums(engine, folding).sums.value.age + self.turn(engine, folding).value.age + last - 1

    def _words(self, engine: Engine, folding: Folding) -> int:
        """Words of weights that are read one after another; 0 where the second factor is an input."""
        if engine.dot.const("weight") is None:
            return 0
        return steps_of(engine, folding) * -(-engine.channels // folding.pe)

    def _segment(self, engine: Engine, folding: Folding) -> int:
        return segment(engine, folding.simd) if padded(engine) else 0

    def shape(self, engine: Engine) -> tuple[object, ...]:
        """What its dot product depends on: engines of one shape share it, in whatever graph."""
        known = self._shapes.get(engine.dot.name)
        if known is None:
            known = self._shapes[engine.dot.name] = (
                None if engine.arithmetic in POPCOUNTED and not engine.in_adders else self._numbers(engine),
                engine.arithmetic,
                engine.channels,
                engine.taps,
                engine.bits,
                engine.digits,
                padded(engine) and taps_per_position(engine),
                engine.scale is None,
                engine.dot.const("weight") is None,
            )
        return known

    def _numbers(self, engine: Engine) -> tuple[object, ...]:
        """What a dot product of more than signs depends on beside its shape: how weights are stored, and its units."""
        weight = engine.dot.const("weight")
        fraction = None if weight is None else weight_fraction(weight, self.number)
        digits = engine.dot.attrs.get("csd_fraction_bits")
        if engine.in_adders:
            return engine.dot.kind, engine.dot.consts["weight"], graph_of(engine.dot)
        return engine.dot.kind, engine.counts, weight_word(engine, self.number), fraction, digits
