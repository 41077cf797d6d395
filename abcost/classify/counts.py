"""How many of which primitive a node performs: formulas on integers, one per kind of node.

The conventions are those of `abcost.core.primitives`. Widths are operand widths in bits; a real element has
the width of the residual path.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from math import prod

import torch

from abcost.classify import functions
from abcost.classify.signed_digits import nonzero_digits
from abcost.core.adders.of_node import graph_of, in_adders
from abcost.core.adders.widths import adders_by_bits, signed_range
from abcost.core.bits import popcount_bits
from abcost.core.exponents import ExponentSet, sizes_of
from abcost.core.graph import OpGraph, taps
from abcost.core.kinds import DotArithmetic, OpKind
from abcost.core.node import OpNode
from abcost.core.primitives import Primitive
from abcost.core.unit_size import UnitSize
from abcost.core.windows import elements_in
from abcost.errors import GraphError


@dataclass(frozen=True, slots=True)
class Count(UnitSize):
    """`count` operations of one primitive on operands of `width` bits, and what else their size depends on.

    each: how many of them one element takes, by units of their own.
    """

    primitive: Primitive
    count: int
    width: int
    each: int = 1


def counts_of(graph: OpGraph, node: OpNode, real_width: int) -> tuple[Count, ...]:
    """What `node` performs in one inference. Zero-count entries are left out.

    Raises GraphError for a kind without a formula: unknown is an error, never 0.
    """
    formula = _FORMULAS.get(node.kind)
    if formula is None:
        raise GraphError(f"no counting formula for {node}")
    return tuple(count for count in formula(_Site(graph, node, real_width)) if count.count)


@dataclass(frozen=True, slots=True)
class _Site:
    """A node with what its formula needs to know."""

    graph: OpGraph
    node: OpNode
    real_width: int

    @property
    def n(self) -> int:
        """Elements of the result."""
        return self.node.elements

    @property
    def width(self) -> int:
        """Bits of the widest input element."""
        inputs = self.graph.sources(self.node)
        return max((self.graph.precision(x).width(self.real_width) for x in inputs), default=self.real_width)

    def of(self, primitive: Primitive, count: int, width: int | None = None) -> Count:
        return Count(primitive, count, width or self.width)


_Formula = Callable[[_Site], Iterator[Count]]


def _nothing(_site: _Site) -> Iterator[Count]:
    """Wiring: elements move, nothing is computed."""
    return iter(())


def _each(primitive: Primitive) -> _Formula:
    """One operation per element of the result."""

    def formula(site: _Site) -> Iterator[Count]:
        yield site.of(primitive, site.n)

    return formula


def _dot(site: _Site) -> Iterator[Count]:
    """K products per output, as `abcost.core.primitives` counts them."""
    macs, k = int(site.node.attrs["macs"]), taps(site.node)
    product = site.graph.dot_product(site.node)
    m, n = product.bits(site.real_width)
    sum_width = min(site.real_width, m + n + popcount_bits(k))
    if in_adders(site.node) and product.arithmetic in (DotArithmetic.REAL, DotArithmetic.SIGNED_ADD):
        yield from _shared_adders(site)
        return
    match product.arithmetic:
        case DotArithmetic.XNOR:
            yield from _popcounts(macs, k)
            yield site.of(Primitive.ADD, site.n, popcount_bits(k) + 1)  # 2p - K
        case DotArithmetic.MASKED:
            yield from _popcounts(macs, k)
            yield Count(Primitive.AND, macs, 1, bits=k)
            yield site.of(Primitive.ADD, site.n, popcount_bits(k) + 1)
        case DotArithmetic.PLANES:
            yield from _popcounts(m * n * macs, k)
            yield site.of(Primitive.ADD, m * n * site.n, sum_width)  # shifted by wiring, and the constant
        case DotArithmetic.SIGNED_ADD:
            whole = product.left is not None and product.right is not None
            yield site.of(
                Primitive.ADD, _signed_adds(site.node, macs), sum_width if whole else site.real_width
            )
        case DotArithmetic.NARROW:
            yield site.of(Primitive.MULTIPLY, macs, max(m, n))
            yield site.of(Primitive.ADD, macs, sum_width)
        case DotArithmetic.REAL if "csd_fraction_bits" in site.node.attrs:
            digits = _dot_digits(site.node)
            yield site.of(Primitive.SHIFT_CONSTANT, digits)
            yield site.of(Primitive.ADD, digits)  # every digit is one shifted term in the accumulator
        case DotArithmetic.REAL:
            yield site.of(Primitive.MULTIPLY, macs)
            yield site.of(Primitive.ADD, macs)
    if "bias" in site.node.consts:
        yield site.of(Primitive.ADD, site.n, site.real_width)


def _shared_adders(site: _Site) -> Iterator[Count]:
    """All adders of the graph at every position, each as wide as its sums, and one per channel that adds a bias."""
    (source,) = site.graph.sources(site.node)
    by_bits = Counter(adders_by_bits(graph_of(site.node), *input_range(site.graph, source, site.real_width)))
    channels = site.node.consts["weight"].values.shape[0]
    if "bias" in site.node.consts:
        by_bits[site.real_width] += channels
    positions = site.n // channels
    for bits, adders in sorted(by_bits.items()):
        yield replace(site.of(Primitive.ADD, adders * positions, bits), each=adders)


def input_range(graph: OpGraph, source: OpNode, real_width: int) -> tuple[int, int]:
    """Least and greatest whole number that stands for a value of a node on its way into adders.

    Real values are all that `real_width` bits of two's complement hold.
    """
    return signed_range(max(2, graph.precision(source).width(real_width)))


def _popcounts(bits: int, k: int) -> Iterator[Count]:
    """XNORs and popcount bits of words of K bits."""
    yield Count(Primitive.XNOR, bits, 1, bits=k)
    yield Count(Primitive.POPCOUNT, bits, 1, bits=k)


def _signed_adds(node: OpNode, macs: int) -> int:
    """One for each product; of weights -1, 0 and 1 those by 0 are none. Zeros of other weights count as written."""
    weight = node.const("weight")
    if weight is None or weight.binary or weight.count == 0 or weight.values.is_floating_point():
        return macs
    if int(weight.values.abs().amax()) > 1:
        return macs
    return int(torch.count_nonzero(weight.values)) * (macs // weight.count)


def _box_sum(site: _Site) -> Iterator[Count]:
    """A sum of taps: of bits a popcount, shared by all channels, and one add (2p - K); of wider ones taps - 1 adds."""
    k = taps(site.node)
    if site.width == 1:
        yield Count(Primitive.POPCOUNT, site.n * k, 1, bits=k)
        yield site.of(Primitive.ADD, site.n, popcount_bits(k) + 1)
    else:
        yield site.of(Primitive.ADD, site.n * (k - 1), min(site.real_width, site.width + popcount_bits(k)))


def _threshold(site: _Site) -> Iterator[Count]:
    """A comparison; where channels differ in which side is which, an inversion by a bit of each."""
    yield site.of(Primitive.COMPARE, site.n)
    if "gain" in site.node.consts:
        yield Count(Primitive.XNOR, site.n, 1, bits=1)


def _quantise(site: _Site) -> Iterator[Count]:
    """Levels - 1 comparisons, and a popcount of their results."""
    steps = int(site.node.attrs["levels"]) - 1
    yield site.of(Primitive.COMPARE, site.n * steps)
    if steps > 1:
        yield Count(Primitive.POPCOUNT, site.n * steps, 1, bits=steps)
    if "gain" in site.node.consts:
        yield Count(Primitive.XNOR, site.n * steps, 1, bits=steps)


def _dot_digits(node: OpNode) -> int:
    """Nonzero digits met in one inference: each weight's, as often as the weight is used."""
    weight = node.consts["weight"]
    uses = int(node.attrs["macs"]) // weight.count
    return int(nonzero_digits(weight.values, node.attrs["csd_fraction_bits"]).sum()) * uses


def _scale(site: _Site) -> Iterator[Count]:
    """One multiply per element; in signed digits a shift per digit, and adds between the terms."""
    fraction_bits = site.node.attrs.get("csd_fraction_bits")
    if fraction_bits is None:
        yield site.of(Primitive.MULTIPLY, site.n, site.real_width)
        return
    factor = site.node.consts["factor"]
    digits = nonzero_digits(factor.values, fraction_bits)
    uses = site.n // factor.count
    yield site.of(Primitive.SHIFT_CONSTANT, int(digits.sum()) * uses, site.real_width)
    yield site.of(Primitive.ADD, int((digits - 1).clip(min=0).sum()) * uses, site.real_width)


def exponents_of(node: OpNode) -> ExponentSet:
    """Those that a shift chooses from: all that hardware offers, or those that the channels have."""
    if "allowed" in node.attrs:
        return ExponentSet(node.attrs["allowed"])
    distinct = set(node.consts["exponent"].real().flatten().tolist())  # channels have few
    return ExponentSet(int(value) for value in distinct)


def _shift(site: _Site) -> Iterator[Count]:
    """A shift: by one amount it is wiring, by one of several a multiplexer."""
    exponents = exponents_of(site.node)
    primitive = Primitive.SHIFT_CONSTANT if len(exponents) == 1 else Primitive.SHIFT_SELECT
    sizes = sizes_of(exponents, identity=site.node.kind is OpKind.SHIFT_PRELU)
    yield Count(primitive, site.n, site.real_width, **sizes)


def _prelu(site: _Site) -> Iterator[Count]:
    """The negative branch is computed for every element, and the sign bit selects."""
    yield site.of(Primitive.MULTIPLY, site.n)
    yield site.of(Primitive.MUX, site.n)


def _shift_prelu(site: _Site) -> Iterator[Count]:
    yield from _shift(site)
    yield site.of(Primitive.MUX, site.n)


def _clamp(site: _Site) -> Iterator[Count]:
    """One per finite limit: at 0 the sign bit selects, elsewhere a comparison does."""
    for limit in (site.node.attrs["min"], site.node.attrs["max"]):
        if limit is not None:
            yield site.of(Primitive.MUX, site.n)
            if limit != 0.0:
                yield site.of(Primitive.COMPARE, site.n)


def _extremum(site: _Site) -> Iterator[Count]:
    yield site.of(Primitive.COMPARE, site.n)
    yield site.of(Primitive.MUX, site.n)


def _max_pool(site: _Site) -> Iterator[Count]:
    """Taps - 1 comparisons, each with the select that keeps the larger."""
    yield site.of(Primitive.COMPARE, _steps_of_pool(site))
    yield site.of(Primitive.MUX, _steps_of_pool(site))


def _sum_pool(site: _Site) -> Iterator[Count]:
    yield site.of(Primitive.ADD, _steps_of_pool(site), site.real_width)


def _steps_of_pool(site: _Site) -> int:
    """Taps - 1 per output; with windows of unequal sizes each has taps of its own."""
    windows = site.node.attrs.get("windows")
    if windows is None:
        return site.n * (taps(site.node) - 1)
    positions = prod(len(axis) for axis in windows)
    return site.n // positions * (elements_in(windows) - positions)


def _avg_pool(site: _Site) -> Iterator[Count]:
    """Taps - 1 adds and one multiplication by 1/taps, unless that is 1."""
    yield from _sum_pool(site)
    if taps(site.node) > 1:
        yield site.of(Primitive.MULTIPLY, site.n, site.real_width)


def _realised(site: _Site, elements: int, steps: Iterable[functions.FunctionStep]) -> Iterator[Count]:
    """The steps of so many elements. A table's words are real values, and no more than there are operands."""
    for step in steps:
        count = Count(step.primitive, elements * step.each, step.width or site.width, each=step.each)
        if step.depth is None:
            yield count
        else:
            yield replace(count, width=site.real_width, depth=min(step.depth, 2**site.width))


def _function(site: _Site) -> Iterator[Count]:
    """A function by its ATen operator: exact forms, or a table; rounding a whole number counts nothing."""
    values = site.graph.values(site.graph.sources(site.node)[0]).grid
    if site.node.attrs.get("aten") in functions.ROUNDINGS and values is not None and values.whole:
        return iter(())
    return _realised(site, site.n, functions.steps_of(site.node, site.real_width))


def _softmax(site: _Site) -> Iterator[Count]:
    """Row of D: D - 1 comparisons, D subtractions, D exponentials, D - 1 adds, 1 reciprocal, D multiplies.

    A log-softmax has 1 logarithm and D subtractions in place of the last two.
    """
    rows = site.n // int(site.node.attrs["group"])
    yield site.of(Primitive.COMPARE, site.n - rows)
    yield site.of(Primitive.MUX, site.n - rows)
    yield site.of(Primitive.ADD, site.n + site.n - rows)
    yield from _realised(site, site.n, functions.merged(functions.exp_below_0()))
    if site.node.attrs.get("aten") == "_log_softmax.default":
        yield from _realised(site, rows, functions.merged(functions.logarithm(site.real_width)))
        yield site.of(Primitive.ADD, site.n)
        return
    yield from _realised(site, rows, functions.merged(functions.reciprocal(site.real_width)))
    yield site.of(Primitive.MULTIPLY, site.n)


def _norm(site: _Site) -> Iterator[Count]:
    """Row of D: sum, mean, D differences, D squares, their sum, variance, 1/sqrt, D products (and weight, bias).

    Multiplies: D squares + D by 1/sqrt + 2 by 1/D (+ D by the weight).
    Adds: (D - 1) for the mean + D differences + (D - 1) for the variance + 1 for eps (+ D for the bias).
    """
    rows = site.n // int(site.node.attrs["group"])
    affine = site.n if site.node.attrs["affine"] else 0
    yield site.of(Primitive.MULTIPLY, 2 * site.n + 2 * rows + affine)
    yield site.of(Primitive.ADD, 3 * site.n - rows + affine)
    yield from _realised(site, rows, functions.merged(functions.rsqrt(site.real_width)))


_FORMULAS: dict[OpKind, _Formula] = {
    OpKind.INPUT: _nothing,
    OpKind.OUTPUT: _nothing,
    OpKind.WIRING: _nothing,
    OpKind.LOOKUP: _nothing,  # a memory access, no operation
    OpKind.CONV: _dot,
    OpKind.LINEAR: _dot,
    OpKind.MATMUL: _dot,
    OpKind.ADD: _each(Primitive.ADD),
    OpKind.SUBTRACT: _each(Primitive.ADD),
    OpKind.NEGATE: _each(Primitive.ADD),
    OpKind.ADD_CONST: _each(Primitive.ADD),
    OpKind.MULTIPLY: _each(Primitive.MULTIPLY),
    OpKind.SCALE: _scale,
    OpKind.SHIFT: _shift,
    OpKind.SIGN: _each(Primitive.SIGN),
    OpKind.THRESHOLD: _threshold,
    OpKind.QUANTISE: _quantise,
    OpKind.COMPARE: _each(Primitive.COMPARE),
    OpKind.SELECT: _each(Primitive.MUX),
    OpKind.PRELU: _prelu,
    OpKind.SHIFT_PRELU: _shift_prelu,
    OpKind.CLAMP: _clamp,
    OpKind.EXTREMUM: _extremum,
    OpKind.MAX_POOL: _max_pool,
    OpKind.SUM_POOL: _sum_pool,
    OpKind.BOX_SUM: _box_sum,
    OpKind.AVG_POOL: _avg_pool,
    OpKind.SOFTMAX: _softmax,
    OpKind.NORM: _norm,
    OpKind.MASK: _each(Primitive.MASK),
    OpKind.FUNCTION: _function,
}
