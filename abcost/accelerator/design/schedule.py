"""When every step of every engine happens, and how deep the buffers between engines have to be for it.

Images come evenly, one in the cycles of the slowest engine, and every engine does what it can when it can:

    step n is issued at t(n) = max(t(n - 1) + 1, cycle in which its taps, or the operands of its fold, are there)

Each buffer is as deep as this schedule ever fills it, and by its margin deeper. Buffers of that size allow an image in
that time however the ends stall at first: who is ahead of the schedule waits, who is behind never does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from abcost.accelerator.design.buffers import WINDOW_STAGES, Buffer, WindowRead, buffers, depth_of, placed
from abcost.accelerator.design.network import Edge, NetworkDesign, Stage, StageWindow
from abcost.accelerator.devices import Family
from abcost.accelerator.memory import family_of

Times = NDArray[np.int64]
"""Clock cycles, in the order of what happens."""

_IMAGES = 4
"""That a schedule is made of; from the second on each is like the one before."""
_TAP_SEEN, _OPERAND_SEEN, _FREED_SEEN = 1, 2, 1
"""Clock edges from a push to the cycle in which a step can use it; from a step to the words that it frees."""
_FLAG = 2
"""Clock edges from a push to the FIFO of the logits to the first cycle in which it can be read."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """interval: cycles from image to image; latency: from the first beat of a single image to its last logit.

    filled: the most words that each buffer holds; buffers: deep enough for them.
    """

    interval: int
    latency: int
    filled: dict[Edge, int]
    buffers: dict[Edge, Buffer]


def schedule(net: NetworkDesign, family: Family | None = None) -> Schedule:
    """Schedule of a network. family: of the FPGA whose memories its buffers take; None: 7-series.

    Raises UsageError for a folding whose taps no memory gives in one cycle, naming the layer.
    """
    shapes = buffers(net)
    beats = net.image.elements // shapes[net.readers(None)[0]].arriving
    answers = net.logits.map.elements // shapes[net.logits].read
    interval = max(*(stage.cycles for stage in net.stages), beats, answers)
    paced = np.arange(_IMAGES * beats) * interval // beats
    run = _Run(net, shapes)
    run.pass_through(paced)
    where = family or family_of(None)
    deep = {
        edge: placed(replace(shape, depth=depth_of(shape, run.filled[edge])), where)
        for edge, shape in shapes.items()
    }
    alone = _Run(net, shapes)
    alone.pass_through(np.arange(beats))
    latency = int(alone.pushes[net.logits.producer, net.logits.port][-1]) + _FLAG
    return Schedule(interval, latency, run.filled, deep)


class _Run:
    """Pushes of every result and what every buffer holds, stage by stage."""

    def __init__(self, net: NetworkDesign, shapes: dict[Edge, Buffer]) -> None:
        self.net, self.shapes = net, shapes
        self.pushes: dict[tuple[int | None, int], Times] = {}
        self.filled: dict[Edge, int] = {}

    def pass_through(self, arrivals: Times) -> None:
        """Pass images through whose beats come at these cycles."""
        self.pushes[None, 0] = arrivals
        for number, stage in enumerate(self.net.stages):
            self._stage(number, stage)
        edge = self.net.logits
        pushed = self.pushes[edge.producer, edge.port]
        self.filled[edge] = _most(pushed, pushed + _FLAG)

    def _words(self, edge: Edge) -> Times:
        """Cycles in which the words of the buffer of an edge are written."""
        shape = self.shapes[edge]
        parts = shape.word // shape.arriving
        return self.pushes[edge.producer, edge.port][parts - 1 :: parts]

    def _stage(self, number: int, stage: Stage) -> None:
        words = self._words(stage.source)
        shape = self.shapes[stage.source]
        reading = shape.reading
        assert reading is not None  # noqa: S101 - the buffer of a window has one
        images = len(words) // (stage.source.map.pixels * shape.words_per_pixel)
        ready = np.full((images, *_axes(stage)), np.iinfo(np.int64).min // 2)
        last = np.tile(last_words(stage.window, reading, shape), stage.passes)  # (positions, steps)
        whole = np.where(last < 0, 0, last) + np.arange(images)[:, None, None] * (
            stage.source.map.pixels * shape.words_per_pixel
        )
        ready[:, :, 0, :] = np.where(last < 0, ready[:, :, 0, :], words[whole] + _TAP_SEEN)
        folding = stage.design.folding
        for side in stage.sides:
            held = self.shapes[side]
            written = self._words(side)
            positions = np.arange(images * stage.window.positions[0] * stage.window.positions[1])
            channels = side.map.elements // (positions.size // images)  # at a position
            within = np.minimum((np.arange(stage.folds) + 1) * folding.pe, channels)  # by the end of a fold
            needed = ((positions[:, None] * channels + within - 1) // held.word).reshape(-1)
            first = ready[:, :, :, 0].reshape(-1)
            np.maximum(first, written[needed] + _OPERAND_SEEN, out=first)
            ready[:, :, :, 0] = first.reshape(ready.shape[:3])
        steps = np.arange(ready.size)
        issued = steps + np.maximum.accumulate(ready.reshape(-1) - steps)
        ends = issued[stage.steps - 1 :: stage.steps]  # of every fold
        self._results(number, stage, ends, images)
        self._occupancy(stage, issued, ends, words)

    def _results(self, number: int, stage: Stage, ends: Times, images: int) -> None:
        design = stage.design
        chunks = design.folding.pe // design.lanes
        entered = ends + WINDOW_STAGES + design.sums.sums.value.age + design.turn.value.age - 1
        made = (entered[:, None] + np.arange(chunks)).reshape(images, *stage.window.positions, -1)
        for port, result in enumerate(design.chain.results):
            times = made + result.net.age
            rows = stage.window.positions[0] * stage.window.positions[1]
            size = self._map_of(number, port, stage)
            if size != (1, 1) or rows > 1:
                k_rows, k_columns = stage.window.positions[0] // size[0], stage.window.positions[1] // size[1]
                times = times[:, k_rows - 1 :: k_rows, k_columns - 1 :: k_columns]
            self.pushes[number, port] = times.reshape(-1)

    def _map_of(self, number: int, port: int, stage: Stage) -> tuple[int, int]:
        """Rows and columns of a result: those of who reads it."""
        readers = self.net.readers(number, port)
        return (readers[0].map.rows, readers[0].map.columns) if readers else stage.window.positions

    def _occupancy(self, stage: Stage, issued: Times, ends: Times, words: Times) -> None:
        design = stage.design
        shape = self.shapes[stage.source]
        freed = freed_words(stage.window, shape)
        per_image = len(freed) * stage.folds * stage.steps
        of_position = issued[stage.folds * stage.steps - 1 :: stage.folds * stage.steps] + _FREED_SEEN
        images = len(issued) // per_image
        self.filled[stage.source] = _most(words, np.repeat(of_position, np.tile(freed, images)))
        entered = ends + WINDOW_STAGES + design.sums.sums.value.age + design.turn.value.age - 1
        chunks = design.folding.pe // design.lanes
        for edge, side in zip(stage.sides, design.chain.sides, strict=True):
            held = self.shapes[edge]
            taken = (entered[:, None] + np.arange(chunks) + side.net.age).reshape(-1)
            parts = held.word // held.read
            reads = taken[parts - 1 :: parts].reshape(-1, edge.passes, edge.map.channels // held.word)
            self.filled[edge] = _most(self._words(edge), reads[:, -1].reshape(-1) + 1)


def _axes(stage: Stage) -> tuple[int, int, int]:
    return stage.window.positions[0] * stage.window.positions[1], stage.folds, stage.steps


def _most(written: Times, gone: Times) -> int:
    """The most words held at once. written, gone: cycles from which each word is there, and is there no more."""
    before = np.searchsorted(gone, written, side="right")
    return int((np.arange(1, len(written) + 1) - before).max())


def last_words(window: StageWindow, reading: WindowRead, shape: Buffer) -> Times:
    """(positions, steps): the number of the last word of an image that a step reads; -1 where all is padding."""
    source, word = window.source, shape.words_per_pixel
    parts = source.channels // reading.elements if reading.ports == 1 else 1
    rows, columns = np.arange(window.positions[0]), np.arange(window.positions[1])
    found = []
    for r in range(window.kernel[0] // reading.rows):
        for c in range(window.kernel[1] // reading.columns):
            latest = np.full((len(rows), len(columns)), -1)
            for i in range(reading.rows):
                for j in range(reading.columns):
                    y = (
                        rows * window.stride[0]
                        - window.padding[0]
                        + (r * reading.rows + i) * window.dilation[0]
                    )
                    x = (
                        columns * window.stride[1] - window.padding[1]
                        + (c * reading.columns + j) * window.dilation[1]
                    )  # fmt: skip
                    inside = ((y >= 0) & (y < source.rows))[:, None] & ((x >= 0) & (x < source.columns))
                    pixel = y[:, None] * source.columns + x
                    latest = np.maximum(latest, np.where(inside, pixel, -1))
            for part in range(parts):
                at = part * reading.elements // shape.word if reading.ports == 1 else word - 1
                found.append(np.where(latest < 0, -1, latest * word + at).reshape(-1))
    return np.stack(found, axis=1)


def freed_words(window: StageWindow, shape: Buffer) -> NDArray[np.int64]:
    """Words that are given back at the end of each position of an image."""
    word = shape.words_per_pixel
    positions = window.positions[0] * window.positions[1]
    if by_position(window):
        return np.full(positions, word)
    found = np.zeros(window.positions, dtype=np.int64)
    found[:, -1] = np.array(freed_rows(window)) * window.source.columns * word
    return found.reshape(-1)


def by_position(window: StageWindow) -> bool:
    """Whether pixels are given back one by one: where no position reads a pixel that another one reads."""
    return window.kernel == (1, 1) and window.stride == (1, 1) and not window.padded


def freed_rows(window: StageWindow) -> Sequence[int]:
    """Rows of the map that nobody reads after each row of positions; all of them together are the map."""
    first = [
        min(window.source.rows, max(0, y * window.stride[0] - window.padding[0]))
        for y in range(window.positions[0])
    ]
    ends = [*first[1:], window.source.rows]
    return [end - start for start, end in zip([0, *first[1:]], ends, strict=True)]
