"""Where tensors wait between engines: the memory of a window, the FIFO of a residual operand, that of the logits.

Results of an engine cannot be held back, so that a buffer has to keep room for those that are on their way when it says
that it is full: its margin. Words are as many elements as arrive at once and as are read at once both divide.

    arriving elements -> words (gathered) -> memory -> parts of a word, or several words at once
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from math import ceil, gcd, lcm

from abcost.accelerator.design.network import Edge, NetworkDesign, Stage, StageWindow
from abcost.accelerator.devices import Family
from abcost.accelerator.memory import Memory
from abcost.errors import UsageError

WINDOW_STAGES = 2
"""Clock edges from the address of a tap to the port of the engine: of the memory, and of what selects and masks."""
_SEEN_LATE = 4
"""Clock edges until what was pushed is seen by who pushes: the flag of the room, the pointer that it is made from."""


@dataclass(frozen=True, slots=True)
class WindowRead:
    """How a window reads its memory in one step: `elements` of each of rows x columns pixels."""

    elements: int
    rows: int
    columns: int

    @property
    def ports(self) -> int:
        """Pixels at once, each from a memory of its own."""
        return self.rows * self.columns


@dataclass(frozen=True, slots=True)
class Buffer:
    """Of one edge. arriving: elements in one push; read: elements of one read; word: elements of a word of memory.

    depth: words; margin: words kept free for what is on its way, a power of two, so that few bits say that they are.
    place: lutram or block. reading: of a window; None for a FIFO.
    """

    edge: Edge
    arriving: int
    read: int
    word: int
    depth: int
    margin: int
    reading: WindowRead | None = None
    place: str = "block"

    @property
    def word_bits(self) -> int:
        """Bits of a word."""
        return self.word * self.edge.bits

    @property
    def words_per_pixel(self) -> int:
        """Words of one pixel."""
        return self.edge.map.channels // self.word

    @property
    def copies(self) -> int:
        """Memories of the same contents: one for each pixel that is read at once."""
        return self.reading.ports if self.reading else 1


def reading_of(window: StageWindow, simd: int) -> WindowRead | None:
    """How SIMD taps are read in one cycle; None where they are not whole parts of pixels of a rectangle."""
    channels = window.source.channels
    if channels % simd == 0:
        return WindowRead(simd, 1, 1)
    if simd % channels:
        return None
    pixels, (rows, columns) = simd // channels, window.kernel
    if columns % pixels == 0:
        return WindowRead(channels, 1, pixels)
    if pixels % columns == 0 and rows % (pixels // columns) == 0:
        return WindowRead(channels, pixels // columns, columns)
    return None


def streams(window: StageWindow, simd: int) -> bool:
    """Whether SIMD taps are read in one cycle."""
    return reading_of(window, simd) is not None


def arriving(net: NetworkDesign, edge: Edge) -> int:
    """Elements of an edge that come in one cycle: lanes of the engine's chain; of the image what is read in a step."""
    if edge.producer is not None:
        return net.stages[edge.producer].design.lanes
    readers = [e for e in net.readers(None) if e.consumer is not None and not e.residual]
    simds = {net.stages[e.consumer].design.folding.simd for e in readers if e.consumer is not None}
    return arriving_of_image(simds, net.image.channels)


def arriving_of_image(simds: Collection[int], channels: int) -> int:
    """Elements of the image that come in one cycle. simds: of the windows that read it."""
    return min(*simds, channels) if len(simds) == 1 else 1


def in_flight(stage: Stage) -> int:
    """The most results, in elements, that still come after an engine is told to stop."""
    return results_in_flight(stage.design.folding.pe, stage.design.lanes, stage.steps, stage.design.stages)


def results_in_flight(pe: int, lanes: int, steps: int, stages: int) -> int:
    """The same of an engine with so many PE and lanes of its chain.

    steps: clock cycles of a fold; stages: clock edges from its end to the latest result.
    """
    late = WINDOW_STAGES + stages + pe // lanes + _SEEN_LATE
    return (late // steps + 1) * pe


def buffers(net: NetworkDesign, depths: Mapping[Edge, int] | None = None) -> dict[Edge, Buffer]:
    """The buffer of every edge, by edge. depths: in words; without one, it is as deep as `roomy` says.

    Raises UsageError for a folding whose taps no memory gives in one cycle, naming the layer.
    """
    found = {}
    for edge in net.edges:
        made = _shape(net, edge)
        depth = (depths or {}).get(edge) or roomy(made)
        found[edge] = replace(made, depth=depth)
    return found


def roomy(buffer: Buffer) -> int:
    """Words with which nothing waits: two maps, and what is on its way."""
    return power_of_two(2 * buffer.edge.map.pixels * buffer.words_per_pixel + buffer.margin)


def power_of_two(n: int) -> int:
    """The least that is at least n and 2."""
    return 1 << max(1, (n - 1).bit_length())


def _shape(net: NetworkDesign, edge: Edge) -> Buffer:
    """The buffer of an edge, without its depth."""
    comes = arriving(net, edge)
    reading = None
    if edge.consumer is None:
        read = comes
    elif edge.residual:
        read = net.stages[edge.consumer].design.lanes
    else:
        stage = net.stages[edge.consumer]
        simd = stage.design.folding.simd
        reading = reading_of(stage.window, simd)
        if reading is None:
            raise UsageError(
                f"layer {stage.name}: SIMD {simd} takes parts of several pixels of {stage.window.source.channels} "
                f"channels at a time; give a SIMD that divides them, or is a multiple of them that divides a row of "
                f"its window or is whole rows of it"
            )
        read = reading.elements
    word = lcm(comes, read)
    coming = comes if edge.producer is None else in_flight(net.stages[edge.producer])
    return Buffer(edge, comes, read, word, 0, margin_of(coming, word, edge), reading)


def margin_of(coming: int, word: int, edge: Edge) -> int:
    """Words kept free for so many elements on their way."""
    return power_of_two(ceil(coming / word) + (2 if edge.producer is None else 0))


def depth_of(buffer: Buffer, held: int) -> int:
    """Words of a buffer that holds at most so many."""
    least = max(held, 1) + 1 + buffer.margin
    return power_of_two(least) if buffer.reading is not None else -(-least // buffer.margin) * buffer.margin


def placed(buffer: Buffer, family: Family) -> Buffer:
    """The buffer with its memories where they are worth less: in LUTs or in blocks."""
    return replace(buffer, place=memory_of(buffer).preferred(family).place)


def memory_of(buffer: Buffer) -> Memory:
    """One of its memories, in the place that it has."""
    role = "line buffer" if buffer.reading else "residual FIFO"
    return Memory(role, buffer.word_bits, buffer.depth, reads=0, place=buffer.place, registered=True)


def chunks(buffer: Buffer, pe: int) -> tuple[int, int]:
    """(parts of a word, parts of a fold) as a FIFO counts what is there for folds of PE elements."""
    unit = gcd(buffer.word, pe)
    return buffer.word // unit, pe // unit
