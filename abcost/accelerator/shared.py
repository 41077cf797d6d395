"""One engine for all layers, time-multiplexed: layers run one after the other.

A binary array of PE x SIMD products and an array of real multipliers work off the dot products; a chain with one
set of units, each as large as the largest operation that it serves, works behind them. All parameters share one
memory per kind, activations two buffers of the largest tensor.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from abcost.accelerator.datapath import parts
from abcost.accelerator.devices import Device
from abcost.accelerator.engine import Engine, engines
from abcost.accelerator.folding import MOST_SIMD, Folding
from abcost.accelerator.memory import Memory, place
from abcost.accelerator.result import Layer, Organised, resources_of
from abcost.core.graph import OpGraph
from abcost.core.kinds import DotArithmetic, OpKind
from abcost.cost.memory import weight_bits
from abcost.cost.organisation import SIZES, Unit
from abcost.cost.table import CostTable

_ARRAYS = [Folding(2**p, 2**s) for p in range(11) for s in range(10)]
"""PE up to 1024, SIMD up to 512: sizes of the arrays that are tried."""


class Shared:
    """The time-multiplexed engine of one graph; `build` organises it for a frame interval."""

    kind = "shared"

    def __init__(self, graph: OpGraph, table: CostTable, *, width: int, fraction_bits: int) -> None:
        self.graph = graph
        self.table = table
        self.width = width
        self.fraction_bits = fraction_bits
        self.engines = engines(graph, width)
        self._groups = {
            arithmetic: [e for e in self.engines if e.arithmetic is arithmetic]
            for arithmetic in DotArithmetic
        }

    @property
    def shortest(self) -> int:
        """Cycles per frame with the largest arrays."""
        return sum(_cycles(group, _arrays(kind)[-1]) for kind, group in self._groups.items())

    @property
    def longest(self) -> int:
        """Cycles per frame at one product per cycle."""
        return sum(engine.cycles(1, 1) for engine in self.engines)

    def slowest_engine(self) -> str:
        """The layer that takes longest on the largest arrays."""
        return max(self.engines, key=lambda e: _cycles([e], _arrays(e.arithmetic)[-1])).name

    def build(self, interval: float, *, device: Device | None, clock_mhz: float) -> Organised:
        """The smallest arrays with at most so many cycles per frame; time is shared as products are."""
        chosen = self._arrays_for(interval, [kind for kind, group in self._groups.items() if group])
        cycles = {e.dot.name: _cycles([e], chosen[e.arithmetic]) for e in self.engines}
        total = sum(cycles.values())
        stored = place([*self._memories(chosen)], device)
        units = self._units(chosen)
        arrays = resources_of(units, stored, self.table, device)
        layers = [
            Layer(
                name=e.name,
                pe=chosen[e.arithmetic].pe,
                simd=chosen[e.arithmetic].simd,
                cycles=cycles[e.dot.name],
                resources=dict.fromkeys(arrays, 0.0),
                chain_luts=0.0,
                weights=next((m.place for m in stored if m.role == "weights"), "none"),
                external_bits=0,
            )
            for e in self.engines
        ]
        engine = Layer(
            name="(shared engine)",
            pe=max(f.pe for f in chosen.values()),
            simd=max(f.simd for f in chosen.values()),
            cycles=0,
            resources=arrays,
            chain_luts=resources_of(
                [u for u in units if u.op not in ("xnor_popcount", "signed_sum")], (), self.table, device
            )["luts"],
            weights=layers[0].weights,
            external_bits=sum(m.traffic_bits for m in stored),
        )
        return Organised(
            kind=self.kind,
            clock_mhz=clock_mhz,
            device=device,
            layers=(engine, *layers),
            bottleneck=max(layers, key=lambda layer: layer.cycles).name,
            interval=total,
            latency=total,
        )

    def _arrays_for(self, interval: float, kinds: Sequence[DotArithmetic]) -> dict[DotArithmetic, Folding]:
        """Grow the array whose growth saves most cycles per product added, until the frame fits."""
        chosen = {kind: _arrays(kind)[0] for kind in kinds}
        while sum(_cycles(self._groups[k], f) for k, f in chosen.items()) > interval:
            options = [
                (self._saved(kind, chosen[kind], larger), kind, larger)
                for kind in kinds
                for larger in _larger(kind, chosen[kind])
            ]
            gain, kind, larger = max(options, key=lambda o: o[0], default=(0.0, kinds[0], chosen[kinds[0]]))
            if gain <= 0:
                break
            chosen[kind] = larger
        return chosen

    def _saved(self, kind: DotArithmetic, now: Folding, larger: Folding) -> float:
        """Cycles saved per added LUT-equivalent; a real product is priced as its width in binary ones."""
        weight = self.width if kind is not DotArithmetic.XNOR else 1
        saved = _cycles(self._groups[kind], now) - _cycles(self._groups[kind], larger)
        return saved / ((larger.pe * larger.simd - now.pe * now.simd) * weight)

    def _units(self, chosen: dict[DotArithmetic, Folding]) -> list[Unit]:
        """Of every unit as many as the layer that needs most of them, at the largest size of any layer.

        Parameters come from a memory, not from ROMs.
        """
        merged: dict[str, Unit] = {}
        for engine in self.engines:
            mine: dict[str, Unit] = {}
            units = parts(
                engine, chosen[engine.arithmetic], width=self.width, fraction_bits=self.fraction_bits
            )
            for unit in units:
                known = mine.get(unit.op)
                mine[unit.op] = unit if known is None else _larger_unit(known, unit, known.count + unit.count)
            for op, unit in mine.items():
                known = merged.get(op)
                merged[op] = (
                    unit if known is None else _larger_unit(known, unit, max(known.count, unit.count))
                )
        merged.pop("rom", None)
        return list(merged.values())

    def _memories(self, chosen: dict[DotArithmetic, Folding]) -> Iterator[Memory]:
        for kind, folding in chosen.items():
            group = self._groups[kind]
            bits = sum(weight_bits(e.dot, self.width) for e in group)
            word = folding.pe * folding.simd * (1 if all(_binary(e) for e in group) else self.width)
            if bits:
                reads = sum(_cycles([e], folding) for e in group)
                yield Memory("weights", word, -(-bits // word), reads)
        constants = sum(weight_bits(work.node, self.width) for e in self.engines for work in e.chain)
        if constants:
            yield Memory("parameters", self.width, -(-constants // self.width), reads=0)
        largest = max(
            node.elements * self.graph.precision(node).width(self.width)
            for node in self.graph
            if node.kind is not OpKind.WIRING
        )
        for _ in range(2):
            yield Memory("activations", 64, -(-largest // 64), reads=0)


def _binary(engine: Engine) -> bool:
    weight = engine.dot.const("weight")
    return weight is not None and weight.binary


def _cycles(group: Sequence[Engine], folding: Folding) -> int:
    return sum(engine.cycles(folding.pe, folding.simd) for engine in group)


def _arrays(kind: DotArithmetic) -> list[Folding]:
    return [f for f in _ARRAYS if f.simd <= MOST_SIMD[kind]]


def _larger(kind: DotArithmetic, now: Folding) -> list[Folding]:
    grown = (Folding(now.pe * 2, now.simd), Folding(now.pe, now.simd * 2))
    return [f for f in grown if f in _arrays(kind)]


def _larger_unit(a: Unit, b: Unit, count: int) -> Unit:
    """`count` units that can do the work of both: the larger of every size."""
    sizes: dict[str, Any] = {}
    for name in SIZES:
        values = [v for v in (getattr(a, name), getattr(b, name)) if v is not None]
        sizes[name] = max(values, default=None)
    return replace(a, count=count, **sizes)
