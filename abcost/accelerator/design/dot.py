"""The dot product of an engine: PE lanes that work off K taps in steps of SIMD.

Taps are in the order of the pixels that a window is read in: kernel position by kernel position, channels inside.
Where a window reaches into zero padding, `inside` says which kernel positions of a step are in the image; the
popcounts of the others are held at 0, and the K of 2p - K counts the taps that are left.

    binary            XNOR-popcounts of at most `leaf.bits`, registered; a tree of registered adders; accumulator
    sign-controlled   signed sums of at most `leaf.inputs`, and the same behind them
    real              PE * SIMD multipliers, and the same behind them
    in signed digits  one digit of every weight per cycle: shifts by its place, registers that are held at 0 where a
                      weight has no such digit, and signed sums; all taps pass once for each digit

Weights that are read one word after another come from a memory: its register, and one behind it, for the way out of a
block takes as long as a unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from math import ceil, gcd, prod

from abcost.accelerator.design.adders import adder_sums, sign_sums
from abcost.accelerator.design.constants import weight_fraction
from abcost.accelerator.design.describer import Describer
from abcost.accelerator.design.net import Net, NumberFormat, Operand, Part, Slice
from abcost.accelerator.design.signed_digits import Digits, digits_of
from abcost.accelerator.engine import Engine
from abcost.accelerator.folding import Folding
from abcost.core.bits import popcount_bits
from abcost.core.exponents import sizes_of
from abcost.core.kinds import DotArithmetic, OpKind
from abcost.cost.fused import product_of
from abcost.cost.organisation import Lanes, Unit, units_of

POPCOUNTED = frozenset({DotArithmetic.XNOR, DotArithmetic.MASKED, DotArithmetic.PLANES})
_MOST_SHARING = 64
"""Lanes with constant weights that are priced together at most; what more of them would share is little."""

_MOST_BITS = 32
"""Of a term of a sum with signs."""

_LEAST_GATED = 12
"""Taps of one kernel position in a step from which leaves are held at 0 by it; for fewer every bit has a mask."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """What is added up in one clock cycle: bits of a popcount, inputs of a signed sum."""

    bits: int = 36
    inputs: int = 4


@dataclass(frozen=True, slots=True)
class Sum:
    """The sums of a dot product, all of one age. value: PE lanes; valid: 1 where they are complete.

    taps: kernel positions that were inside the image, and of how many taps each; None without padding.
    """

    value: Net
    valid: Net
    taps: tuple[Net, int] | None = None


def taps_per_position(engine: Engine) -> int:
    """Taps of one kernel position: input channels of a group; all of K where there is no window."""
    weight = engine.dot.const("weight")
    if engine.dot.kind is not OpKind.CONV or weight is None:
        return engine.taps
    return max(1, engine.taps // prod(weight.values.shape[2:]))


def padded(engine: Engine) -> bool:
    """Whether windows reach beyond the image."""
    return any(engine.dot.attrs.get("padding", ()))


def segment(engine: Engine, simd: int) -> int:
    """Taps of a step that are inside the image or outside together."""
    return gcd(simd, taps_per_position(engine)) if padded(engine) else simd


def describe_dot(
    d: Describer,
    engine: Engine,
    folding: Folding,
    number: NumberFormat,
    leaf: Leaf,
    word: int,
    *,
    memory: bool,
) -> Sum:
    """The parts of the dot product. word: bits of one stored weight; memory: whether weights are read from one."""
    steps, folds = -(-engine.taps // folding.simd) * engine.digits, -(-engine.channels // folding.pe)
    binary = engine.arithmetic in POPCOUNTED
    valid = Net("valid", 1, signed=False)
    first, last = _steps(d, valid, steps)
    stored = digits_of(word).bits if word and engine.in_digits else word
    if engine.in_adders:
        total = _shared_sums(d, engine, folding, number)
        return Sum(total, d.delay(last, total.age), None)
    weights = _weights(d, engine, folding, valid, stored, steps * folds if memory else 0)
    if not binary and word != 1:
        weight = engine.dot.const("weight")
        fraction = number.fraction_bits if weight is None else weight_fraction(weight, number)
        weights = weights._replace(fraction_bits=fraction)
    age = weights.age
    inside = None
    if binary and padded(engine):
        inside = Net("inside", 1, elements=folding.simd // segment(engine, folding.simd), signed=False)
    a = Net(
        "a", _activation_width(engine, number), elements=folding.simd, signed=not binary,
        fraction_bits=0 if binary else number.fraction_bits,
    )  # fmt: skip
    a = d.delay(a, age)
    if binary:
        parts = _popcounts(d, engine, folding, leaf, a, weights, inside, steps * folds if memory else 0)
    elif engine.arithmetic is DotArithmetic.SIGNED_ADD:
        parts = _signed_sums(d, engine, folding, number, leaf, a, weights)
    elif engine.in_digits:
        parts = _digit_sums(d, folding, leaf, a, weights, digits_of(word))
    else:
        parts = _products(d, engine, folding, a, weights)
    planes = _planes(engine)
    widest = _sum_width(engine, number, word)
    total = _tree(d, parts, widest)
    taps = _counted(d, engine, folding, inside)
    if steps > 1:
        total = _accumulate(d, total, first, valid, widest, unsigned=binary)
        if taps is not None:
            bits = popcount_bits(engine.taps // taps[1])
            taps = _accumulate(d, taps[0], first, valid, bits, unsigned=True), taps[1]
        step_end, last = last, d.select(last, last)
        total = d.select(total, step_end)
        if taps is not None:
            taps = d.select(taps[0], step_end), taps[1]
    if planes > 1:
        total = _join_planes(d, engine, folding, total)
    if taps is not None:
        taps = d.delay(taps[0], total.age), taps[1]
    return Sum(total, d.delay(last, total.age), taps)


def _shared_sums(d: Describer, engine: Engine, folding: Folding, number: NumberFormat) -> Net:
    """The sums of a graph of adders: of bits, or of fixed-point numbers."""
    if engine.arithmetic not in POPCOUNTED:
        width = _activation_width(engine, number)
        a = Net("a", width, elements=folding.simd, fraction_bits=number.fraction_bits)
        return adder_sums(d, engine, number, a)
    groups = folding.simd // segment(engine, folding.simd)
    inside = Net("inside", 1, elements=groups, signed=False) if padded(engine) else None
    return sign_sums(d, engine, Net("a", 1, elements=folding.simd, signed=False), inside)


@cache
def address_counter(words: int) -> tuple[Unit, ...]:
    """The counter that reads so many words of weights; priced apart, for it alone depends on PE in no simple way."""
    return (Unit("counter", 1, max(2, (words - 1).bit_length())),) if words > 1 else ()


def _planes(engine: Engine) -> int:
    return engine.bits[0] * engine.bits[1] if engine.arithmetic is DotArithmetic.PLANES else 1


def _activation_width(engine: Engine, number: NumberFormat) -> int:
    """Bits of an input: whole numbers have their own."""
    if engine.arithmetic in POPCOUNTED:
        return 1
    return min(number.width, engine.bits[0])


def _sum_width(engine: Engine, number: NumberFormat, word: int) -> int:
    """Bits of the complete sum that are read. word: of one weight; 0 where the second factor is computed."""
    count = popcount_bits(engine.taps)
    if engine.arithmetic in POPCOUNTED:
        return count
    if engine.arithmetic is DotArithmetic.SIGNED_ADD:
        return min(number.width, max(engine.bits) + count)
    products = engine.bits[0] + (word or engine.bits[1])
    return min(number.width + number.fraction_bits, products + count)


def _steps(d: Describer, valid: Net, steps: int) -> tuple[Net, Net]:
    """Flags of the first and the last step of a dot product, from a counter."""
    if steps == 1:
        return valid, valid
    d.remark = "steps of a dot product"
    bits = (steps - 1).bit_length()
    count, last = d.several(
        "counter", {"reset": d.reset, "enable": valid},
        [("count", Net("step", bits, signed=False)), ("wrap", Net("last", 1, signed=False))],
        [Unit("counter", 1, max(2, bits))], modulus=steps,
    )  # fmt: skip
    return d.wire("is_zero", count, "first", Net("", 1, signed=False)), last


def _weights(d: Describer, engine: Engine, folding: Folding, valid: Net, word: int, words: int) -> Net:
    """PE lanes of SIMD weights: read from a memory, or constants, or an input."""
    like = Net("weight", max(1, word), folding.pe, folding.simd, signed=word > 1)
    if engine.dot.const("weight") is None:
        return like._replace(name="w", width=max(1, engine.bits[1]))
    if words == 1:
        found = like._replace(name=d.name("weight"), constant=True)
        d.parts.append(_weight_part("weights", (), found))
        return found
    if not words:
        return like._replace(name="w")
    d.remark = "word of weights"
    bits = (words - 1).bit_length()
    address, _ = d.several(
        "counter", {"reset": d.reset, "enable": valid},
        [("count", Net("address", bits, signed=False)), ("wrap", Net("done", 1, signed=False))],
        (), modulus=words,
    )  # fmt: skip
    read = like._replace(name=d.name("word"), age=1)
    d.parts.append(_weight_part("memory", (("address", address),), read))
    return d.delay(read, 2)


def _weight_part(op: str, inputs: tuple[tuple[str, Operand], ...], output: Net) -> Part:
    return Part(op, 1, inputs, (("data", output),), remark="weights")


def _popcounts(
    d: Describer, engine: Engine, folding: Folding, leaf: Leaf, a: Net, w: Net, inside: Net | None, words: int
) -> list[Net]:
    """Registered popcounts of the leaves, held at 0 or masked outside the image. words: of the weights' memory."""
    planes = _planes(engine)
    lanes = folding.pe * planes
    op = "xnor_popcount"
    together = 0 if inside is None else segment(engine, folding.simd)
    size = max((n for n in _divisors(together) if n <= leaf.bits), default=0)
    gated = inside is not None and (size >= min(_LEAST_GATED, leaf.bits) or size == folding.simd)
    masked = (inside is not None and not gated) or engine.arithmetic is DotArithmetic.MASKED
    if masked and not w.constant:  # a mask takes the place of a weight
        op = "masked_popcount"
    sizes = [size] * (folding.simd // size) if gated else _even(folding.simd, leaf.bits)
    mask = None
    if inside is not None and not gated:
        inside = d.delay(inside, a.age)
        mask = d.wire("spread", inside, "mask", inside._replace(elements=folding.simd), times=together)
    found, start = [], 0
    d.remark = "popcount of agreeing bits"
    for bits in sizes:
        count = Net("count", popcount_bits(bits), signed=False)
        inputs: dict[str, Operand] = {"a": Slice(a, start, bits), "w": Slice(w, start, bits)}
        if mask is not None:
            inputs["m"] = Slice(mask, start, bits)
        priced = [Unit(op, lanes, 1, bits=bits)]
        if w.constant and not masked:
            priced = [Unit("constant_popcount", n, 1, bits=bits, choices=each) for n, each in _shared(lanes)]
        elif words == FEW_WORDS and planes == 1 and engine.arithmetic is not DotArithmetic.MASKED:
            known = "masked_two_word_popcount" if mask is not None else "two_word_popcount"
            priced = [Unit(known, n, 1, bits=bits, choices=each) for n, each in _shared(lanes)]
        leaf_count = d.unit(
            "xnor_popcount", lanes, inputs, count, "p", priced,
            parameters={"bits": bits, "masked": mask is not None}, end="none",
        )  # fmt: skip
        if gated and inside is not None:
            flags = d.delay(inside, a.age)
            inputs = {"d": leaf_count, "keep": Slice(flags, start // together, 1)}
            found.append(
                d.unit("gate", lanes, inputs, count, "q", [Unit("register", lanes, count.width)], end="own",
                       parameters={"width": count.width})
            )  # fmt: skip
        else:
            found.append(d.delay(leaf_count, leaf_count.age + 1))
        start += bits
    return found


FEW_WORDS = 2
"""Words of weights of which every bit is a constant, or says which word it is."""


def _shared(lanes: int) -> list[tuple[int, int]]:
    """Groups of lanes that are priced together, (how many groups, of how many lanes): powers of two, as measured."""
    found, rest = [], lanes
    size = _MOST_SHARING
    while rest:
        if rest >= size:
            found.append((rest // size, size))
            rest %= size
        size //= 2
    return found


def _signed_sums(
    d: Describer, engine: Engine, folding: Folding, number: NumberFormat, leaf: Leaf, a: Net, w: Net
) -> list[Net]:
    """Registered sums of the leaves; of binary activations the weights are what is added."""
    signs, terms = (w, a) if engine.bits[1] == 1 else (a, w)
    width = min(number.width, max(engine.bits))
    return _sums_with_signs(d, folding, leaf, terms, signs, NumberFormat(width, number.fraction_bits))


def _sums_with_signs(
    d: Describer, folding: Folding, leaf: Leaf, terms: Net, signs: Net, number: NumberFormat
) -> list[Net]:
    """Registered sums of +-terms, which are such numbers, of at most `leaf.inputs` each."""
    width = number.width
    found, start = [], 0
    d.remark = "sum with signs"
    for inputs in _even(folding.simd, leaf.inputs):
        out = width + inputs.bit_length()
        total = Net("sum", out, fraction_bits=number.fraction_bits)
        found.append(
            d.unit(
                "signed_sum", folding.pe,
                {"x": Slice(terms, start, inputs), "w": Slice(signs, start, inputs)}, total, "y",
                [Unit("signed_sum", folding.pe, width, bits=inputs)],
                parameters={"bits": inputs, "width": width},
            )
        )  # fmt: skip
        start += inputs
    return found


def _digit_sums(d: Describer, folding: Folding, leaf: Leaf, a: Net, w: Net, digits: Digits) -> list[Net]:
    """Registered sums of the leaves: of every tap +-a * 2**place, or nothing."""
    products = folding.pe * folding.simd
    width = a.width + digits.places[-1]
    if width > _MOST_BITS:
        d.unwritten.append(f"inputs shifted by its digits have {width} bits, more than {_MOST_BITS}")
    d.remark = "a digit of every weight"
    digit = w._replace(lanes=products, elements=1, signed=False)
    code = d.wire("cut", digit, "place", digit._replace(width=digits.selection.bits), places=0)
    sign = d.wire("cut", digit, "plus", digit._replace(width=1), places=digits.selection.bits)
    there = d.wire("cut", digit, "there", digit._replace(width=1), places=digits.selection.bits + 1)
    taps = d.wire("tile", a, "tap", a._replace(elements=products), times=folding.pe)
    x = d.extend(taps._replace(lanes=products, elements=1), width)
    inputs: dict[str, Operand] = {"x": x, "code": code}
    term = x._replace(name="term", fraction_bits=a.fraction_bits + w.fraction_bits)
    shifted = d.unit(
        "shift_select", products, inputs, term, "y",
        [Unit("shift_select", products, width, **sizes_of(digits.places, identity=False))],
        parameters={"width": width, "exponents": digits.places}, end="none",
    )  # fmt: skip
    kept = d.unit(
        "gate", products, {"d": shifted, "keep": there}, term, "q", [Unit("register", products, width)],
        end="own", parameters={"width": width},
    )  # fmt: skip
    terms = kept._replace(lanes=folding.pe, elements=folding.simd)
    signs = d.delay(sign, kept.age)._replace(lanes=folding.pe, elements=folding.simd)
    return _sums_with_signs(d, folding, leaf, terms, signs, NumberFormat(width, term.fraction_bits))


def _products(d: Describer, engine: Engine, folding: Folding, a: Net, w: Net) -> list[Net]:
    """Registered products, as wide as both factors together."""
    width = max(a.width, w.width)
    gates = product_of(a.width, w.width)
    priced = [
        replace(u, gates=gates if u.op == "multiply" else None)
        for u in units_of(engine.dot, engine.counts, Lanes(folding.pe, folding.simd))
        if u.op != "add"
    ]
    out = Net("product", a.width + w.width, fraction_bits=a.fraction_bits + w.fraction_bits)
    found = []
    d.remark = "products"
    for tap in range(folding.simd):
        product = d.unit(
            "multiply", folding.pe, {"a": _wide(d, a, tap, width), "b": _wide(d, w, tap, width)},
            out._replace(width=2 * width), "p", priced, parameters={"width": width}, end="none",
        )  # fmt: skip
        found.append(d.delay(d.wire("cut", product, "product", out, places=0), product.age + 1))
    return found


def _wide(d: Describer, x: Net, tap: int, width: int) -> Net:
    """One tap of a net with one element per lane."""
    return d.wire("extend", Slice(x, tap, 1), x.name, x._replace(width=width, elements=1))


def _tree(d: Describer, parts: Sequence[Net], widest: int) -> Net:
    """Registered sums of pairs, until one is left; what has no partner waits."""
    d.remark = "sum of the parts"
    live = list(parts)
    while len(live) > 1:
        age = max(net.age for net in live) + 1
        merged = []
        for a, b in zip(live[::2], live[1::2], strict=False):
            width = max(2, min(widest, max(a.width, b.width) + 1))
            merged.append(
                d.unit(
                    "add", a.lanes, {"a": _to(d, a, width), "b": _to(d, b, width)},
                    a._replace(name="sum", width=width), "s", [Unit("add", a.lanes, width)],
                    parameters={"width": width},
                )
            )  # fmt: skip
        if len(live) % 2:
            merged.append(d.delay(live[-1], age))
        live = merged
    return _to(d, live[0], widest) if live[0].width > widest else live[0]


def _to(d: Describer, net: Net, width: int) -> Net:
    """Exactly so wide: extended, or without the bits above that nobody reads."""
    if net.width == width:
        return net
    return d.wire(
        "cut" if net.width > width else "extend", net, net.name, net._replace(width=width), places=0
    )


def _accumulate(d: Describer, part: Net, first: Net, valid: Net, width: int, *, unsigned: bool) -> Net:
    d.remark = "sum over the steps"
    total = part._replace(name="total", width=max(2, width))
    return d.unit(
        "accumulate", part.lanes,
        {"x": part, "first": d.delay(first, part.age), "enable": d.delay(valid, part.age)}, total, "total",
        [Unit("accumulate", part.lanes, max(2, width))], end="own",
        parameters={
            "width": max(2, width), "input_width": part.width, "signed": not unsigned, "enabled": True
        },
    )  # fmt: skip


def _counted(d: Describer, engine: Engine, folding: Folding, inside: Net | None) -> tuple[Net, int] | None:
    """How many kernel positions (or parts of them) of a step are inside the image, and the taps of each."""
    if inside is None:
        return None
    taps = segment(engine, folding.simd)
    if inside.elements == 1:
        return inside._replace(elements=1), taps
    d.remark = "taps inside the image"
    bits = popcount_bits(inside.elements)
    count = d.unit(
        "plain_popcount", 1, {"a": inside}, Net("positions", bits, signed=False), "p",
        [Unit("plain_popcount", 1, 1, bits=inside.elements)], parameters={"bits": inside.elements},
    )  # fmt: skip
    return count, taps


def _join_planes(d: Describer, engine: Engine, folding: Folding, total: Net) -> Net:
    """Sums of the bit planes, shifted and added up."""
    planes = _planes(engine)
    width = total.width + sum(engine.bits)
    d.remark = "bit planes"
    joined = total._replace(name="planes", width=width, lanes=folding.pe)
    return d.unit(
        "planes", folding.pe, {"x": total}, joined, "y", [Unit("add", folding.pe * (planes - 1), width)]
    )


def _even(whole: int, most: int) -> list[int]:
    """The fewest parts of at most so many, as even as can be, larger ones first."""
    parts = ceil(whole / most)
    return [whole // parts + (i < whole % parts) for i in range(parts)]


def _divisors(n: int) -> list[int]:
    return [d for d in range(1, n + 1) if n % d == 0] if n else []
