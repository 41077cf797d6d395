"""What stands between the engines of a layer pipeline: sliding windows, FIFOs of residual operands and of the logits.

Units and memories are those of a circuit (`abcost.accelerator.design.buffer_units`), their depths in closed form: the
schedule of a circuit knows the cycle of every step, and takes too long to try foldings by. Of a window of k rows
(dilation included) that moves by s rows over a map whose rows have W words:

    words held = (k + s - 1) * W; of a 1x1 kernel that reads every pixel one pixel; of a linear layer its map, and
                 what comes of the next one while it works
    words of a residual operand = slack of its branch / frame interval * words of its map (`abcost.accelerator.timing`)
    depth = words held + 1 + margin; of a window the next power of two, else the next multiple of the margin

The margin is room for results that are on their way when their engine is told to stop. What no circuit has yet (grouped
convolutions, computed factors, taps that are parts of several pixels) is counted by its memory alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import ceil, lcm
from typing import NamedTuple

from abcost.accelerator.design.buffer_units import fifo_units, window_units
from abcost.accelerator.design.buffers import (
    Buffer,
    arriving_of_image,
    depth_of,
    margin_of,
    memory_of,
    reading_of,
    results_in_flight,
)
from abcost.accelerator.design.designer import Designer
from abcost.accelerator.design.engine import chain_lanes, steps_of
from abcost.accelerator.design.network import Edge, Map, StageWindow, map_of, window_at
from abcost.accelerator.design.schedule import by_position
from abcost.accelerator.engine import Engine
from abcost.accelerator.engine_memory import window_memories
from abcost.accelerator.folding import Folding
from abcost.accelerator.memory import Memory
from abcost.accelerator.timing import held_elements
from abcost.core.graph import OpGraph
from abcost.core.kinds import DotArithmetic, OpKind
from abcost.core.node import OpNode
from abcost.cost.organisation import Unit
from abcost.errors import UsageError


class Between(NamedTuple):
    """What stands in front of an engine and behind the last one: units, and memories that are not placed yet."""

    units: tuple[Unit, ...]
    memories: tuple[Memory, ...]


class _Operand(NamedTuple):
    """A residual operand that waits: its node, the engine that makes it (None: the image), elements that are held."""

    node: OpNode
    producer: int | None
    held: int


class StreamBuffers:
    """Those of one graph, at any foldings of its engines."""

    def __init__(self, graph: OpGraph, engines: Sequence[Engine], designer: Designer) -> None:
        self._graph, self._engines, self._designer = graph, engines, designer
        self._maker = {
            name: number
            for number, engine in enumerate(engines)
            for name in (engine.dot.name, *(work.node.name for work in engine.chain))
        }
        self._windows = [_window(graph, engine) for engine in engines]
        self._sources = [self._made(graph.sources(engine.dot)[0]) for engine in engines]
        self._makers = [self._producer(source) for source in self._sources]
        self._operands = self._waiting()
        self._outputs = [
            self._made(node) for output in graph.of_kind(OpKind.OUTPUT) for node in graph.sources(output)
        ]
        self._known: dict[tuple[object, ...], Between] = {}

    def of(self, chosen: Sequence[Folding]) -> list[Between]:
        """What stands in front of each engine, and behind the last, at these foldings of all."""
        pairs = zip(self._engines, chosen, strict=True)
        interval = max(engine.cycles(folding.pe, folding.simd) for engine, folding in pairs)
        return [self._of(number, chosen, interval) for number in range(len(self._engines))]

    def _of(self, number: int, chosen: Sequence[Folding], interval: int) -> Between:
        window = self._windows[number]
        paced = interval if window is not None and window.positions == (1, 1) else 0
        makers = (self._makers[number], *(operand.producer for operand in self._operands[number]))
        near = (chosen[number], *(None if maker is None else chosen[maker] for maker in makers))
        key = (number, self._image_step(chosen), paced, *near)
        found = self._known.get(key)
        if found is None:
            parts = [
                self._window(number, chosen, interval),
                self._fifos(number, chosen),
                self._ends(number, chosen),
            ]
            units = (unit for part in parts for unit in part.units)
            found = Between(tuple(units), tuple(memory for part in parts for memory in part.memories))
            self._known[key] = found
        return found

    def _window(self, number: int, chosen: Sequence[Folding], interval: int) -> Between:
        engine, folding, window = self._engines[number], chosen[number], self._windows[number]
        reading = None if window is None else reading_of(window, folding.simd)
        if window is None or reading is None:
            return Between(
                (), tuple(window_memories(engine, folding, self._graph, self._designer.number.width))
            )
        shape = self._buffer(
            self._edge(self._sources[number], window.source, self._makers[number]), reading.elements, chosen
        )
        shape = replace(shape, reading=reading)
        busy = engine.cycles(folding.pe, folding.simd) / interval
        buffer = replace(shape, depth=depth_of(shape, _held(window, shape, busy)))
        folds = engine.channels // folding.pe
        zeros = window.padded and engine.arithmetic is not DotArithmetic.XNOR
        units = window_units(buffer, window, engine.digits, folds, zeros=zeros)
        reads = engine.cycles(folding.pe, folding.simd)
        return Between(
            tuple(units), (_memory(buffer, reads, self._sources[number].elements),) * buffer.copies
        )

    def _fifos(self, number: int, chosen: Sequence[Folding]) -> Between:
        engine, folding = self._engines[number], chosen[number]
        lanes = chain_lanes(engine, folding)
        units: list[Unit] = []
        memories: list[Memory] = []
        for node, producer, held in self._operands[number]:
            shape = self._buffer(self._edge(node, map_of(node), producer), lanes, chosen)
            buffer = replace(shape, depth=depth_of(shape, -(-held // shape.word)))
            units += fifo_units(buffer, folding.pe)
            memories.append(_memory(buffer, -(-node.elements // shape.word), node.elements))
        return Between(tuple(units), tuple(memories))

    def _ends(self, number: int, chosen: Sequence[Folding]) -> Between:
        """The FIFO of the logits, and the counters of both ends, behind the engine that makes them."""
        mine = [node for node in self._outputs if self._producer(node) == number]
        if not mine:
            return Between((), ())
        units: list[Unit] = [Unit("counter", 1, 6)]
        memories: list[Memory] = []
        images = [node.elements // self._image_step(chosen) for node in self._graph.of_kind(OpKind.INPUT)]
        for node in mine:
            shape = self._buffer(self._edge(node, map_of(node), number), None, chosen)
            buffer = replace(shape, depth=depth_of(shape, 1))
            units += fifo_units(buffer, None)
            memories.append(_memory(buffer, -(-node.elements // shape.word), node.elements))
        counts = [*images, *(node.elements for node in mine)]
        units += [Unit("counter", 1, max(2, (n - 1).bit_length())) for n in counts if n > 1]
        return Between(tuple(units), tuple(memories))

    def _buffer(self, edge: Edge, read: int | None, chosen: Sequence[Folding]) -> Buffer:
        """The buffer of an edge, without its depth. read: elements of one read; None: as many as come."""
        if edge.producer is None:
            comes = coming = self._image_step(chosen)
        else:
            engine, folding = self._engines[edge.producer], chosen[edge.producer]
            comes = chain_lanes(engine, folding)
            stages = self._designer.stages(engine, folding)
            coming = results_in_flight(folding.pe, comes, steps_of(engine, folding), stages)
        taken = comes if read is None else read
        word = lcm(comes, taken)
        return Buffer(edge, comes, taken, word, 0, margin_of(coming, word, edge))

    def _edge(self, node: OpNode, shape: Map, producer: int | None) -> Edge:
        wide = self._graph.precision(node).width(2) > 1
        return Edge(node.name, shape, self._designer.number if wide else None, producer, 0, None, None)

    def _image_step(self, chosen: Sequence[Folding]) -> int:
        """Elements of the image that come in one cycle."""
        readers = [i for i, made in enumerate(self._makers) if made is None]
        channels = min((map_of(self._sources[i]).channels for i in readers), default=1)
        return arriving_of_image({chosen[i].simd for i in readers}, channels)

    def _waiting(self) -> list[list[_Operand]]:
        """The operands of each engine's chain that others make."""
        held = held_elements(self._graph)
        found: list[list[_Operand]] = []
        for number, engine in enumerate(self._engines):
            mine: dict[str, _Operand] = {}
            for work in engine.chain:
                waits = held.get(work.node.name, {})
                pairs = [(s, made) for s in self._graph.sources(work.node) for made in self._all_made(s)]
                for source, made in pairs:
                    producer = self._producer(made)
                    if producer == number:
                        continue
                    least = mine[made.name].held if made.name in mine else 1
                    mine[made.name] = _Operand(made, producer, max(least, waits.get(source.name, 0)))
            found.append([*mine.values()])
        return found

    def _producer(self, node: OpNode) -> int | None:
        return self._maker.get(node.name)

    def _made(self, node: OpNode) -> OpNode:
        """What makes the values of a node: before what only moves or passes them on; of several, one."""
        return next(self._all_made(node))

    def _all_made(self, node: OpNode) -> Iterator[OpNode]:
        sources = self._graph.sources(node)
        if node.name in self._maker or not sources:
            yield node
            return
        for source in sources:
            yield from self._all_made(source)


def _window(graph: OpGraph, engine: Engine) -> StageWindow | None:
    """The window of its dot product; None where no circuit has it."""
    grouped = int(engine.dot.attrs.get("groups", 1)) != 1
    if grouped or engine.dot.const("weight") is None or engine.dot.attrs.get("transposed", False):
        return None
    if engine.dot.consts["weight"].values.dim() not in (2, 4):
        return None
    try:
        return window_at(graph, engine)
    except UsageError:
        return None


def _held(window: StageWindow, shape: Buffer, busy: float) -> int:
    """Words that a window holds at most, as the head says. busy: share of the time that its engine works."""
    source, word = window.source, -(-window.source.channels // shape.word)
    if window.positions == (1, 1):
        return ceil((1 + busy) * source.pixels * word)
    if by_position(window):
        return word
    rows = (window.kernel[0] - 1) * window.dilation[0] + window.stride[0]
    return min(rows, 2 * source.rows) * source.columns * word


def _memory(buffer: Buffer, reads: int, elements: int) -> Memory:
    """One of its memories; registers behind them are among the units. elements: that pass in an inference."""
    words = -(-elements // buffer.word)
    return replace(memory_of(buffer), registered=False, reads=reads, writes=words)
