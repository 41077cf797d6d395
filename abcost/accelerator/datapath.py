"""What an engine is built of at a folding: units with their number, and memories.

A binary dot product has PE lanes, each an XNOR-popcount of SIMD bits, an accumulator where K is folded, and
2p - K; a sign-controlled one PE adder trees of SIMD inputs; a real one PE * SIMD multipliers and an adder tree.
An operation of the chain that is performed n times per inference has ceil(n / cycles) units, so that it keeps up
with the dot product. Per-channel parameters are read from a ROM per unit, in the bits that their values need, into a
register: the counter of channels is one clock ahead.
Left shifts widen the data inside a power-of-two PReLU (`left` in its law); values behind it are known to fit.
Every unit ends in a register, but 2p - K in front of a multiplier, where the DSP has one.

The same units as in the Verilog of `abcost rtl --pipelined` (abcost/emit) where K is not folded or PE is 1, but for:
- counters: there they are inputs;
- residual operands and results: there they come and go in one cycle and wait in registers, here FIFOs hold them.
Where K is folded, PE dot products share fewer chains by way of multiplexers; there every one has its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch

from abcost.accelerator.engine import Engine, Work
from abcost.accelerator.folding import Folding
from abcost.accelerator.memory import Memory
from abcost.accelerator.window import window_of
from abcost.classify.counts import exponents_of
from abcost.core.exponents import code_bits, selected
from abcost.core.graph import OpGraph
from abcost.core.kinds import DotArithmetic, OpKind
from abcost.core.node import Constant, OpNode
from abcost.core.precision import popcount_bits
from abcost.cost.fused import rom
from abcost.cost.memory import parameter_bits as bits_of_weights
from abcost.cost.organisation import Lanes, Unit, masks, units_of

POPCOUNTED = frozenset({DotArithmetic.XNOR, DotArithmetic.MASKED, DotArithmetic.PLANES})
ONE_BIT = frozenset({OpKind.THRESHOLD, OpKind.COMPARE})


def parts(engine: Engine, folding: Folding, *, width: int, fraction_bits: int) -> list[Unit]:
    """Units of the dot product, its chain, their parameter ROMs and registers, and the counters that step them."""
    return [*streamed(engine, folding, width=width, fraction_bits=fraction_bits), *counters(engine, folding)]


def streamed(engine: Engine, folding: Folding, *, width: int, fraction_bits: int) -> list[Unit]:
    """What values pass through, with registers that let the fold counter and the first step keep pace with them."""
    cycles = engine.cycles(folding.pe, folding.simd)
    folded = engine.taps > folding.simd or engine.digits > 1
    found = [*_dot(engine, folding, width, fraction_bits), *_shared(engine, folding, cycles, width)]
    multiplied = engine.arithmetic in (DotArithmetic.REAL, DotArithmetic.NARROW)
    before = 2 if multiplied else 1  # registers before the accumulator
    age = before + folded + (engine.arithmetic in POPCOUNTED)  # 2p - K
    fold_bits, fold_delay = 0, 0
    for work in engine.chain:
        size = (lanes_of(work, cycles), width, fraction_bits)
        if size not in work.units:
            scaled = engine.taps if work.node is engine.scale else None
            work.units[size] = tuple(_chain(work, *size, scaled))
        units = work.units[size]
        tables = {
            count.depth for count in work.counts
        }  # of functions: addressed by a value, not by a counter
        depths = [u.depth for u in units if u.depth is not None and u.depth not in tables]
        if depths:
            fold_bits, fold_delay = max(fold_bits, (max(depths) - 1).bit_length()), age
        age += any(unit.op == "register" for unit in units)
        found += units
    if fold_delay:
        found.append(Unit("register", fold_delay, fold_bits))
    if folded:
        found.append(Unit("register", before, 1))
    return found


def memories(engine: Engine, folding: Folding, graph: OpGraph, width: int) -> list[Memory]:
    """Weights or second operand of the dot product, and the line buffers of the windows in the engine.

    Weights of which each is used by a multiplier of its own are constants of the circuit.
    """
    found = [*_operand(engine, folding, graph, width)]
    folds = engine.folds(folding.pe, folding.simd)
    word = weight_word(engine, width)
    if word and folds > 1:
        products = folding.pe * folding.simd
        depth = max(
            folds, -(-engine.dot.consts["weight"].count // products)
        )  # transposed: not all at each position
        found.append(Memory("weights", word * products, depth, engine.positions * folds))
    groups = int(engine.dot.attrs.get("groups", 1))
    found += _line_buffer(engine.dot, graph, folding.simd * min(folding.pe, groups), width)
    cycles = engine.cycles(folding.pe, folding.simd)
    for work in engine.chain:
        found += _line_buffer(work.node, graph, lanes_of(work, cycles), width)
    return found


def weight_word(engine: Engine, width: int) -> int:
    """Bits of one stored weight; 0 for a product of computed tensors."""
    weight = engine.dot.const("weight")
    return 0 if weight is None else bits_of_weights(engine.dot, width)["weight"] // max(1, weight.count)


def lanes_of(work: Work, cycles: int) -> int:
    """Units that perform the work within so many cycles."""
    return max(-(-count.count // (cycles * count.each)) for count in work.counts)


def _dot(engine: Engine, folding: Folding, width: int, fraction_bits: int) -> Iterator[Unit]:
    pe, simd = folding.pe, folding.simd
    folded = engine.taps > simd
    match engine.arithmetic:
        case DotArithmetic.XNOR | DotArithmetic.MASKED | DotArithmetic.PLANES:
            yield from _popcounts(engine, folding)
        case DotArithmetic.SIGNED_ADD:
            each = _operand_width(engine, width)
            sum_width = each + popcount_bits(engine.taps)
            yield Unit("signed_sum", pe, each, bits=simd)
            yield from _accumulate(pe, sum_width, each + popcount_bits(simd), folded=folded)
        case DotArithmetic.REAL | DotArithmetic.NARROW:
            each = width if engine.arithmetic is DotArithmetic.REAL else sum(engine.bits)
            sum_width = each + popcount_bits(engine.taps)
            for unit in units_of(engine.dot, engine.counts, Lanes(pe * simd, simd)):
                if unit.op != "add":
                    yield unit
            yield Unit("register", pe * simd, each)
            if simd > 1:
                yield Unit("add", pe * (simd - 1), each + popcount_bits(simd))
            yield from _accumulate(
                pe, sum_width, each + popcount_bits(simd), folded=folded or engine.digits > 1
            )
    if "bias" in engine.dot.consts:
        bias = engine.dot.consts["bias"]
        stored = stored_bits(bias, width, fraction_bits)
        yield Unit("add", pe, width)
        if bias.count > pe:
            yield rom(pe, -(-bias.count // pe), stored)


def _popcounts(engine: Engine, folding: Folding) -> Iterator[Unit]:
    """A popcount for each pair of bits of the operands, put together by shifts and adders; 2p - K."""
    pe, simd = folding.pe, folding.simd
    planes = engine.bits[0] * engine.bits[1] if engine.arithmetic is DotArithmetic.PLANES else 1
    sum_width = popcount_bits(engine.taps)
    yield Unit("xnor_popcount", pe * planes, 1, bits=simd)
    if engine.arithmetic is DotArithmetic.MASKED:
        yield masks(pe, simd)
    yield from _accumulate(pe * planes, sum_width, popcount_bits(simd), folded=engine.taps > simd)
    if planes > 1:
        yield Unit("add", pe * (planes - 1), sum_width + sum(engine.bits))
    if engine.scale is None:
        yield Unit("add", pe, sum_width + sum(engine.bits) - 1)  # 2p - K
        yield Unit("register", pe, sum_width + sum(engine.bits) - 1)


def _operand_width(engine: Engine, width: int) -> int:
    """Bits of what is added or subtracted: of whole numbers their own, at most the residual path's."""
    return min(width, max(engine.bits))


def _accumulate(pe: int, sum_width: int, part_width: int, *, folded: bool) -> Iterator[Unit]:
    """A register behind the partial sum; where K is folded, an accumulator behind that."""
    yield Unit("register", pe, part_width)
    if folded:
        yield Unit("accumulate", pe, sum_width)


def _shared(engine: Engine, folding: Folding, cycles: int, width: int) -> Iterator[Unit]:
    """Two-way multiplexers that bring PE results to fewer lanes of the chain: PE - lanes of them."""
    lanes = lanes_of(engine.chain[0], cycles) if engine.chain else folding.pe
    if lanes < folding.pe:
        count = popcount_bits(engine.taps)
        binary = count if engine.scale else count + sum(engine.bits) - 1
        yield Unit("mux", folding.pe - lanes, binary if engine.arithmetic in POPCOUNTED else width)


def _chain(work: Work, lanes: int, width: int, fraction_bits: int, scaled: int | None) -> Iterator[Unit]:
    """The units of one node. scaled: K of the binary dot product that it multiplies."""
    wide = max(count.width for count in work.counts)
    units = units_of(work.node, work.counts, Lanes(lanes, fraction_bits=fraction_bits))
    for unit in units:
        if scaled is not None and unit.op == "multiply":
            yield replace(unit, op="scale_dot", bits=scaled)
        else:
            yield unit
    if units:  # a constant shift and a sign bit are wiring
        yield Unit("register", lanes, 1 if work.node.kind in ONE_BIT else wide)
    for role, constant in work.node.consts.items():
        if constant.count > lanes and varies(work.node, role):
            stored = parameter_bits(work.node, role, width, fraction_bits)
            yield rom(lanes, -(-constant.count // lanes), stored)


def stored_bits(constant: Constant, width: int, fraction_bits: int) -> int:
    """Bits of a two's complement that holds all its values at so many fraction bits, at most `width`."""
    scaled = torch.round(constant.real() * 2.0**fraction_bits)
    magnitude = torch.maximum(scaled, -scaled - 1).max()
    return min(width, int(magnitude).bit_length() + 1)


def varies(node: OpNode, role: str) -> bool:
    """Whether a parameter is not the same number everywhere, and thus stored."""
    return (len(exponents_of(node)) if role == "exponent" else node.consts[role].distinct) > 1


def parameter_bits(node: OpNode, role: str, width: int, fraction_bits: int) -> int:
    """Bits of one stored parameter: the code of an exponent, or what its values need."""
    if role != "exponent":
        constant = node.consts[role]
        return 1 if constant.binary else stored_bits(constant, width, fraction_bits)
    exponents = {max(e, 1 - width) for e in exponents_of(node)}
    return max(1, code_bits(selected(exponents, identity=node.kind is OpKind.SHIFT_PRELU)))


def counters(engine: Engine, folding: Folding) -> Iterator[Unit]:
    """Counters of positions, output folds and input folds: an adder with a register each."""
    for steps in (
        engine.positions,
        -(-engine.channels // folding.pe),
        -(-engine.taps // folding.simd) * engine.digits,
    ):
        if steps > 1:
            yield Unit("accumulate", 1, max(2, (steps - 1).bit_length()))


def _line_buffer(node: OpNode, graph: OpGraph, elements: int, width: int) -> Iterator[Memory]:
    """What a window keeps of its input, all channels, in words of the `elements` that are read in one cycle."""
    source = graph.sources(node)[0]
    window = window_of(node, source)
    if window is None or window.single:
        return
    kept = window.kept * source.shape[1]
    word = min(elements, kept)
    bits = graph.precision(node if window.separate else source).width(width)
    yield Memory("line buffer", word * bits, -(-kept // word), reads=0)


def _operand(engine: Engine, folding: Folding, graph: OpGraph, width: int) -> Iterator[Memory]:
    """The second factor of a product of computed tensors: all of it, twice, as it is filled while it is read."""
    if engine.dot.kind is not OpKind.MATMUL:
        return
    source = graph.sources(engine.dot)[1]
    word = min(folding.pe * folding.simd, source.elements)
    bits = graph.precision(source).width(width)
    yield Memory("operand", word * bits, 2 * -(-source.elements // word), reads=0)
