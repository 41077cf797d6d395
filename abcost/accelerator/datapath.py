"""What an engine is built of at a folding: units with their number, and memories.

A binary dot product has PE lanes, each an XNOR-popcount of SIMD bits, an accumulator where K is folded, and
2p - K; a sign-controlled one PE adder trees of SIMD inputs; a real one PE * SIMD multipliers and an adder tree.
An operation of the chain that is performed n times per inference has ceil(n / cycles) units, so that it keeps up
with the dot product. Per-channel parameters are read from a ROM per unit. Every unit ends in a register.
"""

from __future__ import annotations

from collections.abc import Iterator

from abcost.accelerator.engine import Engine, Work
from abcost.accelerator.folding import Folding
from abcost.accelerator.memory import Memory
from abcost.classify.counts import exponents_of
from abcost.core.exponents import code_bits, sizes_of
from abcost.core.graph import OpGraph
from abcost.core.kinds import DotArithmetic, OpKind
from abcost.core.node import OpNode
from abcost.core.precision import popcount_bits
from abcost.cost.memory import weight_bits
from abcost.cost.organisation import Lanes, Unit, units_of

ROM_WIDTH = 32  # bits of one ROM unit; wider ones are several
ROM_DEPTH = 1024  # words; deeper ones are several
WINDOWS = frozenset({OpKind.CONV, OpKind.MAX_POOL, OpKind.AVG_POOL, OpKind.SUM_POOL})


def parts(engine: Engine, folding: Folding, *, width: int, fraction_bits: int) -> list[Unit]:
    """Units of the dot product, its chain, their parameter ROMs and registers, and the counters that step them."""
    cycles = engine.cycles(folding.pe, folding.simd)
    found = [*_dot(engine, folding, width)]
    for work in engine.chain:
        found += _chain(work, cycles, width, fraction_bits)
    return [*found, *_counters(engine, folding)]


def memories(engine: Engine, folding: Folding, graph: OpGraph, width: int) -> list[Memory]:
    """Weights of the dot product, and the line buffers of the windows in the engine."""
    found = []
    stored = weight_bits(engine.dot, width)
    if stored:
        word = max(1, -(-stored // (engine.channels * engine.taps)))  # bits per weight
        folds = -(-engine.channels // folding.pe) * -(-engine.taps // folding.simd)
        reads = engine.positions * folds
        found.append(Memory("weights", word * folding.pe * folding.simd, folds, reads))
    for node in (engine.dot, *(work.node for work in engine.chain)):
        if node.kind in WINDOWS:
            found += _line_buffer(node, graph, folding, width)
    return found


def data_width(work: Work) -> int:
    """Bits of a node's operands; a left shift of up to n widens a power-of-two PReLU by n."""
    wide = max(count.width for count in work.counts)
    if work.node.kind is OpKind.SHIFT_PRELU:
        return wide + max(0, *exponents_of(work.node))
    return wide


def _dot(engine: Engine, folding: Folding, width: int) -> Iterator[Unit]:
    pe, simd = folding.pe, folding.simd
    folded = engine.taps > simd
    match engine.arithmetic:
        case DotArithmetic.XNOR:
            sum_width = popcount_bits(engine.taps)
            part_width = popcount_bits(simd)
            yield Unit("xnor_popcount", pe, 1, bits=simd)
            yield from _accumulate(pe, sum_width, part_width, folded=folded)
            yield Unit("add", pe, sum_width + 1)  # 2p - K
            yield Unit("register", pe, sum_width + 1)
        case DotArithmetic.SIGNED_ADD:
            sum_width = width + popcount_bits(engine.taps)
            yield Unit("signed_sum", pe, width, bits=simd)
            yield from _accumulate(pe, sum_width, width + popcount_bits(simd), folded=folded)
        case DotArithmetic.REAL:
            sum_width = width + popcount_bits(engine.taps)
            for unit in units_of(engine.dot, engine.counts, Lanes(pe * simd, simd)):
                if unit.op != "add":
                    yield unit
            yield Unit("register", pe * simd, width)
            if simd > 1:
                yield Unit("add", pe * (simd - 1), width + popcount_bits(simd))
            yield from _accumulate(
                pe, sum_width, width + popcount_bits(simd), folded=folded or engine.digits > 1
            )
    if "bias" in engine.dot.consts:
        yield Unit("add", pe, width)
        yield from _roms(engine.dot.consts["bias"].count, pe, width)


def _accumulate(pe: int, sum_width: int, part_width: int, *, folded: bool) -> Iterator[Unit]:
    """A register behind the partial sum; where K is folded, an accumulator behind that."""
    yield Unit("register", pe, part_width)
    if folded:
        yield Unit("accumulate", pe, sum_width)


def _chain(work: Work, cycles: int, width: int, fraction_bits: int) -> Iterator[Unit]:
    lanes = max(-(-count.count // cycles) for count in work.counts)
    wide = data_width(work)
    for unit in units_of(work.node, work.counts, Lanes(lanes, fraction_bits=fraction_bits)):
        if unit.op == "qprelu":
            yield Unit("qprelu", lanes, wide, exponents=unit.exponents, choices=unit.choices, span=unit.span)
        else:
            yield unit
    yield Unit("register", lanes, wide)
    for role, constant in work.node.consts.items():
        if constant.count > 1 and constant.distinct > 1:
            yield from _roms(constant.count, lanes, _word(work.node, role, width))


def _word(node: OpNode, role: str, width: int) -> int:
    """Bits of one stored parameter: the code of an exponent, or a number of the residual path's width."""
    if role != "exponent":
        return width
    sizes = sizes_of(exponents_of(node), identity=node.kind is OpKind.SHIFT_PRELU)
    return max(1, code_bits(sizes["choices"], sizes["span"]))


def _roms(words: int, lanes: int, width: int) -> Iterator[Unit]:
    """One ROM per lane for the channels that it serves; a lane with a single channel has its constant built in."""
    depth = -(-words // lanes)
    if depth < 2:
        return
    banks = -(-depth // ROM_DEPTH)
    for part in [ROM_WIDTH] * (width // ROM_WIDTH) + [width % ROM_WIDTH] * bool(width % ROM_WIDTH):
        yield Unit("rom", lanes * banks, part, depth=-(-depth // banks))


def _counters(engine: Engine, folding: Folding) -> Iterator[Unit]:
    """Counters of positions, output folds and input folds: an adder with a register each."""
    for steps in (
        engine.positions,
        -(-engine.channels // folding.pe),
        -(-engine.taps // folding.simd) * engine.digits,
    ):
        if steps > 1:
            yield Unit("accumulate", 1, max(2, (steps - 1).bit_length()))


def _line_buffer(node: OpNode, graph: OpGraph, folding: Folding, width: int) -> Iterator[Memory]:
    """What a window keeps of its input, all channels; read in words of up to SIMD elements.

    Overlapping windows keep (kh - 1) rows and kw pixels, separate ones a partial result per window of a row.
    """
    source = graph.sources(node)[0]
    rows, columns = kernel_of(node)
    if len(source.shape) < 3 or rows * columns == 1:
        return
    row, channels = source.shape[-1], source.shape[1]
    if _separate(node):
        pixels, bits = -(-row // columns), width
    else:
        pixels, bits = (rows - 1) * row + columns, graph.precision(source).width(width)
    word = min(folding.simd, channels)
    yield Memory("line buffer", word * bits, pixels * -(-channels // word), reads=0)


def _separate(node: OpNode) -> bool:
    return node.kind is not OpKind.CONV and list(node.attrs["kernel"]) == list(node.attrs["stride"])


def kernel_of(node: OpNode) -> tuple[int, int]:
    """Rows and columns of a window; (1, 1) for what has none."""
    weight = node.const("weight")
    conv = node.kind is OpKind.CONV and weight is not None
    shape = (
        tuple(weight.values.shape[2:]) if conv and weight is not None else tuple(node.attrs.get("kernel", ()))
    )
    if not shape:
        return (1, 1)
    return (1, shape[0]) if len(shape) == 1 else (shape[-2], shape[-1])


def padding_of(node: OpNode) -> tuple[int, int]:
    """Rows and columns of padding before the input."""
    padding = tuple(node.attrs.get("padding", ())) or (0,)
    return padding[0], padding[-1]
