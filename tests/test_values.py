"""Value sets against brute force: every value seen is in the set inferred; listed idioms have exactly their values."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from abcost.core.interpret import Floating, execute
from abcost.core.kinds import OpKind
from abcost.core.log import Phase
from abcost.core.precision import REAL, precision_of
from abcost.core.value_algebra import affine, clamped, join, product, repeated, total
from abcost.core.values import from_values, interval, two_values, whole_numbers
from abcost.rewrite import RewriteOptions, rewrite
from strategies import legal_graphs, traced

SHAPE = (1, 3, 4, 4)
HARDWARE = Floating(hardware_sign=True)


def seen_by(graph, x):
    return execute(graph, [x], HARDWARE, keep=lambda node: node.kind is not OpKind.INPUT)


def assert_contained(graph, x):
    for name, values in seen_by(graph, x).items():
        found = graph.values(graph.node(name))
        assert found.contains(values), f"{name}: {values.unique()[:8].tolist()} not in {found}"


# random programs of operations that have a rule

_UNARY = {
    "sign": torch.sign,
    "negate": lambda x: -x,
    "scale": lambda x: 0.7 * x,
    "double": lambda x: 2 * x,
    "half": lambda x: x / 2,
    "offset": lambda x: x + 0.3,
    "one more": lambda x: x + 1,
    "one minus": lambda x: 1 - x,
    "per channel": lambda x: x * torch.tensor([0.5, -1.0, 3.0]).reshape(1, 3, 1, 1),
    "relu": torch.relu,
    "hardtanh": F.hardtanh,
    "clamp": lambda x: x.clamp(-1.5, 2.0),
    "round": torch.round,
    "floor": torch.floor,
    "abs": torch.abs,
    "tanh": torch.tanh,
    "leaky": lambda x: F.leaky_relu(x, 0.25),
    "flag": lambda x: (x > 0.25).to(x.dtype),
    "other flag": lambda x: (x <= 0).to(x.dtype),
    "where": lambda x: torch.where(x >= 0.5, 1.0, -2.0),
    "square": lambda x: x * x,
    "max pool": lambda x: F.max_pool2d(x, 3, 1, 1),
    "mean": lambda x: F.avg_pool2d(x, 3, 1, 1),
    "pad": lambda x: F.pad(x, (1, 0, 0, 1))[..., :4, :4],
    "pad with one": lambda x: F.pad(x, (1, 0), value=1.0)[..., :4],
    "turn": lambda x: x.transpose(2, 3),
    "view": lambda x: x.flatten(1).unflatten(1, (3, 4, 4)),
    "binary conv": lambda x: F.conv2d(x, torch.ones(3, 3, 3, 3).cumsum(2) % 2 * 2 - 1, padding=1),
    "ternary conv": lambda x: F.conv2d(x, torch.ones(3, 3, 3, 3).cumsum(2) - 2, padding=1),
}
_BINARY = {
    "add": torch.add,
    "subtract": torch.sub,
    "multiply": torch.mul,
    "larger": torch.maximum,
    "smaller": torch.minimum,
    "choose": lambda a, b: torch.where(a > 0, a, b),
    "concatenate": lambda a, b: torch.cat([a[:, :1], b[:, 1:]], 1),
}


@st.composite
def programs(draw):
    """Steps: the name of an operation, and which of the values so far it reads."""
    steps = []
    for number in range(draw(st.integers(2, 7))):
        name = draw(st.sampled_from([*_UNARY, *_BINARY]))
        reads = [draw(st.integers(0, number)) for _ in range(1 if name in _UNARY else 2)]
        steps.append((name, reads))
    return steps


def run(steps, x):
    values = [x]
    for name, reads in steps:
        operands = [values[i] for i in reads]
        values.append((_UNARY | _BINARY)[name](*operands))
    return sum(values[1:], start=values[-1])  # every value is read


def inputs(seed):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(SHAPE, generator=generator, dtype=torch.float64) * 1.5
    edge = torch.tensor([0.0, 0.25, 0.5, 1.0, -1.0, 0.3]).double()
    place = torch.arange(x.numel()).reshape(SHAPE)
    return torch.where(place % 3 == 0, edge[place % 6], x)


@given(programs(), st.integers(0, 100))
def test_every_value_seen_is_in_the_set_inferred(steps, seed):
    graph = traced(lambda _m, x: run(steps, x), SHAPE)
    assert_contained(graph, inputs(seed))


@given(legal_graphs())
def test_so_it_is_after_every_phase_of_rewriting(drawn):
    graph, x = drawn
    assert_contained(graph, x)
    for phase in Phase:
        graph = rewrite(graph, phase, RewriteOptions()).graph
        assert_contained(graph, x)


# listed idioms: the set is exactly these values

IDIOMS = {
    "sign": (torch.sign, (-1, 1)),
    "sign by division": (lambda x: x.div(3).sign().mul(1), (-1, 1)),
    "scaled sign": (lambda x: 0.5 * x.sign(), (-0.5, 0.5)),
    "flag": (lambda x: (x > 0).float(), (0, 1)),
    "flag as sign": (lambda x: (x > 0).float() * 2 - 1, (-1, 1)),
    "half of sign + 1": (lambda x: (x.sign() + 1) / 2, (0, 1)),
    "sum of two signs": (lambda x: x.sign() + (x - 1).sign(), (-2, 0, 2)),
    "sign or zero": (lambda x: torch.where(x > 2, 0.0, x.sign()), (-1, 0, 1)),
    "2-bit quantiser": (lambda x: torch.round(x * 3).clamp(0, 3) / 3, (0, 1 / 3, 2 / 3, 1)),
    "signed quantiser": (lambda x: 0.25 * torch.round(x).clamp(-2, 1), (-0.5, -0.25, 0, 0.25)),
    "two flags": (lambda x: (x > 0).float() + (x > 1).float(), (0, 1, 2)),
    "maximum of sign and 0": (lambda x: torch.maximum(x.sign(), torch.zeros(())), (0, 1)),
    "rectified sign": (lambda x: torch.relu(x.sign()), (0, 1)),
    "magnitude of a ternary value": (lambda x: torch.round(x).clamp(-1, 1).abs(), (0, 1)),
    "powers of two": (lambda x: torch.where(x > 0, 4.0, torch.where(x > -1, 1.0, 0.25)), (0.25, 1, 4)),
}


@pytest.mark.parametrize("name", sorted(IDIOMS))
def test_the_set_of_an_idiom_is_exact(name):
    function, wanted = IDIOMS[name]
    graph = traced(lambda _m, x: function(x), SHAPE)
    (out,) = graph.of_kind(OpKind.OUTPUT)
    grid = graph.values(out).code
    assert grid is not None
    assert grid.values() == pytest.approx(sorted(wanted), rel=1e-12)
    x = torch.linspace(-4, 4, 48, dtype=torch.float64).reshape(SHAPE)
    (values,) = execute(graph, [x], HARDWARE).values()
    assert sorted(set(values.flatten().tolist())) == pytest.approx(
        sorted(wanted), rel=1e-12
    )  # and all of them occur


def test_zeros_at_a_border_are_kept_apart():
    # hardware corrects what they add up to, as it does inside a convolution; any other reader sees three values
    graph = traced(lambda _m, x: F.pad(x.sign(), (1, 1, 1, 1)), SHAPE)
    grid = graph.values(graph.of_kind(OpKind.OUTPUT)[0]).grid
    assert (grid.levels, grid.padded, grid.values()) == (2, True, (-1.0, 0.0, 1.0))
    summed = traced(lambda _m, x: F.pad(x.sign(), (1, 1, 1, 1)) + 1, SHAPE)
    assert summed.values(summed.of_kind(OpKind.OUTPUT)[0]).code.values() == (0.0, 1.0, 2.0)


def test_a_scale_per_image_leaves_the_bits_and_says_along_which_axes_it_varies():
    graph = traced(lambda _m, x: x.sign() * x.abs().mean((1, 2, 3), keepdim=True), (2, 3, 4, 4))
    grid = graph.values(graph.of_kind(OpKind.MULTIPLY)[0]).grid
    assert (grid.levels, grid.varies) == (2, frozenset({-4}))


# the algebra, by enumeration

few = st.lists(st.integers(-6, 6).map(lambda n: n / 2), min_size=1, max_size=4, unique=True)


def values_of(found):
    assert found.code is not None
    return found.code.values()


@given(few, few)
def test_sums_products_and_joins_of_few_values(a, b):
    left, right = from_values(a), from_values(b)
    assert set(values_of(join(left, right))) >= set(a) | set(b)
    for combined, operation in (
        (total(left, right), lambda x, y: x + y),
        (product(left, right), lambda x, y: x * y),
    ):
        wanted = torch.tensor([operation(x, y) for x in a for y in b], dtype=torch.float64)
        assert combined.contains(wanted)
        if combined.code is not None and combined.code.values() is not None:
            assert set(combined.code.values()) == set(wanted.tolist())


@given(few, st.sampled_from([-2.0, -0.5, 0.0, 0.25, 3.0]), st.sampled_from([-1.0, 0.0, 0.5]))
def test_affine_images_and_clamps_of_few_values(a, factor, offset):
    moved = affine(from_values(a), torch.tensor(factor), torch.tensor(offset))
    assert values_of(moved) == pytest.approx(sorted({factor * x + offset for x in a}))
    assert values_of(clamped(from_values(a), -0.5, 1.0)) == pytest.approx(
        sorted({min(max(x, -0.5), 1.0) for x in a})
    )


@given(st.integers(-5, 0), st.integers(1, 5), st.integers(1, 30), st.booleans())
def test_sums_of_many(low, high, times, padded):
    found = repeated(whole_numbers(low, high), times, padded=padded)
    assert (found.least, found.most) == (low * times, high * times)
    assert found.code.bits == max(1, math.ceil(math.log2((high - low) * times + 1)))


@pytest.mark.parametrize(
    ("values", "bits"),
    [
        (two_values(-0.3, 0.9), 1),
        (whole_numbers(-1, 1), 2),
        (whole_numbers(0, 3), 2),
        (whole_numbers(-8, 7), 4),
        (from_values([-3, -1, 1, 3]), 2),  # equally spaced: two bits
        (from_values([-4, -2, -1, 1, 2, 4]), 4),  # not so: -4 … 4 in two's complement
        (whole_numbers(-576, 576), 11),
    ],
)
def test_bits_of_a_grid(values, bits):
    assert values.code.bits == bits
    assert precision_of(values).width(16) == bits


def test_what_is_no_few_whole_numbers_is_held_as_a_real_number():
    assert precision_of(interval(0.0, 1.0)) == REAL
    assert (
        precision_of(affine(whole_numbers(-8, 7), torch.tensor(0.3), torch.tensor(0.0))) == REAL
    )  # a scaled code
    assert from_values([0.0, 1.0, math.pi]).grid is None
