"""One engine for all layers, time-multiplexed: layers run one after the other.

An array of PE x SIMD products per arithmetic (XNOR, sign-controlled, real) works off the dot products; a chain with
one set of units, each as large as the largest operation that it serves and able to shift by the exponents of all
layers, works behind them. Weights share a memory per array, parameters of the chain one memory, in which what
several layers use (`abcost.cost.stored`) stands once; activations take what is live at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from abcost.accelerator.design.constants import parameter_bits, varies
from abcost.accelerator.design.designer import Designer
from abcost.accelerator.design.dot import Leaf
from abcost.accelerator.design.engine import chain_lanes
from abcost.accelerator.design.net import NumberFormat
from abcost.accelerator.design.signed_digits import digits_of
from abcost.accelerator.engine import Engine, engines
from abcost.accelerator.engine_memory import stored_word, weight_word
from abcost.accelerator.folding import MOST_SIMD, Folding
from abcost.accelerator.hardware import Fpga, Hardware
from abcost.accelerator.live import peak_activation_bits
from abcost.accelerator.memory import Memory
from abcost.accelerator.multipliers import in_luts
from abcost.accelerator.pipelined import DOT_UNITS, PRELU_UNITS
from abcost.accelerator.placing import Weights
from abcost.accelerator.result import Accelerator, Layer
from abcost.accelerator.unit_costs import UnitCosts
from abcost.classify.counts import exponents_of
from abcost.core.exponents import ExponentSet, sizes_of
from abcost.core.graph import OpGraph
from abcost.core.kinds import DotArithmetic, OpKind
from abcost.core.node import OpNode
from abcost.core.primitives import Primitive
from abcost.core.unit_size import SIZES
from abcost.cost.organisation import Unit
from abcost.cost.stored import stored_elsewhere
from abcost.cost.table import CostTable
from abcost.errors import CostError, UsageError

_ARRAYS = [Folding(2**p, 2**s) for p in range(11) for s in range(10)]
"""PE up to 1024, SIMD up to 512: sizes of the arrays that are tried."""


class Shared:
    """The time-multiplexed engine of one graph; `build` organises it for a frame interval."""

    kind = "shared"

    def __init__(
        self,
        graph: OpGraph,
        table: CostTable,
        *,
        width: int,
        fraction_bits: int,
        leaf: Leaf | None = None,
        hardware: Hardware | None = None,
    ) -> None:
        self.graph = graph
        self.hardware = hardware or Fpga(None)
        self.prices = UnitCosts.of_table(table)
        self.width = width
        self.fraction_bits = fraction_bits
        self.engines = engines(graph, width)
        if any(engine.in_adders for engine in self.engines):
            raise UsageError(
                "--organisation shared has one engine for all layers, and --constant-multiply graph builds adders "
                "for one: give --constant-multiply csd, or leave --organisation out"
            )
        self.designer = Designer(graph, NumberFormat(width, fraction_bits), leaf)
        self._groups = {
            arithmetic: [e for e in self.engines if e.arithmetic is arithmetic]
            for arithmetic in DotArithmetic
        }
        self._growth = self._grow()

    @property
    def intervals(self) -> list[int]:
        """Cycles per frame of all steps of growth, fastest first."""
        return [self._total(chosen) for chosen in reversed(self._growth)]

    def slowest_engine(self) -> str:
        """The layer that takes longest on the largest arrays."""
        slowest = max(self.engines, key=lambda e: _cycles([e], self._growth[-1][e.arithmetic]))
        return f"fully unrolled, {slowest.name}"

    def too_large(self, interval: float) -> bool:  # noqa: ARG002
        """False: only building tells."""
        return False

    def build(self, interval: float, *, clock_mhz: float, weights: Weights | None = None) -> Accelerator:
        """The smallest arrays with at most so many cycles per frame, or the largest; time is shared as products are."""
        chosen = next((c for c in self._growth if self._total(c) <= interval), self._growth[-1])
        (units,) = self.hardware.within([self._units(chosen)], self.prices)
        logic = self.prices.total(units)
        stored = self.hardware.place([*self._memories(chosen)], [logic], weights)
        arrays = self.hardware.resources(logic, stored)
        held = [m.place for m in stored if m.role == "weights"]
        places = dict(zip((k for k in chosen if self._stored(k)), held, strict=True))
        layers = [
            Layer(
                name=e.name,
                pe=chosen[e.arithmetic].pe,
                simd=chosen[e.arithmetic].simd,
                cycles=_cycles([e], chosen[e.arithmetic]),
                resources=dict.fromkeys(arrays, 0.0),
                chain_luts=0.0,
                prelu_luts=0.0,
                weights=places.get(e.arithmetic, "none") if stored_word(e, self.designer.number) else "none",
                external_bits=0,
                shares=True,
            )
            for e in self.engines
        ]
        engine = Layer(
            name="(shared engine)",
            pe=max(f.pe for f in chosen.values()),
            simd=max(f.simd for f in chosen.values()),
            cycles=0,
            resources=arrays,
            chain_luts=self.prices.total(u for u in units if u.op not in DOT_UNITS).get("luts"),
            prelu_luts=self.prices.total(u for u in units if u.op in PRELU_UNITS).get("luts"),
            weights=", ".join(sorted(set(held))) or "none",
            external_bits=sum(m.traffic_bits for m in stored),
            missing=self.prices.missing(units),
            lut_multipliers=in_luts(units),
            units=tuple(units),
            memories=tuple(stored),
        )
        total = self._total(chosen)
        return Accelerator(
            kind=self.kind,
            clock_mhz=clock_mhz,
            device=self.hardware.part,
            layers=(engine, *layers),
            bottleneck=max(layers, key=lambda layer: layer.cycles).name,
            interval=total,
            latency=total,
        )

    def _total(self, chosen: Mapping[DotArithmetic, Folding]) -> int:
        return sum(_cycles(self._groups[kind], folding) for kind, folding in chosen.items())

    def _grow(self) -> list[dict[DotArithmetic, Folding]]:
        """Arrays from one product per cycle up; each step grows the array that saves most cycles per product added.

        Ends where nothing is saved, or where the table does not reach.
        """
        chosen = {kind: _ARRAYS[0] for kind, group in self._groups.items() if group}
        self.prices.total(self._units(chosen))  # raises CostError if even this cannot be priced
        steps = [chosen]
        while True:
            options = [
                (self._saved(kind, now, larger), {**chosen, kind: larger})
                for kind, now in chosen.items()
                for larger in _larger(kind, now)
            ]
            useful = sorted((o for o in options if o[0] > 0), key=lambda o: -o[0])
            grown = next((c for _, c in useful if self._priced(c)), None)
            if grown is None:
                return steps
            chosen = grown
            steps.append(chosen)

    def _priced(self, chosen: dict[DotArithmetic, Folding]) -> bool:
        try:
            self.prices.total(self._units(chosen))
        except CostError:
            return False
        return True

    def _saved(self, kind: DotArithmetic, now: Folding, larger: Folding) -> float:
        """Cycles saved per added LUT-equivalent; a product of more bits is priced as so many of one bit."""
        weight = min(self.width, max(m * n for m, n in (engine.bits for engine in self._groups[kind])))
        saved = _cycles(self._groups[kind], now) - _cycles(self._groups[kind], larger)
        return saved / ((larger.pe * larger.simd - now.pe * now.simd) * weight)

    def _units(self, chosen: dict[DotArithmetic, Folding]) -> list[Unit]:
        """Every unit as often as the layer that needs most of them does, at the largest size of any layer.

        Parameters come from a memory, not from ROMs; every function has a table of its own.
        """
        merged: dict[str, Unit] = {}
        for engine in self.engines:
            mine: dict[str, Unit] = {}
            units = self.designer.units(engine, chosen[engine.arithmetic])
            for unit in units:
                known = mine.get(unit.op)
                mine[unit.op] = unit if known is None else _larger_unit(known, unit, known.count + unit.count)
            for op, unit in mine.items():
                known = merged.get(op)
                merged[op] = (
                    unit if known is None else _larger_unit(known, unit, max(known.count, unit.count))
                )
        merged.pop("rom", None)
        return [*(self._for_all_layers(unit) for unit in merged.values()), *self._tables(chosen)]

    def _tables(self, chosen: dict[DotArithmetic, Folding]) -> list[Unit]:
        """Tables of every function: as many as the layer that computes most of it at once needs."""
        found: dict[tuple[str, int | None], Unit] = {}
        for engine in self.engines:
            folding = chosen[engine.arithmetic]
            lanes = chain_lanes(engine, folding)
            for work in engine.chain:
                for count in work.counts:
                    if count.primitive is not Primitive.ROM:
                        continue
                    key = (str(work.node.attrs.get("aten", work.node.kind.value)), count.depth)
                    copies = lanes * count.each
                    unit = Unit("rom", copies, count.width, depth=count.depth)
                    known = found.get(key, unit)
                    found[key] = _larger_unit(known, unit, max(copies, known.count))
        return list(found.values())

    def _for_all_layers(self, unit: Unit) -> Unit:
        """A unit that selects among exponents selects among those of all layers."""
        kind = {"qprelu": OpKind.SHIFT_PRELU, "shift_select": OpKind.SHIFT}.get(unit.op)
        nodes = [work.node for e in self.engines for work in e.chain if work.node.kind is kind]
        every = {exponent for node in nodes for exponent in exponents_of(node)}
        if kind is OpKind.SHIFT:
            every |= self._places
        if not every:
            return unit
        sizes = sizes_of(ExponentSet(every).at(unit.width), identity=kind is OpKind.SHIFT_PRELU)
        return replace(unit, **sizes)

    @property
    def _places(self) -> frozenset[int]:
        """Places of the signed digits of weights, by which a shared dot product shifts."""
        number = self.designer.number
        words = [weight_word(engine, number) for engine in self.engines if engine.in_digits]
        return frozenset[int]().union(*(digits_of(word).places for word in words))

    def _memories(self, chosen: dict[DotArithmetic, Folding]) -> Iterator[Memory]:
        for kind, folding in chosen.items():
            stored = self._stored(kind)
            if stored:
                word = folding.pe * folding.simd * max(stored_word(e, self.designer.number) for e in stored)
                reads = sum(e.positions * e.folds(folding.pe, folding.simd) * e.digits for e in stored)
                held = {e.dot.name for e in stored}
                own = [e for e in stored if self._elsewhere(e.dot).get("weight") not in held]
                words = sum(e.folds(folding.pe, folding.simd) * e.digits for e in own)
                yield Memory("weights", word, words, reads)
        parameters = [self._parameters(e, chosen[e.arithmetic]) for e in self.engines]
        if any(bits for _, bits in parameters):
            word = max(word for word, _ in parameters)
            yield Memory("parameters", word, sum(-(-bits // word) for _, bits in parameters), reads=0)
        read = max(f.simd * max(e.bits[0] for e in self._groups[kind]) for kind, f in chosen.items())
        word = max(64, read)
        depth = -(-peak_activation_bits(self.graph, self.width) // word)
        yield Memory("activations", word, depth, reads=0, rests=2 * read <= word)

    def _stored(self, kind: DotArithmetic) -> list[Engine]:
        return [e for e in self._groups[kind] if stored_word(e, self.designer.number)]

    def _elsewhere(self, node: OpNode) -> Mapping[str, str]:
        """Roles of the node's parameters that another node stores -> that node."""
        return stored_elsewhere(self.graph).get(node.name, {})

    def _parameters(self, engine: Engine, folding: Folding) -> tuple[int, int]:
        """Bits of the chain's parameters that are read at once, and of all of them."""
        lanes = chain_lanes(engine, folding)
        word = total = 0
        for work in engine.chain:
            for role, constant in work.node.consts.items():
                if constant.count > 1 and varies(work.node, role):
                    bits = parameter_bits(work.node, role, self.width, self.fraction_bits)
                    word += bits * min(lanes, constant.count)
                    total += 0 if role in self._elsewhere(work.node) else bits * constant.count
        return word, total


def _cycles(group: Sequence[Engine], folding: Folding) -> int:
    return sum(engine.cycles(folding.pe, folding.simd) for engine in group)


def _larger(kind: DotArithmetic, now: Folding) -> list[Folding]:
    grown = (Folding(now.pe * 2, now.simd), Folding(now.pe, now.simd * 2))
    return [f for f in grown if f in _ARRAYS and f.simd <= MOST_SIMD[kind]]


def _larger_unit(a: Unit, b: Unit, count: int) -> Unit:
    """`count` units that can do the work of both: the larger of every size."""
    sizes: dict[str, Any] = {}
    for name in SIZES:
        values = [v for v in (getattr(a, name), getattr(b, name)) if v is not None]
        sizes[name] = max(values, default=None)
    return replace(a, count=count, **sizes)
