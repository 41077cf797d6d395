"""Memories of an engine: weights or second operand of the dot product, and the line buffers of its windows."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from abcost.accelerator.design.constants import stored_bits, weight_fraction
from abcost.accelerator.design.engine import chain_lanes
from abcost.accelerator.design.net import NumberFormat
from abcost.accelerator.design.signed_digits import digits_of
from abcost.accelerator.engine import Engine
from abcost.accelerator.folding import Folding
from abcost.accelerator.memory import Memory
from abcost.accelerator.window import window_of
from abcost.core.graph import OpGraph
from abcost.core.kinds import DotArithmetic, OpKind
from abcost.core.node import OpNode
from abcost.cost.memory import parameter_bits as bits_of_weights


def memories(engine: Engine, folding: Folding, graph: OpGraph, number: NumberFormat) -> list[Memory]:
    """Weights or second operand of the dot product, and the line buffers of the windows in the engine."""
    return [
        *dot_memories(engine, folding, graph, number),
        *chain_memories(engine, chain_lanes(engine, folding), graph, number.width),
    ]


def dot_memories(engine: Engine, folding: Folding, graph: OpGraph, number: NumberFormat) -> list[Memory]:
    """Weights or second operand of the dot product, and the line buffer of its window."""
    return [
        *factor_memories(engine, folding, graph, number),
        *window_memories(engine, folding, graph, number.width),
    ]


def factor_memories(engine: Engine, folding: Folding, graph: OpGraph, number: NumberFormat) -> list[Memory]:
    """Weights or second operand of the dot product.

    Weights of which each is used by a multiplier of its own are constants of the circuit.
    """
    found = [*_operand(engine, folding, graph, number.width)]
    words = engine.folds(folding.pe, folding.simd) * engine.digits
    word = stored_word(engine, number)
    if word and words > 1:
        products = folding.pe * folding.simd
        depth = max(
            words, -(-engine.dot.consts["weight"].count // products)
        )  # transposed: not all at each position
        found.append(Memory("weights", word * products, depth, engine.positions * words, registered=True))
    return found


def window_memories(engine: Engine, folding: Folding, graph: OpGraph, width: int) -> list[Memory]:
    """The line buffer of the window that a dot product reads, whatever is in front of it."""
    groups = int(engine.dot.attrs.get("groups", 1))
    read = folding.simd * min(folding.pe, groups)
    return [*_line_buffer(engine.dot, graph, read, width, engine.cycles(folding.pe, folding.simd))]


def dot_shape(engine: Engine, graph: OpGraph, number: NumberFormat) -> tuple[object, ...]:
    """What the memories of a dot product depend on beside its folding."""
    dot, sources = engine.dot, graph.sources(engine.dot)
    weight = dot.const("weight")
    return (
        dot.kind, stored_word(engine, number), 0 if weight is None else weight.count, int(dot.attrs.get("groups", 1)),
        engine.positions, engine.channels, engine.taps, engine.digits, window_of(dot, sources[0]),
        *((tuple(source.shape), graph.precision(source).width(number.width)) for source in sources),
    )  # fmt: skip


def chain_memories(engine: Engine, lanes: int, graph: OpGraph, width: int) -> list[Memory]:
    """Line buffers and running results of the windows behind the dot product, which depend on its lanes alone."""
    found: list[Memory] = []
    for work in engine.chain:
        taps = -(-_taken(work.node, graph) // lanes)
        found += _line_buffer(work.node, graph, lanes, width, taps)
        found += running_results(work.node, graph, lanes, width)
    return found


def running_results(node: OpNode, graph: OpGraph, lanes: int, width: int) -> Iterator[Memory]:
    """What a pool over separate windows keeps: a memory for each lane, addressed by window and channel group."""
    source = graph.sources(node)[0]
    window = window_of(node, source)
    if window is None or window.single or not window.separate:
        return
    bits = graph.precision(node).width(width)
    groups = -(-source.shape[1] // lanes)
    depth = 1 << ((window.line_buffer_pixels - 1).bit_length() + (groups - 1).bit_length())
    step = (
        ("add", "mux", "mux") if node.kind is OpKind.MAX_POOL else ("add", "mux")
    )  # max: by a difference's sign
    used = min(lanes, source.shape[1])
    taken = -(-source.elements // used)  # each is read, and written in the same cycle
    memory = Memory("line buffer", bits, depth, taken, registered=True, behind=step, writes=taken)
    yield from [memory] * used


def weight_word(engine: Engine, number: NumberFormat) -> int:
    """Bits of one weight; 0 for a product of computed tensors. A layer's only weight is not stored, but has bits too.

    A real weight takes the bits of the largest one of its layer, as other parameters do.
    """
    weight = engine.dot.const("weight")
    if weight is None:
        return 0
    if number not in engine.words:
        bits = bits_of_weights(engine.dot, number.width)["weight"] // max(1, weight.count)
        bits = bits or (1 if weight.binary else number.width)
        if engine.arithmetic is DotArithmetic.REAL:
            needed = stored_bits(weight, number.width, weight_fraction(weight, number))
            bits = min(bits, max(2, needed))  # with a sign
        engine.words[number] = bits
    return engine.words[number]


def stored_word(engine: Engine, number: NumberFormat) -> int:
    """Bits that a memory holds for one weight and step: the weight, or one of its signed digits."""
    word = weight_word(engine, number)
    return digits_of(word).bits if word and engine.in_digits else word


def _taken(node: OpNode, graph: OpGraph) -> int:
    """Elements that all windows of a node read together."""
    window = window_of(node, graph.sources(node)[0])
    return 0 if window is None else node.elements * prod(window.spans)


def _line_buffer(node: OpNode, graph: OpGraph, elements: int, width: int, reads: int) -> Iterator[Memory]:
    """What a window keeps of its input, all channels, in words of the `elements` that are read in one cycle.

    reads: cycles of an inference in which it reads. Every element of the input is written once.
    """
    source = graph.sources(node)[0]
    window = window_of(node, source)
    if window is None or window.single or window.separate:
        return
    kept = window.line_buffer_pixels * source.shape[1]
    word = min(elements, kept)
    bits = graph.precision(source).width(width)
    yield Memory("line buffer", word * bits, -(-kept // word), reads, writes=-(-source.elements // word))


def _operand(engine: Engine, folding: Folding, graph: OpGraph, width: int) -> Iterator[Memory]:
    """The second factor of a product of computed tensors: all of it, twice, as it is filled while it is read."""
    if engine.dot.kind is not OpKind.MATMUL:
        return
    source = graph.sources(engine.dot)[1]
    word = min(folding.pe * folding.simd, source.elements)
    bits = graph.precision(source).width(width)
    words = -(-source.elements // word)
    yield Memory("operand", word * bits, 2 * words, engine.cycles(folding.pe, folding.simd), writes=words)
