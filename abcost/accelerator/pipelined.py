"""One engine per dot product, all working at once on successive frames (FINN's organisation)."""

from __future__ import annotations

from collections.abc import Sequence

from abcost.accelerator.datapath import memories, parts
from abcost.accelerator.devices import Device
from abcost.accelerator.engine import Engine, engines
from abcost.accelerator.folding import Folding, fastest, smallest
from abcost.accelerator.memory import Memory, place
from abcost.accelerator.result import Layer, Organised, resources_of
from abcost.accelerator.timing import delays, fifos, latency
from abcost.core.graph import OpGraph
from abcost.cost.table import CostTable


class Pipelined:
    """The layer pipeline of one graph; `build` organises it for a frame interval."""

    kind = "pipelined"

    def __init__(self, graph: OpGraph, table: CostTable, *, width: int, fraction_bits: int) -> None:
        self.graph = graph
        self.table = table
        self.width = width
        self.fraction_bits = fraction_bits
        self.engines = engines(graph, width)

    @property
    def shortest(self) -> int:
        """Frame interval if everything is unrolled, in cycles."""
        return max(engine.cycles(*_pair(fastest(engine))) for engine in self.engines)

    @property
    def longest(self) -> int:
        """Frame interval at one product per cycle and engine."""
        return max(engine.cycles(1, 1) for engine in self.engines)

    def slowest_engine(self) -> str:
        """The engine that sets `shortest`."""
        return max(self.engines, key=lambda e: e.cycles(*_pair(fastest(e)))).name

    def build(self, interval: float, *, device: Device | None, clock_mhz: float) -> Organised:
        """The smallest folding with at most so many cycles per frame; engines that cannot are fully unrolled."""
        foldings = [smallest(engine, interval) or fastest(engine) for engine in self.engines]
        cycles = [engine.cycles(*_pair(f)) for engine, f in zip(self.engines, foldings, strict=True)]
        actual = max(cycles)
        own = {engine.dot.name: n for engine, n in zip(self.engines, cycles, strict=True)}
        delay = delays(self.graph, own, actual)
        held = self._memories(foldings, fifos(self.graph, delay, actual, self.width), device)
        layers = [
            self._layer(engine, folding, n, stored, device)
            for engine, folding, n, stored in zip(self.engines, foldings, cycles, held, strict=True)
        ]
        return Organised(
            kind=self.kind,
            clock_mhz=clock_mhz,
            device=device,
            layers=tuple(layers),
            bottleneck=max(layers, key=lambda layer: layer.cycles).name,
            interval=actual,
            latency=latency(self.graph, delay, actual),
        )

    def _memories(
        self, foldings: Sequence[Folding], joins: dict[str, list[Memory]], device: Device | None
    ) -> list[list[Memory]]:
        """Memories per engine, placed together: they compete for the same blocks."""
        asked = []
        for engine, folding in zip(self.engines, foldings, strict=True):
            own = memories(engine, folding, self.graph, self.width)
            asked.append([*own, *(m for work in engine.chain for m in joins.get(work.node.name, ()))])
        placed = iter(place([m for group in asked for m in group], device))
        return [[next(placed) for _ in group] for group in asked]

    def _layer(
        self,
        engine: Engine,
        folding: Folding,
        cycles: int,
        stored: Sequence[Memory],
        device: Device | None,
    ) -> Layer:
        units = parts(engine, folding, width=self.width, fraction_bits=self.fraction_bits)
        whole = resources_of(units, stored, self.table, device)
        chain = resources_of(
            [unit for unit in units if unit.op not in ("xnor_popcount", "signed_sum")], (), self.table, device
        )
        return Layer(
            name=engine.name,
            pe=folding.pe,
            simd=folding.simd,
            cycles=cycles,
            resources=whole,
            chain_luts=chain["luts"],
            weights=next((m.place for m in stored if m.role == "weights"), "none"),
            external_bits=sum(m.traffic_bits for m in stored),
        )


def _pair(folding: Folding) -> tuple[int, int]:
    return folding.pe, folding.simd
