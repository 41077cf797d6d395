"""Decisions by value, index assignment, casts, logic of flags, and constants that borrow an activation's shape."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from abcost.core.inputs import InputSpec
from abcost.core.interpret import execute
from abcost.core.kinds import OpKind
from abcost.errors import TraceError
from operators import counts, graph_equal_to, kinds, macs
from strategies import traced

N = 3 * 4  # elements of every input here
SHAPE = (3, 4)


def filled(m, x):
    y = torch.ones_like(x)
    y[x < 0] = -1
    return y


def put(m, x):
    a = torch.sign(x)
    a[a == -1] = 0
    return a


def put_rows(m, x):
    y = x * 2
    y[x[:, 0] > 0] = 0.5
    return y


def put_vector_in_rows(m, x):
    y = x * 2
    y[x[:, 0] > 0] = m.v
    return y


def put_at_constant_places(m, x):
    y = x * 2
    y[:, [0, 2]] = 7.0
    return y


def overwritten(m, x):
    y = torch.empty_like(x)
    y.copy_(x)
    y.fill_(3.0)
    return y + x


def views_of_a_constant(m, x):
    y = torch.zeros_like(x)
    y[:, 1] = 2.0  # a constant is written into a view of a constant
    y[0].add_(1)
    return x + y


def view_written(m, x):
    y = torch.zeros_like(x)
    y[:, 0] = x[:, 0]
    return y + x


# name: function, kinds of its nodes, primitives by hand
FORMS = {
    "index assignment into ones": (filled, ["compare", "select"], {"compare": N, "mux": N}),
    "index assignment": (put, ["sign", "compare", "select"], {"sign": N, "compare": N, "mux": N}),
    "index assignment of rows": (put_rows, ["scale", "compare", "select"], {"multiply": N, "compare": 3, "mux": N}),
    "index assignment of a vector": (
        put_vector_in_rows, ["scale", "compare", "select"], {"multiply": N, "compare": 3, "mux": N},
    ),
    "constant indices": (put_at_constant_places, ["scale", "select"], {"multiply": N, "mux": N}),
    "fill": (overwritten, ["add_const"], {"add": N}),
    "views of a constant": (views_of_a_constant, ["add_const"], {"add": N}),
    "copysign of one": (
        lambda m, x: torch.copysign(torch.ones_like(x), x), ["compare", "select"], {"compare": N, "mux": N},
    ),
    "copysign of a vector": (lambda m, x: torch.copysign(m.v, x), ["compare", "select"], {"compare": N, "mux": N}),
    "copysign to a constant": (lambda m, x: torch.copysign(x, -2.0), ["function", "scale"],
                               {"function": N, "multiply": N}),
    "copysign of two": (
        lambda m, x: torch.copysign(x, x.flip(0)), ["function", "negate", "compare", "select"],
        {"function": N, "add": N, "compare": N, "mux": N},
    ),
    "heaviside 0": (lambda m, x: torch.heaviside(x, torch.zeros(())), ["compare"], {"compare": N}),
    "heaviside 1": (lambda m, x: torch.heaviside(x, torch.ones(())), ["compare"], {"compare": N}),
    "heaviside half": (
        lambda m, x: torch.heaviside(x, torch.tensor(0.5)), ["compare", "compare", "select"],
        {"compare": 2 * N, "mux": N},
    ),
    "threshold": (lambda m, x: F.threshold(x, 0.5, -2), ["compare", "select"], {"compare": N, "mux": N}),
    "threshold at its value": (lambda m, x: F.threshold(x, 0.5, 0.5), ["clamp"], {"compare": N, "mux": N}),
    "hardshrink": (
        lambda m, x: F.hardshrink(x), ["function", "compare", "select"], {"function": N, "compare": N, "mux": N},
    ),
    "softshrink": (lambda m, x: F.softshrink(x), ["clamp", "subtract"], {"compare": 2 * N, "mux": 2 * N, "add": N}),
    # two limits in one test: x > 0 and x < 1
    "and": (lambda m, x: ((x > 0) & (x < 1)).float(), ["compare", "compare", "select"], {"compare": 2 * N, "mux": N}),
    "or": (lambda m, x: ((x < 0) | (x > 1)).float(), ["compare", "compare", "select"], {"compare": 2 * N, "mux": N}),
    "xor": (lambda m, x: ((x > 0) ^ (x > 1)).float(), ["compare"] * 3, {"compare": 3 * N}),
    "not": (lambda m, x: (~(x > 0)).float(), ["compare", "compare"], {"compare": 2 * N}),
    "logical of values": (
        lambda m, x: torch.logical_and(x, x > -1).float(), ["compare", "compare", "select"],
        {"compare": 2 * N, "mux": N},
    ),
    "flag and constant": (
        lambda m, x: ((x > 0) & (m.v > 0)).float(), ["compare", "select"], {"compare": N, "mux": N},
    ),
    "constant or flag": (
        lambda m, x: torch.logical_or(m.v > 0, x > 0).float(), ["compare", "select"], {"compare": N, "mux": N},
    ),
    "any": (lambda m, x: (x > 1).any(1).float(), ["compare", "max_pool"], {"compare": N + 3 * 3, "mux": 3 * 3}),
    "all": (
        lambda m, x: (x > -1).all(1).float(), ["compare", "compare", "max_pool", "compare"],
        {"compare": 2 * N + 3 * 3 + 3, "mux": 3 * 3},
    ),
    "int8 of rounded": (lambda m, x: x.round().to(torch.int8).float(), ["function"], {"function": N}),
    "int8 of a flag": (lambda m, x: (x > 0).to(torch.int8).float() * 2 - 1, ["compare", "scale", "add_const"],
                       {"compare": N, "multiply": N, "add": N}),
    "long of values": (lambda m, x: x.long() + 1, ["function", "add_const"], {"function": N, "add": N}),
    "long of whole sums": (
        lambda m, x: (torch.sign(x) * 3 + 1).long().double(), ["sign", "scale", "add_const"],
        {"sign": N, "multiply": N, "add": N},
    ),
    "long of half sums": (
        lambda m, x: (torch.sign(x) * 0.5 + 1).long().double(), ["sign", "scale", "add_const", "function"],
        {"sign": N, "multiply": N, "add": N, "function": N},
    ),
    "clamped to integers": (
        lambda m, x: x.clamp(-2, 1).round().clamp(-1, 1).to(torch.int8).double(), ["clamp", "function", "clamp"],
        {"compare": 4 * N, "mux": 4 * N, "function": N},
    ),
    "bool of values": (lambda m, x: x.bool().float(), ["compare"], {"compare": N}),
    "bool of flags": (lambda m, x: (x > 0).bool().long().bool().float(), ["compare", "compare"], {"compare": 2 * N}),
    "whole division": (lambda m, x: x // 4, ["scale", "function"], {"multiply": N, "function": N}),
    "whole division by three": (lambda m, x: x // 3, ["function"], {"function": N}),
    "truncated division": (
        lambda m, x: torch.div(x, 0.5, rounding_mode="trunc"), ["scale", "function"], {"multiply": N, "function": N},
    ),
    "remainder": (lambda m, x: x % 2, ["function"], {"function": N}),
    "lerp": (lambda m, x: torch.lerp(x, x.flip(0), 0.25), ["subtract", "scale", "add"], {"add": 2 * N, "multiply": N}),
    "lerp by values": (
        lambda m, x: torch.lerp(m.v.expand(3, 4), x, x.sigmoid()), ["function", "add_const", "multiply", "add_const"],
        {"function": N, "add": 2 * N, "multiply": N},
    ),
    "addcmul": (
        lambda m, x: torch.addcmul(x, m.v, x.flip(0), value=0.5), ["scale", "scale", "add"],
        {"multiply": 2 * N, "add": N},
    ),
    "addcdiv": (
        lambda m, x: torch.addcdiv(x, x.flip(0), x.abs() + 1), ["function", "add_const", "function", "add"],
        {"function": 2 * N, "add": 2 * N},
    ),
    "square": (lambda m, x: x.square(), ["multiply"], {"multiply": N}),
    "amin": (lambda m, x: x.amin(1), ["negate", "max_pool", "negate"], {"add": N + 3, "compare": 9, "mux": 9}),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(FORMS))
def test_what_is_computed_and_counted(name):
    function, nodes, by_hand = FORMS[name]
    graph = graph_equal_to(function, SHAPE, v=nn.Parameter(torch.tensor([0.5, -0.25, 2.0, -1.0])))
    assert kinds(graph) == nodes
    assert counts(graph) == by_hand
    assert macs(graph) == 0


def test_levels_that_bring_in_an_axis_are_compared_with_an_expanded_copy():
    """Thermometer code: 3 levels for each of 2 x 5 elements are 30 comparisons."""
    levels = nn.Parameter(torch.tensor([-0.5, 0.0, 0.5]).reshape(1, 1, 3, 1))
    graph = graph_equal_to(lambda m, x: (x[:, :, None] > m.levels).float() * 2 - 1, (1, 2, 5), levels=levels)
    (compare,) = graph.of_kind(OpKind.COMPARE)
    (source,) = graph.sources(compare)
    assert source.shape == compare.shape == (1, 2, 3, 5)
    assert counts(graph)["compare"] == 30


def test_minus_zero_counts_as_positive():
    graph = traced(lambda m, x: torch.copysign(torch.ones_like(x), x), (1, 2))
    (value,) = execute(graph, [torch.tensor([[0.0, -0.0]])]).values()
    assert value.tolist() == [[1, 1]]  # torch says -1 for -0.0


REFUSED = {
    "a value for each element": (
        lambda m, x: torch.zeros_like(x).masked_scatter_(x > 0, x), "masked_scatter|no handler",
    ),
    "bits of integers": (lambda m, x: x.long() & 3, r"bits of integers are not supported, only flags \(bool\)"),
    "accumulate": (
        lambda m, x: (x * 1).index_put_((x > 0,), torch.tensor(1.0), accumulate=True),
        "accumulate=True is not supported",
    ),
    "computed values at constant indices": (
        lambda m, x: (x * 1).index_put_((torch.tensor([0]),), x[:1] * 2),
        r"computed values at constant indices are not supported; build the result with torch\.cat",
    ),
    "dropout that is always on": (lambda m, x: F.dropout(x, 0.5), "random numbers at inference have no fixed graph"),
    "a constant of another kind is still not written": (
        lambda m, x: torch.zeros(3, 4).add_(x), r"writes an activation into a constant tensor",
    ),
    "a constant read after a view of it was written": (
        view_written,
        "a tensor is read after another view of it was written in place",
    ),
    "an output that holds no activation": (lambda m, x: torch.ones_like(x) * 2, "does not depend on its input"),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_refusals_say_why(name):
    function, reason = REFUSED[name]
    with pytest.raises(TraceError, match=reason):
        traced(function, SHAPE)


def test_constants_that_borrow_a_shape_can_be_read():
    """Their values are known, so that a model may decide by them."""
    graph = traced(lambda m, x: x * 2 if bool((torch.ones_like(x) > 0).all()) else x, SHAPE)
    assert kinds(graph) == ["scale"]


def test_whole_inputs_stay_whole():
    graph = graph_equal_to(lambda m, i: i.long().float() * 0.5, InputSpec(SHAPE, torch.int32))
    assert kinds(graph) == ["scale"]


_CASTS = {
    "int8": lambda x: x.to(torch.int8), "int32": lambda x: x.to(torch.int32), "long": lambda x: x.long(),
    "bool": lambda x: x.bool(), "float": lambda x: x.float(), "double": lambda x: x.double(),
    "half": lambda x: x.half(),
}  # fmt: skip
_STEPS = {
    "sign": torch.sign, "round": lambda x: x.double().round(), "scale": lambda x: x * 3, "half of": lambda x: x * 0.5,
    "flag": lambda x: x > 0, "where": lambda x: torch.where(x > 0, 2.0, -1.5),
    "clamp": lambda x: x.double().clamp(-1.5, 2),
    "flip": lambda x: x.flip(0), "negate": lambda x: -(x * 1), "max": lambda x: torch.maximum(x * 1, x.flip(1) * 1),
}  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from([*_CASTS, *_STEPS]), min_size=1, max_size=7))
def test_chains_of_casts_are_what_torch_computes(names):
    """A cast to integers is left out only where the value is whole: any error would show."""
    steps = {**_CASTS, **_STEPS}

    def chain(m, x):
        for name in names:
            x = steps[name](x)
        return x.double() + 0 * x.double()

    graph_equal_to(chain, SHAPE)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_random_logic(data):
    """Expressions of flags, constants among them."""
    flags = _frozen(data, data.draw(st.integers(0, 3)))
    graph_equal_to(lambda m, x: flags(x).double() + x, SHAPE)


def _frozen(data, depth):
    """A function of x, with every choice already made."""
    if depth == 0:
        choice = data.draw(st.sampled_from(["gt", "lt", "constant"]))
        if choice == "constant":
            held = torch.tensor(data.draw(st.lists(st.booleans(), min_size=4, max_size=4)))
            return lambda x: held
        level = data.draw(st.sampled_from([-1.0, 0.0, 0.5]))
        return (lambda x: x > level) if choice == "gt" else (lambda x: x < level)
    choice = data.draw(st.sampled_from(["and", "or", "xor", "not"]))
    a = _frozen(data, depth - 1)
    if choice == "not":
        return lambda x: ~a(x)
    b = _frozen(data, depth - 1)
    both = {"and": torch.bitwise_and, "or": torch.logical_or, "xor": torch.bitwise_xor}[choice]
    return lambda x: both(a(x), b(x))
