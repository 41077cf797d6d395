"""Counting: formulas on shapes, signed digits against brute force, and where multiplications come from."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from abcost.classify import tally
from abcost.classify.counts import _FORMULAS, counts_of
from abcost.classify.signed_digits import nonzero_digits
from abcost.core.bits import popcount_bits
from abcost.core.kinds import OpKind
from abcost.core.log import Phase
from abcost.core.precision import precision_of
from abcost.core.primitives import CLASS_OF, FREE, OpClass, Origin, Primitive
from abcost.core.values import whole_numbers
from abcost.cost.memory import traffic_of
from abcost.cost.organisation import Lanes, cycles_of, units_of
from abcost.errors import GraphError
from abcost.rewrite import RewriteOptions, rewrite
from strategies import Module, const, single, traced

WIDTH = 16


def recognised(function, *shapes, **members):
    return rewrite(traced(function, *shapes, **members), Phase.RECOGNISE, RewriteOptions()).graph


def primitives(graph):
    """{primitive: count} of a whole graph."""
    found = Counter()
    for row in tally(graph, WIDTH).rows:
        found[row.count.primitive.value] += row.count.count
    return dict(found)


def origins(graph):
    return {origin.value: n for origin, n in tally(graph, WIDTH).by_origin().items() if n}


def macs(graph):
    found = tally(graph, WIDTH).macs
    return (found.total, found.xnor, found.signed_add, found.real)


# the vocabulary


def test_every_kind_has_a_formula_and_every_primitive_a_class():
    assert set(_FORMULAS) == set(OpKind)
    assert set(CLASS_OF) == set(Primitive)
    assert set(FREE) == {Primitive.SHIFT_CONSTANT, Primitive.SIGN, Primitive.MASK}


def test_an_unknown_kind_is_an_error_and_never_zero(monkeypatch):
    monkeypatch.delitem(_FORMULAS, OpKind.NEGATE)
    graph = single(OpKind.NEGATE, (1, 4), (1, 4))
    with pytest.raises(GraphError, match=r"^no counting formula for negate 'y'$"):
        counts_of(graph, graph.node("y"), WIDTH)


def test_every_class_and_origin_is_in_a_tally():
    found = tally(single(OpKind.NEGATE, (1, 4), (1, 4)), WIDTH)
    assert list(found.by_class()) == list(OpClass)
    assert list(found.by_origin()) == list(Origin)


@pytest.mark.parametrize(
    ("taps", "bits"), [(1, 1), (2, 2), (3, 2), (4, 3), (575, 10), (1023, 10), (1024, 11)]
)
def test_popcount_bits(taps, bits):
    assert popcount_bits(taps) == bits
    assert 2 ** (bits - 1) <= taps < 2**bits  # a counter of so many bits holds 0..taps, one bit less does not
    if taps > 1:  # 2p - K is one of -K … K; of one tap it is a sign
        assert precision_of(whole_numbers(-taps, taps)).bits == bits + 1


# one node at a time; N = 6 elements

SHAPE, N = (2, 3), 6
PER_NODE = {
    "negate": (OpKind.NEGATE, {}, {}, {"add": N}),
    "add_const": (OpKind.ADD_CONST, {}, {"value": const(1.0)}, {"add": N}),
    "scale": (OpKind.SCALE, {}, {"factor": const(0.3)}, {"multiply": N}),
    "shift": (OpKind.SHIFT, {}, {"exponent": const([2, 2, 2])}, {"shift_constant": N}),
    "selected shift": (OpKind.SHIFT, {}, {"exponent": const([2, 1, 2])}, {"shift_select": N}),
    "sign": (OpKind.SIGN, {"at_zero": 0}, {}, {"sign": N}),
    "threshold": (OpKind.THRESHOLD, {"at_zero": 0}, {"level": const(0.3)}, {"compare": N}),
    "compare": (OpKind.COMPARE, {"relation": "ge"}, {"level": const(0.3)}, {"compare": N}),
    "select": (OpKind.SELECT, {}, {"self": const(1.0), "other": const(0.0)}, {"mux": N}),
    "prelu": (OpKind.PRELU, {}, {"slope": const(0.3)}, {"multiply": N, "mux": N}),
    "shift prelu": (OpKind.SHIFT_PRELU, {}, {"exponent": const(-2)}, {"shift_constant": N, "mux": N}),
    "selected shift prelu": (OpKind.SHIFT_PRELU, {}, {"exponent": const([1, 2, 3])}, {"shift_select": N, "mux": N}),
    "relu": (OpKind.CLAMP, {"min": 0.0, "max": None}, {}, {"mux": N}),
    "relu6": (OpKind.CLAMP, {"min": 0.0, "max": 6.0}, {}, {"mux": 2 * N, "compare": N}),
    "extremum": (OpKind.EXTREMUM, {"which": "max"}, {"level": const(1.0)}, {"compare": N, "mux": N}),
    "mask": (OpKind.MASK, {"slope": 1.5}, {}, {"mask": N}),
    "function": (OpKind.FUNCTION, {"aten": "atan.default", "args": [{"in": 0}]}, {}, {"function": N}),
    "wiring": (OpKind.WIRING, {"aten": "t.default", "args": [{"in": 0}]}, {}, {}),
    "lookup": (OpKind.LOOKUP, {}, {}, {}),
    # 2 rows of 3: 2 compares and selects, 3 - and 2 +, 3 exp (clamp, table), 1 reciprocal (4 steps that normalise
    # 16 bits, table, 4 selects back), 3 products each
    "softmax": (
        OpKind.SOFTMAX, {"group": 3}, {},
        {"compare": 4 + 6 + 8, "mux": 4 + 6 + 2 * (4 + 4), "add": 10, "rom": 6 + 2, "multiply": 6},
    ),
    # no products: a logarithm (normalise, two tables, add) per row and 3 more subtractions
    "log softmax": (
        OpKind.SOFTMAX, {"group": 3, "aten": "_log_softmax.default"}, {},
        {"compare": 4 + 6 + 8, "mux": 4 + 6 + 8, "add": 10 + 2 + 6, "rom": 6 + 2 * 2},
    ),
    # rows of 3: 3 squares, 3 by 1/sqrt, 2 by 1/3; 2 + 3 + 2 + 1 adds; 1/sqrt as a reciprocal
    "norm": (
        OpKind.NORM, {"group": 3, "affine": False}, {},
        {"multiply": 16, "add": 16, "compare": 8, "mux": 16, "rom": 2},
    ),
    "affine norm": (
        OpKind.NORM, {"group": 3, "affine": True}, {},
        {"multiply": 22, "add": 22, "compare": 8, "mux": 16, "rom": 2},
    ),
    # 1.4375 = 2 - 1/2 - 1/16: 3 digits, 2 adds between them
    "signed digits": (
        OpKind.SCALE, {"csd_fraction_bits": 4}, {"factor": const(1.4375)}, {"shift_constant": 3 * N, "add": 2 * N},
    ),
    "signed digits of 0": (OpKind.SCALE, {"csd_fraction_bits": 4}, {"factor": const(0.0)}, {}),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(PER_NODE))
def test_counts_of_one_node(name):
    kind, attrs, consts, wanted = PER_NODE[name]
    assert primitives(single(kind, SHAPE, SHAPE, attrs, **consts)) == wanted


def test_pools():
    # 3 channels of 2 x 2 windows: 3 * 4 results of 4 taps
    assert primitives(traced(lambda m, x: F.avg_pool2d(x, 2), (1, 3, 4, 4))) == {
        "add": 12 * 3,
        "multiply": 12,
    }
    assert primitives(traced(lambda m, x: F.max_pool2d(x, 2), (1, 3, 4, 4))) == {
        "compare": 12 * 3,
        "mux": 12 * 3,
    }
    assert primitives(traced(lambda m, x: x.sum((2, 3)), (1, 3, 4, 4))) == {"add": 3 * 15}
    assert primitives(traced(lambda m, x: x.amax(1), (1, 3, 4, 4))) == {"compare": 16 * 2, "mux": 16 * 2}


def test_an_infinite_limit_is_no_limit():
    inf = float("inf")
    assert primitives(traced(lambda m, x: F.hardtanh(x, 0.0, inf), (2, 3))) == {"mux": N}
    assert primitives(traced(lambda m, x: x.clamp(-inf, 6.0), (2, 3))) == {"mux": N, "compare": N}
    assert primitives(traced(lambda m, x: x.clamp(-inf, inf), (2, 3))) == {}


def test_a_mean_of_one_tap_is_nothing():
    assert primitives(traced(lambda m, x: F.adaptive_avg_pool2d(x, 4), (1, 3, 4, 4))) == {}


def test_a_square_is_a_multiplication_and_a_quotient_one_with_a_reciprocal():
    assert primitives(traced(lambda m, x: x**2, (2, 3))) == {"multiply": N}
    assert primitives(traced(lambda m, x: x * x, (2, 3))) == {"multiply": N}
    # 1 / |y|: 0 - y and a select, 4 steps to normalise, table, 4 selects back, saturated, sign back; then one product
    reciprocal = {"compare": 5 * N, "mux": (1 + 4 + 4 + 1 + 1) * N, "rom": N}
    quotient = {"add": (1 + 2) * N, "multiply": N, **reciprocal}
    assert primitives(traced(lambda m, x: x / (x + 1), (2, 3))) == quotient
    four, three = torch.tensor(4.0), torch.tensor(3.0)
    assert primitives(traced(lambda m, x: four / x, (2, 3))) == {"add": 2 * N, **reciprocal}  # a shift
    assert primitives(traced(lambda m, x: three / x, (2, 3))) == {"add": 2 * N, "multiply": N, **reciprocal}
    assert primitives(traced(lambda m, x: x / 3, (2, 3))) == {"multiply": N}  # by the reciprocal


def test_operand_widths():
    conv = nn.Conv2d(4, 2, 3, bias=True)
    conv.weight.data = conv.weight.sign() * 0.3
    graph = recognised(lambda m, x: m.conv(x.sign()).relu(), (1, 4, 5, 5), conv=conv)
    widths = {
        (row.node.kind.value, row.count.primitive.value): row.count.width for row in tally(graph, WIDTH).rows
    }
    assert widths["sign", "sign"] == WIDTH
    assert widths["conv", "xnor"] == 1
    assert widths["conv", "add"] == 7  # 2p - 36: popcount 0..36 in 6 bits, and a sign
    assert widths["scale", "multiply"] == WIDTH
    assert widths["clamp", "mux"] == WIDTH
    (xnor,) = [row.count for row in tally(graph, WIDTH).rows if row.count.primitive is Primitive.XNOR]
    assert xnor.bits == 36


# dot products: multiply-accumulates from shapes


@pytest.mark.parametrize(
    ("layer", "shape", "products"),
    [
        (nn.Conv2d(3, 8, 3, padding=1), (1, 3, 6, 6), 8 * 36 * 27),
        (nn.Conv2d(3, 8, 3, stride=2), (1, 3, 7, 7), 8 * 9 * 27),
        (nn.Conv2d(3, 8, 3, padding=1), (5, 3, 6, 6), 5 * 8 * 36 * 27),  # a batch of five
        (nn.Conv2d(4, 8, 3, groups=2), (1, 4, 5, 5), 8 * 9 * (2 * 9)),
        (nn.Conv2d(4, 4, 3, groups=4), (1, 4, 5, 5), 4 * 9 * 9),  # depthwise
        (nn.Conv2d(2, 3, 3, dilation=2), (1, 2, 7, 7), 3 * 9 * 18),
        (nn.Conv1d(2, 3, 5), (1, 2, 9), 3 * 5 * 10),
        (nn.Conv3d(2, 3, 2), (1, 2, 3, 3, 3), 3 * 8 * 16),
        # each of 3 * 16 inputs meets 2 filters of 3 x 3
        (nn.ConvTranspose2d(3, 2, 3, stride=2), (1, 3, 4, 4), 3 * 16 * 2 * 9),
        (nn.ConvTranspose2d(4, 6, 2, stride=2, groups=2), (1, 4, 3, 3), 4 * 9 * 3 * 4),
        (nn.Linear(5, 3), (2, 5), 2 * 3 * 5),
        (nn.Linear(5, 3), (2, 4, 5), 2 * 4 * 3 * 5),  # on every token
    ],
)
def test_macs_of_layers(layer, shape, products):
    graph = traced(lambda m, x: m.layer(x), shape, layer=layer)
    assert macs(graph) == (products, 0, 0, products)
    output = graph.sources(graph.of_kind(OpKind.OUTPUT)[0])[0].elements
    assert primitives(graph) == {"multiply": products, "add": products + output}  # and the bias


def test_macs_of_matrix_products():
    assert macs(traced(lambda m, a, b: a @ b, (2, 3, 4), (2, 4, 5)))[0] == 2 * 3 * 5 * 4
    assert (
        macs(traced(lambda m, a, b: torch.einsum("bij,bkj->bik", a, b), (2, 3, 4), (2, 5, 4)))[0]
        == 2 * 3 * 5 * 4
    )


@pytest.mark.parametrize(
    ("options", "taps"),
    [
        ({"stride": 1}, 3 * 3 * 3),
        ({"stride": 2}, 3 * 2 * 2),  # every second kernel position along each axis
        ({"stride": 3}, 3),
        ({"stride": 2, "dilation": 2}, 3 * 3 * 3),  # stride and dilation in step: all positions
        ({"stride": 4, "dilation": 2}, 3 * 2 * 2),
    ],
)
def test_taps_of_a_transposed_convolution(options, taps):
    layer = nn.ConvTranspose2d(3, 5, 3, bias=False, **options)
    (node,) = traced(lambda m, x: m.layer(x), (1, 3, 5, 5), layer=layer).of_kind(OpKind.CONV)
    assert node.attrs["taps"] == taps
    # the most products that any output sums: ones everywhere
    layer.weight.data.fill_(1.0)
    assert layer(torch.ones(1, 3, 5, 5)).max().item() == taps


def binary(layer, scale=1.0):
    layer.weight.data = torch.where(layer.weight >= 0, scale, -scale)
    return layer


def test_both_operands_decide():
    conv = binary(nn.Conv2d(4, 2, 3, bias=False))
    products, outputs = 2 * 9 * 36, 2 * 9
    xnor = recognised(lambda m, x: m.conv(x.sign()), (1, 4, 5, 5), conv=conv)
    assert primitives(xnor) == {"sign": 100, "xnor": products, "popcount": products, "add": outputs}
    assert macs(xnor) == (products, products, 0, 0)
    signed = recognised(lambda m, x: m.conv(x), (1, 4, 5, 5), conv=conv)
    assert primitives(signed) == {"add": products}
    assert macs(signed) == (products, 0, products, 0)
    real_weight = recognised(lambda m, x: m.conv(x.sign()), (1, 4, 5, 5), conv=nn.Conv2d(4, 2, 3, bias=False))
    assert primitives(real_weight) == {"sign": 100, "add": products}
    assert macs(real_weight) == (products, 0, products, 0)


def test_padded_taps_are_counted_wherever_the_padding_is_written():
    conv = binary(nn.Conv2d(2, 3, 3, padding=1, bias=False))
    inside = recognised(lambda m, x: m.conv(x.sign()), (1, 2, 4, 4), conv=conv)
    outside = recognised(
        lambda m, x: F.conv2d(F.pad(x.sign(), (1, 1, 1, 1)), m.conv.weight), (1, 2, 4, 4), conv=conv
    )
    assert primitives(inside) == primitives(outside)
    assert macs(inside)[1] == 3 * 16 * 18


def test_the_bias_of_a_binary_layer_is_an_add_per_output():
    conv = binary(nn.Conv2d(4, 2, 3, bias=True), 0.3)
    graph = recognised(lambda m, x: m.conv(x.sign()), (1, 4, 5, 5), conv=conv)
    assert primitives(graph)["add"] == 18 + 18  # 2p - K, bias
    assert primitives(graph)["multiply"] == 18


@pytest.mark.parametrize(
    "row",
    [
        [0.7, 0.0, -0.3, 0.0, 1.9, 0.2, 0.0, 1.1],
        [70.0, 0.0, -33.0, 0.0, 21.0, 0.0, -60.0, 55.0],  # 8-bit whole numbers
    ],
)
def test_weights_with_zeros_under_a_sign_are_added_as_written(row):
    graph = recognised(lambda _m, x: F.linear(x.sign(), torch.tensor([row] * 3)), (1, 8))
    assert primitives(graph)["add"] == 3 * 8


def test_of_ternary_weights_one_add_for_each_that_is_not_0():
    row = [1.0, 0.0, -1.0, 0.0, 1.0, 1.0, 0.0, -1.0]
    graph = recognised(lambda _m, x: F.linear(x, torch.tensor([row] * 3)), (1, 8))
    assert primitives(graph)["add"] == 3 * 5


def test_binary_attention_is_xnor():
    graph = traced(lambda m, a, b: a.sign() @ b.sign(), (1, 3, 8), (1, 8, 3))
    assert macs(graph) == (72, 72, 0, 0)


# signed digits


def naf(n):
    """Digits of the nonadjacent form, by its definition: no two neighbours nonzero."""
    digits = []
    while n:
        digit = 2 - n % 4 if n % 2 else 0
        digits.append(digit)
        n = (n - digit) // 2
    return digits


def test_the_brute_force_is_right():
    for n in range(2**12 + 1):
        digits = naf(n)
        assert sum(d * 2**k for k, d in enumerate(digits)) == n
        assert all(a == 0 or b == 0 for a, b in pairwise(digits))


def test_nonzero_digits_of_all_integers_up_to_4096():
    n = range(2**12 + 1)
    wanted = [sum(d != 0 for d in naf(k)) for k in n]
    values = torch.tensor(n).double()
    assert nonzero_digits(values, 0).tolist() == wanted
    assert nonzero_digits(-values, 0).tolist() == wanted
    assert nonzero_digits(values / 4096, 12).tolist() == wanted


def fewest_terms(n, limit):
    """Fewest +-2**k that sum to n, by search."""
    reached, terms = {0}, 0
    while n not in reached:
        reached |= {r + s * 2**k for r in reached for k in range(limit) for s in (1, -1)}
        terms += 1
    return terms


@given(st.integers(0, 127))
def test_no_other_form_has_fewer_digits(n):
    assert nonzero_digits(torch.tensor([float(n)]), 0).tolist() == [fewest_terms(n, 9)]


def test_powers_of_two_below_the_grid_are_one_digit():
    assert nonzero_digits(torch.tensor([2.0**-30, 2.0**-12]), 12).tolist() == [1, 1]


def test_digits_of_a_convolution_count_each_weight_as_often_as_it_is_used():
    conv = nn.Conv2d(1, 2, (1, 2), bias=False)
    conv.weight.data = torch.tensor(
        [[[[7.0, 0.0]]], [[[1.0, 0.6875]]]]
    )  # digits 2, 0, 1, 3 (11/16 = 1 - 1/4 - 1/16)
    options = RewriteOptions(constant_multiply="csd")
    graph = rewrite(traced(lambda m, x: m.conv(x), (1, 1, 3, 3), conv=conv), Phase.LOWER, options).graph
    positions = 3 * 2
    assert primitives(graph) == {"shift_constant": positions * 6, "add": positions * 6}
    assert macs(graph)[0] == positions * 4


def test_a_graph_of_adders_counts_each_adder_at_every_position_and_is_built_whole():
    # y0 = 3 (a + b), y1 = 5 (a + b) of 16 bits at 2 x 3 positions: s = a + b has 17 bits; 3 s = 4 s - s (or s + 2 s)
    # and 5 s = s + 4 s have 19 and 20 (5 * 2**16 needs 19 and a sign): their lowest bits are those of s
    conv = nn.Conv2d(2, 2, 1)
    conv.weight.data = torch.tensor([[3.0, 3.0], [5.0, 5.0]]).reshape(2, 2, 1, 1)
    options = RewriteOptions(constant_multiply="graph")
    graph = rewrite(traced(lambda m, x: m.conv(x), (1, 2, 2, 3), conv=conv), Phase.LOWER, options).graph
    (node,) = graph.of_kind(OpKind.CONV)
    counts = counts_of(graph, node, 16)
    assert sum(c.count for c in counts) == 6 * (3 + 2)  # and a bias for either channel
    assert {c.primitive for c in counts} == {Primitive.ADD}
    assert [(c.width, c.count, c.each) for c in counts if c.width < 18] == [(16, 6 * 2, 2), (17, 6, 1)]
    assert all(c.count == 6 * c.each for c in counts)
    assert sum(unit.count for unit in units_of(node, counts, Lanes(2))) == 2 * 5
    assert cycles_of(counts, Lanes(2)) == 3
    assert traffic_of(graph, node, 16).read_bits == 0  # weights and biases are wiring


# origins


class Bottleneck(nn.Module):
    def __init__(self, *, squeeze=False):
        super().__init__()
        self.a, self.b, self.c = nn.Conv2d(4, 2, 1), nn.Conv2d(2, 2, 3, padding=1), nn.Conv2d(2, 6, 1)
        self.short = nn.Conv2d(4, 6, 1)
        self.fc = nn.Conv2d(6, 6, 1) if squeeze else None

    def forward(self, x):
        y = self.c(F.relu(self.b(F.relu(self.a(x)))))
        if self.fc is not None:
            y = y * torch.sigmoid(self.fc(y.mean((2, 3), keepdim=True)))
        return y + self.short(x)


def stem_then(block, /, **members):
    """A block behind a real stem, in front of a classifier."""

    def forward(m, x):
        return m.head(block(m, F.relu(m.stem(x))).mean((2, 3)))

    out = members.pop("out", 4)
    stem, head = nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.Linear(out, 2)
    return recognised(forward, (1, 3, 5, 5), stem=stem, head=head, **members)


def layers_of(graph, origin):
    rows = tally(graph, WIDTH).rows
    return {row.node.layer for row in rows if row.origin is origin}


@pytest.mark.parametrize("squeeze", [False, True])
def test_the_shortcut_of_a_bottleneck(squeeze):
    graph = stem_then(lambda m, x: m.block(x), block=Bottleneck(squeeze=squeeze), out=6)
    assert layers_of(graph, Origin.SHORTCUT) == {"block.short"}
    assert layers_of(graph, Origin.STEM) == {"stem"}
    assert layers_of(graph, Origin.CLASSIFIER) == {"head"}
    assert origins(graph)["shortcut"] == 6 * 25 * 4


def conv(kernel=3, in_ch=4, out_ch=4):
    return nn.Conv2d(in_ch, out_ch, kernel, padding=kernel // 2, bias=False)


NOT_SHORTCUTS = {
    "identity shortcut around a 1x1": lambda m, x: x + m.a(x),
    "identity shortcut around a bottleneck": lambda m, x: x + m.a(F.relu(m.b(F.relu(m.c(x))))),
    "two 1x1 in parallel": lambda m, x: m.a(x) + m.c(x),
    "both branches equal 3x3": lambda m, x: m.b(x) + m.d(x),
    "concatenated": lambda m, x: m.mix(torch.cat([m.a(x), m.b(x)], 1)),
}


@pytest.mark.parametrize("name", sorted(NOT_SHORTCUTS))
def test_what_is_no_shortcut(name):
    graph = stem_then(NOT_SHORTCUTS[name], a=conv(1), b=conv(3), c=conv(1), d=conv(3), mix=conv(1, 8))
    assert layers_of(graph, Origin.SHORTCUT) == set()


def pre_activation(m, x):
    x = F.relu(x)
    return m.d(F.relu(m.b(x))) + m.a(x)


SHORTCUTS = {
    "one 3x3": lambda m, x: m.b(x) + m.a(x),
    "added the other way round": lambda m, x: m.a(x) + m.b(x),
    "in place": lambda m, x: m.b(x).add_(m.a(x)),
    "behind an activation": lambda m, x: F.relu(m.a(x)) + m.d(F.relu(m.b(x))),
    "pooled first": lambda m, x: m.a(F.avg_pool2d(x, 3, 1, 1)) + m.b(x),
    "pre-activation": pre_activation,
}


@pytest.mark.parametrize("name", sorted(SHORTCUTS))
def test_shortcuts(name):
    graph = stem_then(SHORTCUTS[name], a=conv(1), b=conv(3), d=conv(3))
    assert layers_of(graph, Origin.SHORTCUT) == {"a"}


def test_a_real_1x1_next_to_a_binary_3x3_or_1x1_is_a_shortcut():
    for kernel in (3, 1):
        graph = stem_then(lambda m, x: m.main(x.sign()) + m.a(x), main=binary(conv(kernel), 0.3), a=conv(1))
        assert layers_of(graph, Origin.SHORTCUT) == {"a"}
        assert origins(graph)["weight_scale"] == 4 * 25


def test_binary_shortcuts_have_no_multiplication_but_their_scale():
    graph = stem_then(lambda m, x: m.b(x) + m.short(x), b=conv(3), short=binary(conv(1), 0.3))
    assert "shortcut" not in origins(graph)
    assert layers_of(graph, Origin.WEIGHT_SCALE) == {"short"}


SCALES = {
    "beta": (lambda m, x: m.main(torch.sign(1.7 * x)), Origin.ACTIVATION_SCALE),
    "beta, mask and bias": (
        lambda m, x: m.main(torch.sign(torch.tanh(1.5 * (1.7 * (x + m.bias))))),
        Origin.ACTIVATION_SCALE,
    ),
    "alpha": (lambda m, x: 0.3 * m.main(x.sign()) + x, Origin.RESIDUAL_SCALE),
    "a scale of the weights, behind the product": (lambda m, x: 0.3 * m.main(x.sign()), Origin.WEIGHT_SCALE),
    "alpha of a real branch": (lambda m, x: x + 0.3 * m.real(x), Origin.RESIDUAL_SCALE),
    "a scale of its own": (lambda m, x: 0.3 * (x + m.main(x.sign())), Origin.OTHER),
    "a scale behind a real convolution": (lambda m, x: 0.3 * m.real(x), Origin.OTHER),
}


@pytest.mark.parametrize("name", sorted(SCALES))
def test_origins_of_scales(name):
    function, origin = SCALES[name]
    graph = stem_then(function, main=binary(conv(3)), real=conv(3), bias=nn.Parameter(torch.ones(1, 4, 1, 1)))
    scales = [row for row in tally(graph, WIDTH).rows if row.node.kind is OpKind.SCALE]
    assert [row.origin for row in scales] == [origin]
    assert scales[0].count.count == 4 * 25


def test_batch_norms_belong_to_the_stem_or_to_themselves():
    graph = stem_then(lambda m, x: m.bn(m.b(x)), b=conv(3), bn=nn.BatchNorm2d(4).eval())
    assert layers_of(graph, Origin.BATCH_NORM) == {"bn"}
    first = recognised(lambda m, x: m.bn(m.b(x)).relu(), (1, 4, 5, 5), b=conv(3), bn=nn.BatchNorm2d(4))
    assert layers_of(first, Origin.STEM) == {"b", "bn"}


MEANS = {
    "global": (lambda m, x: F.adaptive_avg_pool2d(x, 1), 4, Origin.GLOBAL_POOL),
    "mean over positions": (lambda m, x: x.mean((2, 3)), 4, Origin.GLOBAL_POOL),
    "one axis after the other": (lambda m, x: x.mean(3).mean(2), 4 * 6 + 4, Origin.GLOBAL_POOL),
    "window as large as the image": (lambda m, x: F.avg_pool2d(x, 6), 4, Origin.GLOBAL_POOL),
    "windows": (lambda m, x: F.avg_pool2d(x, 3), 4 * 4, Origin.AVG_POOL),
    "adaptive windows": (lambda m, x: F.adaptive_avg_pool2d(x, 2), 4 * 4, Origin.AVG_POOL),
    "over channels": (lambda m, x: x.mean(1), 36, Origin.OTHER),
    "over everything": (lambda m, x: x.mean(), 1, Origin.OTHER),
    "tokens": (lambda m, x: x.flatten(2).transpose(1, 2).mean(1), 4, Origin.GLOBAL_POOL),
}


@pytest.mark.parametrize("name", sorted(MEANS))
def test_origins_of_means(name):
    function, count, origin = MEANS[name]
    assert origins(traced(function, (1, 4, 6, 6))) == {origin.value: count}


def test_a_hidden_layer_is_no_classifier():
    model = nn.Sequential(
        nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 2), nn.Softmax(1)
    )
    graph = traced(lambda m, x: m.net(x), (1, 4), net=model)
    assert origins(graph) == {"stem": 20, "other": 30 + 2, "classifier": 12}


def test_published_counts_leave_out_what_the_paper_leaves_out():
    found = tally(stem_then(lambda m, x: F.avg_pool2d(m.b(x) + m.a(x), 5), a=conv(1), b=conv(3)), WIDTH)
    by_origin = found.by_origin()
    assert found.published() == by_origin[Origin.SHORTCUT] + by_origin[Origin.AVG_POOL]
    assert by_origin[Origin.STEM] > 0


def test_modules_and_functions_count_the_same():
    module = Module(lambda m, x: m.act(m.c(x)), act=nn.PReLU(2), c=nn.Conv2d(1, 2, 3))
    named = traced(lambda m, x: m.inner(x), (1, 1, 5, 5), inner=module)
    plain = traced(
        lambda m, x: F.prelu(F.conv2d(x, m.w, m.b), m.s), (1, 1, 5, 5),
        w=module.c.weight, b=module.c.bias, s=module.act.weight,
    )  # fmt: skip
    assert primitives(named) == primitives(plain)
    assert origins(named) == origins(plain)
