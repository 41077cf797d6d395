"""The reference interpreter: every kind of node by hand, dot products against torch, refusals by reason."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from abcost.core.inputs import InputSpec
from abcost.core.interpret import FixedPoint, Floating, execute, is_power_of_two
from abcost.core.kinds import OpKind
from abcost.core.node import OpNode
from abcost.core.replay import REPLAYABLE
from abcost.errors import GraphError
from abcost.pipeline import stage_graphs
from abcost.rewrite import RewriteOptions
from abcost.trace import trace
from strategies import STEP, Module, const, graph_of, single, traced

BITS = 2  # quarter steps: everything can be done in the head
ROW = (1, 4)


def run(graph, *inputs, arithmetic=None):
    feed = [torch.atleast_2d(torch.as_tensor(x, dtype=torch.float64)) for x in inputs]
    (value,) = execute(graph, feed, arithmetic).values()
    return value.flatten().tolist()


def fixed(graph, *inputs, bits=BITS):
    return run(graph, *inputs, arithmetic=FixedPoint(bits))


def y(kind, attrs=None, inputs=1, **consts):
    return single(kind, ROW, ROW, attrs, [ROW] * (inputs - 1), **consts)


# one node of each kind, two fraction bits

PADDED = {"aten": "constant_pad_nd.default", "args": [{"in": 0}, [1, 0], 0.5]}


@pytest.mark.parametrize(
    ("graph", "inputs", "result"),
    [
        # inputs are cut to quarters, towards minus infinity
        (y(OpKind.NEGATE), [[0.3, -0.3, 1.0, 0.0]], [-0.25, 0.5, -1.0, 0.0]),
        (y(OpKind.ADD, inputs=2), [[1.0, 0.5, 0, 0], [0.25, -1, 0, 2]], [1.25, -0.5, 0, 2]),
        (y(OpKind.SUBTRACT, inputs=2), [[1.0, 0.5, 0, 0], [0.25, -1, 0, 2]], [0.75, 1.5, 0, -2]),
        # 0.25 * 0.5 = 0.125 -> 0;  -0.25 * 0.5 = -0.125 -> -0.25
        (y(OpKind.MULTIPLY, inputs=2), [[0.25, -0.25, 2, 3], [0.5, 0.5, 1.5, -1]], [0, -0.25, 3, -3]),
        # a constant is rounded to the nearest quarter: 0.3 -> 0.25; 0.125 is a power of two and stays
        (y(OpKind.ADD_CONST, value=const(0.3)), [[0, 1, -1, 0.5]], [0.25, 1.25, -0.75, 0.75]),
        (y(OpKind.ADD_CONST, value=const(0.125)), [[0, 1, -1, 0.5]], [0, 1, -1, 0.5]),
        (y(OpKind.SCALE, factor=const(0.3)), [[1, -1, 4, -0.25]], [0.25, -0.25, 1, -0.25]),
        (y(OpKind.SCALE, factor=const([[2.0, 0.125, -1, 0]])), [[0.25, 2, 0.5, 9]], [0.5, 0.25, -0.5, 0]),
        (y(OpKind.SHIFT, exponent=const(-1)), [[1, 0.25, -0.25, -2]], [0.5, 0, -0.25, -1]),
        (y(OpKind.SHIFT, exponent=const([[0, 1, -2, 3]])), [[1, 0.25, -0.25, 0.5]], [1, 0.5, -0.25, 4]),
        (y(OpKind.SIGN, {"at_zero": 0}), [[0, 0.25, -0.25, 0.1]], [1, 1, -1, 1]),  # one bit: never 0
        (y(OpKind.SIGN, {"at_zero": -1}), [[0, 0.25, -0.25, 0.1]], [-1, 1, -1, -1]),  # 0.1 was cut to 0
        (y(OpKind.THRESHOLD, {"at_zero": 1}, level=const(0.5)), [[0.5, 0.25, 0.75, -1]], [1, -1, 1, -1]),
        (y(OpKind.THRESHOLD, {"at_zero": -1}, level=const(0.5)), [[0.5, 0.25, 0.75, -1]], [-1, -1, 1, -1]),
        (y(OpKind.COMPARE, {"relation": "lt"}, level=const(0.5)), [[0.5, 0.25, 0.75, -1]], [0, 1, 0, 1]),
        (y(OpKind.COMPARE, {"relation": "ne"}, inputs=2), [[1, 2, 3, 4], [1, 0, 3, 0]], [0, 1, 0, 1]),
        (y(OpKind.SELECT, inputs=3), [[1, 0, 1, 0], [1, 2, 3, 4], [5, 6, 7, 8]], [1, 6, 3, 8]),
        (y(OpKind.SELECT, other=const(-1.0), self=const(0.75)), [[1, 0, 2, 0]], [0.75, -1, 0.75, -1]),
        (y(OpKind.PRELU, slope=const(0.5)), [[1, -1, -0.25, 0]], [1, -0.5, -0.25, 0]),
        (y(OpKind.SHIFT_PRELU, exponent=const([[0, 1, -1, -2]])), [[-1, -1, -1, 1]], [-1, -2, -0.5, 1]),
        (y(OpKind.CLAMP, {"min": 0.0, "max": None}), [[1, -1, 0, 9]], [1, 0, 0, 9]),
        (y(OpKind.CLAMP, {"min": -0.6, "max": 0.6}), [[1, -1, 0, 9]], [0.5, -0.75, 0, 0.5]),
        (y(OpKind.EXTREMUM, {"which": "max"}, inputs=2), [[1, 2, 3, 4], [4, 3, 2, 1]], [4, 3, 3, 4]),
        (y(OpKind.EXTREMUM, {"which": "min"}, level=const(2.0)), [[1, 2, 3, 4]], [1, 2, 2, 2]),
        (y(OpKind.MASK, {"slope": 1.5}), [[0, 1, -1, 0.25]], [0, 0.75, -1, 0.25]),  # tanh 1.5 = 0.905, .375 = 0.358
        (y(OpKind.FUNCTION, {"aten": "exp.default", "args": [{"in": 0}]}), [[0, 1, -1, 2]], [1, 2.5, 0.25, 7.25]),
        (
            y(OpKind.SOFTMAX, {"aten": "_softmax.default", "args": [{"in": 0}, 1, False]}),
            [[0, 0, 0, 0]],
            [0.25] * 4,
        ),
        (
            # mean 2, standard deviation 1: (x - 2) / 1
            y(OpKind.NORM, {"aten": "native_layer_norm.default", "args": [{"in": 0}, [4], None, None, 0.0]}),
            [[1, 3, 1, 3]],
            [-1, 1, -1, 1],
        ),
        (single(OpKind.WIRING, ROW, (1, 5), PADDED), [[1, 2, 3, 4]], [0.5, 1, 2, 3, 4]),
        (
            single(OpKind.MATMUL, (2, 2), (2, 2), {"taps": 2, "macs": 8}, [(2, 2)]),
            [[[1, 2], [3, 4]], [[0.25, 1], [1, 0]]],
            [2.25, 1, 4.75, 3],
        ),
        (
            # 0.3 -> 0.25; 4 * 0.25 + 0.1 (bias -> 0) = 1
            single(OpKind.LINEAR, ROW, (1, 1), {"taps": 4}, weight=const([[0.3] * 4]), bias=const([0.1])),
            [[1, 1, 1, 1]],
            [1.0],
        ),
    ],
)  # fmt: skip
def test_fixed_point_by_hand(graph, inputs, result):
    assert fixed(graph, *inputs) == result


IMAGE = [[[[0.25, 0.5], [0.75, 1.0]]]]
WINDOW = {"kernel": [2, 2], "stride": [2, 2], "padding": [0, 0], "ceil_mode": False, "taps": 4}


@pytest.mark.parametrize(
    ("kind", "attrs", "result"),
    [
        (OpKind.SUM_POOL, WINDOW, 2.5),
        (OpKind.AVG_POOL, WINDOW, 0.5),  # 0.625 cut to quarters
        (OpKind.MAX_POOL, {**WINDOW, "dilation": [1, 1]}, 1.0),
    ],
)
def test_pools_in_fixed_point(kind, attrs, result):
    assert fixed(single(kind, (1, 1, 2, 2), (1, 1, 1, 1), attrs), IMAGE) == [result]


def test_reductions_over_axes():
    attrs = {"axes": [1, 3], "keepdim": False, "taps": 2}
    assert fixed(single(OpKind.SUM_POOL, (1, 1, 2, 2), (1, 2), attrs), IMAGE) == [0.75, 1.75]
    assert fixed(single(OpKind.AVG_POOL, (1, 1, 2, 2), (1, 2), attrs), IMAGE) == [0.25, 0.75]
    assert fixed(single(OpKind.MAX_POOL, (1, 1, 2, 2), (1, 2), attrs), IMAGE) == [0.5, 1.0]


def test_a_lookup_takes_integers_as_they_are():
    attrs = {"aten": "embedding.default", "args": [{"const": "c0"}, {"in": 0}]}
    graph = single(OpKind.LOOKUP, (1, 2), (1, 2, 2), attrs, c0=const([[1.0, 2], [3, 4], [5, 6]]))
    (value,) = execute(graph, [torch.tensor([[2, 0]])], FixedPoint(BITS)).values()
    assert value.tolist() == [[[5, 6], [1, 2]]]


def test_every_kind_has_been_executed():
    from abcost.core.interpret import _EXECUTORS

    assert set(OpKind) - {OpKind.INPUT} == set(_EXECUTORS)


# signs


def test_signs_of_zero():
    graph = y(OpKind.SIGN, {"at_zero": 0})
    x = [0.0, -0.0, 3, -3]
    assert run(graph, [x]) == [0, 0, 1, -1]
    assert run(graph, [x], arithmetic=Floating(hardware_sign=True)) == [1, 1, 1, -1]
    assert fixed(graph, [x]) == [1, 1, 1, -1]


def test_binary_constants_have_no_zero_in_hardware():
    weight = const([[1, 0, -1, 1]], binary=True)
    graph = single(OpKind.LINEAR, ROW, (1, 1), {"taps": 4, "macs": 4}, weight=weight)
    x = [[1.0, 2.0, 4.0, 8.0]]
    assert run(graph, x) == [1 - 4 + 8]
    assert run(graph, x, arithmetic=Floating(hardware_sign=True)) == [1 + 2 - 4 + 8]
    assert fixed(graph, x) == [1 + 2 - 4 + 8]


# the mean over taps that are no power of two


def pool_then(*steps, consts=None):
    attrs = {"axes": [2, 3], "keepdim": True, "taps": 9}
    return graph_of(
        ("mean", OpKind.AVG_POOL, (1, 2, 1, 1), ["x0"], attrs, {}), *steps, inputs=((1, 2, 3, 3),)
    )


FLAT = ("flat", OpKind.WIRING, (1, 2), ["mean"], {"aten": "view.default", "args": [{"in": 0}, [1, 2]]}, {})
NINES = torch.arange(18, dtype=torch.float64).reshape(1, 2, 3, 3)  # sums 36 and 117


def test_a_global_pool_is_divided_in_the_linear_layer():
    linear = ("fc", OpKind.LINEAR, (1, 1), ["flat"], {"taps": 2, "macs": 2}, {"weight": const([[0.25, 0.5]])})
    # (36/4 + 117/2) / 9 = 7.5; dividing first gives 4 * 0.25 + 13 * 0.5 = 7.5 too
    assert fixed(pool_then(FLAT, linear), NINES) == [7.5]
    # + 1 on one element: (37/4 + 117/2) / 9 = 7.527 -> 7.5, but with thirds lost first: 4.0, 13.0 -> 7.5
    assert fixed(pool_then(FLAT, linear), NINES + 1) == [(45 / 4 + 126 / 2) / 9]


def test_a_global_pool_that_something_else_reads_is_divided_at_once():
    # 36/9 = 4; + 0.25 on each of 9 -> 4.25;  (36 + 1)/9 = 4.111 -> 4.0
    assert fixed(pool_then(FLAT), NINES) == [4.0, 13.0]
    one_more = NINES.clone()
    one_more[0, 0, 0, 0] += 1
    assert fixed(pool_then(FLAT), one_more) == [4.0, 13.0]
    assert run(pool_then(FLAT), one_more) == [37 / 9, 13.0]


@pytest.mark.parametrize(
    ("attrs", "consts"),
    [
        ({"aten": "constant_pad_nd.default", "args": [{"in": 0}, [0, 1], 3.0]}, {}),
        ({"aten": "cat.default", "args": [[{"in": 0}, {"const": "c0"}], 1]}, {"c0": const([[3.0]])}),
    ],
)
def test_wiring_that_brings_in_a_constant_ends_the_deferred_division(attrs, consts):
    wider = ("wider", OpKind.WIRING, (1, 3), ["flat"], attrs, consts)
    linear = (
        "fc",
        OpKind.LINEAR,
        (1, 1),
        ["wider"],
        {"taps": 3, "macs": 3},
        {"weight": const([[1.0, 1, 1]])},
    )
    assert fixed(pool_then(FLAT, wider, linear), NINES) == [4 + 13 + 3]
    assert run(pool_then(FLAT, wider, linear), NINES) == [4 + 13 + 3]


# refusals


def test_wrong_number_of_inputs():
    with pytest.raises(GraphError, match=r"^the graph has 1 inputs, 2 were given$"):
        run(y(OpKind.NEGATE), [[0.0] * 4], [[0.0] * 4])


def test_wrong_input_shape():
    with pytest.raises(GraphError, match=r"^input 'x0' takes shape \(1, 4\), was given \(1, 5\)$"):
        run(y(OpKind.NEGATE), [[0.0] * 5])


@pytest.mark.parametrize("value", [2.0**49, float("inf"), float("nan")])
def test_values_that_float64_cannot_hold_exactly_are_refused(value):
    with pytest.raises(GraphError, match=r"^fixed-point execution met .*, too large for 2 fraction bits$"):
        fixed(y(OpKind.NEGATE), [[value, 0, 0, 0]])


def test_overflow_inside_the_graph_is_refused():
    square = y(OpKind.MULTIPLY, inputs=2)
    with pytest.raises(
        GraphError, match=r"^fixed-point execution met 1.1e\+12, too large for 12 fraction bits$"
    ):
        fixed(square, [[2.0**20] * 4], [[2.0**20] * 4], bits=12)


def test_the_largest_value_is_kept():
    arithmetic = FixedPoint(BITS)
    run(y(OpKind.SCALE, factor=const(-8.0)), [[1, 2, -3, 0.5]], arithmetic=arithmetic)
    assert arithmetic.largest == 24


def test_registers_wrap_as_twos_complement():
    # 4 bits, 2 of them behind the point: -2 to 1.75; 2 * x wraps modulo 4
    arithmetic = FixedPoint(BITS, width=4)
    double = y(OpKind.SCALE, factor=const(2.0))
    assert run(double, [[0.75, 1.0, -1.0, -1.25]], arithmetic=arithmetic) == [1.5, -2, -2, 1.5]
    assert arithmetic.overflows == 2  # 2 and -2.5; as they wrapped, the output moves nothing
    assert (arithmetic.lowest, arithmetic.highest) == (-2.5, 2)


@pytest.mark.parametrize(
    ("row", "bits"),
    [  # in quarters
        ([1.75, -2, 0, 0], 4),  # 7 and -8
        ([2, -2, 0, 0], 5),  # 8
        ([1.75, -2.25, 0, 0], 5),  # -9
        ([0, 0, 0, 0], 1),
        ([0, 0, 0, -0.25], 1),  # -1
        ([0.25, 0, 0, 0], 2),  # 1, and a sign
    ],
)
def test_bits_that_hold_every_value(row, bits):
    arithmetic = FixedPoint(BITS)
    run(y(OpKind.CLAMP, {"min": -100, "max": 100}), [row], arithmetic=arithmetic)
    assert arithmetic.needed_width == bits
    just = FixedPoint(BITS, width=bits)
    assert run(y(OpKind.CLAMP, {"min": -100, "max": 100}), [row], arithmetic=just) == row
    assert just.overflows == 0


def test_counts_of_a_binary_dot_product_do_not_wrap():
    # 16 agreeing signs are 16, which 4 bits do not hold; scaled to 0.5 they do
    conv = nn.Conv2d(16, 1, 1, bias=False)
    nn.init.ones_(conv.weight)
    graph = stage_graphs(Signs(conv), (InputSpec((1, 16, 1, 1)),), RewriteOptions()).stages[-1].graph
    arithmetic = FixedPoint(BITS, width=4)
    (value,) = execute(graph, [torch.ones(1, 16, 1, 1, dtype=torch.float64)], arithmetic).values()
    assert (value.item(), arithmetic.overflows) == (0.5, 0)


class Signs(nn.Module):
    """conv(sign(x)) / 32."""

    def __init__(self, conv):
        super().__init__()
        self.conv = conv

    def forward(self, x):
        return self.conv(torch.sign(x)) * 2.0**-5


@pytest.mark.parametrize("name", ["system.default", "as_strided.default", "set_.source_Storage"])
def test_a_graph_cannot_ask_for_any_operator(name):
    with pytest.raises(
        GraphError, match=rf"^the graph asks to run aten\.{name}, which is not one of the replayable"
    ):
        run(y(OpKind.WIRING, {"aten": name, "args": [{"in": 0}]}), [[0.0] * 4])


def test_every_replayable_name_is_an_operator_of_torch():
    for name in REPLAYABLE:
        packet, overload = name.split(".")
        assert hasattr(getattr(torch.ops.aten, packet), overload), name


def test_overrides_take_the_place_of_a_value():
    graph = graph_of(
        ("a", OpKind.NEGATE, ROW, ["x0"], {}, {}), ("b", OpKind.ADD, ROW, ["a", "x0"], {}, {})
    )  # fmt: skip
    (value,) = execute(graph, [torch.ones(ROW)], overrides={"a": torch.full(ROW, 5.0)}).values()
    assert value.tolist() == [[6.0] * 4]


def test_is_power_of_two():
    values = torch.tensor([1.0, 0.5, -2, 2.0**-30, 0, 3, 0.75, float("inf"), float("nan")])
    assert is_power_of_two(values).tolist() == [True, True, True, True, False, False, False, False, False]


# dot products against torch, floating and fixed


def grid(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.round(torch.randn(shape, generator=generator, dtype=torch.float64) / STEP) * STEP


CONVS = {
    "1d": (nn.Conv1d(2, 3, 3, padding=1, stride=2), (2, 2, 9)),
    "2d": (nn.Conv2d(2, 3, (3, 1), padding=(1, 0)), (2, 2, 6, 5)),
    "3d": (nn.Conv3d(2, 3, 2, bias=False), (1, 2, 4, 4, 4)),
    "grouped": (nn.Conv2d(4, 6, 3, groups=2), (1, 4, 6, 6)),
    "depthwise": (nn.Conv2d(4, 4, 3, groups=4, bias=False), (1, 4, 6, 6)),
    "dilated": (nn.Conv2d(2, 3, 3, dilation=2, padding=2), (1, 2, 7, 7)),
    "transposed": (nn.ConvTranspose2d(3, 2, 3, stride=2, padding=1, output_padding=1), (1, 3, 4, 4)),
    "transposed_grouped": (nn.ConvTranspose2d(4, 6, 2, stride=2, groups=2), (1, 4, 3, 3)),
    "transposed_1d": (nn.ConvTranspose1d(2, 3, 4, stride=3, bias=False), (1, 2, 5)),
    "same": (nn.Conv2d(2, 3, 3, padding="same"), (1, 2, 5, 5)),
    "linear": (nn.Linear(5, 3), (2, 5)),
    "linear_tokens": (nn.Linear(5, 3, bias=False), (2, 4, 5)),
}


@pytest.mark.parametrize("name", sorted(CONVS))
def test_dot_products_against_torch(name):
    layer, shape = CONVS[name]
    layer = layer.double()
    graph = trace(layer, (InputSpec(shape, torch.float64),)).graph
    x = grid(*shape)
    with torch.no_grad():
        wanted = layer(x)
        (got,) = execute(graph, [x]).values()
        assert got.shape == wanted.shape
        assert torch.allclose(got, wanted, rtol=1e-12, atol=1e-12)
        # fixed point with 12 bits: one rounding of each constant, one cut of the result
        for parameter in layer.parameters():
            parameter.copy_(torch.round(parameter / STEP) * STEP)
        exact = torch.floor(layer(x) / STEP + 1e-9) * STEP
        (cut,) = execute(graph, [x], FixedPoint(12)).values()
        assert torch.allclose(cut, exact, rtol=0, atol=1e-12)


REPLAYED = {
    "permute": lambda m, x: x.permute(0, 2, 3, 1).reshape(1, -1),
    "view_of_permuted": lambda m, x: (x.permute(0, 2, 3, 1) * 2).contiguous().view(1, -1),
    "slices": lambda m, x: torch.cat([x[:, :1], x[:, 1:].flip(1)], 1),
    "split": lambda m, x: x.split([1, 3], 1)[1],
    "chunk": lambda m, x: torch.stack(x.chunk(2, 1), 0),
    "unbind": lambda m, x: x.unbind(1)[2],
    "pad": lambda m, x: F.pad(x, (1, 2, 0, 1), value=0.25),
    "reflect": lambda m, x: F.pad(x, (1, 2, 0, 1), mode="reflect"),
    "expand": lambda m, x: x[:, :1].expand(1, 5, 4, 4),
    "repeat": lambda m, x: x.repeat(1, 2, 1, 1),
    "shuffle": lambda m, x: F.pixel_shuffle(x, 2),
    "upsample": lambda m, x: F.interpolate(x, scale_factor=2),
    "roll": lambda m, x: x.roll(1, 2),
    "gelu": lambda m, x: F.gelu(x),
    "gelu_tanh": lambda m, x: F.gelu(x, approximate="tanh"),
    "silu": lambda m, x: F.silu(x),
    "elu": lambda m, x: F.elu(x, 0.7),
    "softplus": lambda m, x: F.softplus(x, beta=2),
    "log_softmax": lambda m, x: x.log_softmax(1),
    "power": lambda m, x: x**3 + x**2,
    "divide": lambda m, x: x / (x * x + 1),
    "scalars": lambda m, x: 0.1 - (x * 0.7 + 0.3) / 0.9,
    "leaky": lambda m, x: F.leaky_relu(x, 0.01),
    "layer_norm": lambda m, x: F.layer_norm(x, (4, 4)),
    "group_norm": lambda m, x: F.group_norm(x, 2),
    "clamps": lambda m, x: F.relu6(x) + F.hardtanh(x) + x.clamp(min=-0.3),
    "extremes": lambda m, x: torch.maximum(x, -x) + torch.minimum(x, x.new_tensor(0.2)),
    "amax": lambda m, x: x.amax((2, 3)) + x.max(3).values.max(2).values,
    "mean_of_all": lambda m, x: x.mean() + x,
    "masked_fill": lambda m, x: x.masked_fill(x > 0.5, 0.1),
    "where_tensor": lambda m, x: torch.where(x > 0.5, torch.full_like(x, 0.1), x),
    "max_pool_1d": lambda m, x: F.max_pool1d(x.flatten(2), 2),
    "avg_pool_1d": lambda m, x: F.avg_pool1d(x.flatten(2), 3),
    "avg_pool_padded": lambda m, x: F.avg_pool2d(x, 3, 2, padding=1),
    "avg_pool_fitting_ceil": lambda m, x: F.avg_pool2d(x, 2, ceil_mode=True),
    "max_pool_ceil": lambda m, x: F.max_pool2d(x, 3, 2, ceil_mode=True),
    "adaptive": lambda m, x: F.adaptive_avg_pool2d(x, 2),
    "adaptive_to_itself": lambda m, x: F.adaptive_avg_pool2d(x, 4),
    "attention": lambda m, x: F.scaled_dot_product_attention(x, x, x),
    "causal": lambda m, x: (x @ x.transpose(2, 3) + torch.ones(4, 4).triu(1) * -9.0).softmax(-1) @ x,
    "einsum": lambda m, x: torch.einsum("bchw,bdhw->bcd", x, x),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(REPLAYED))
def test_what_is_traced_is_what_torch_computes(name):
    function = REPLAYED[name]
    x = grid(1, 4, 4, 4, seed=3)
    graph = trace(Module(function), (InputSpec(tuple(x.shape), torch.float64),)).graph
    (got,) = execute(graph, [x]).values()
    wanted = function(None, x)
    assert got.shape == wanted.shape
    assert torch.allclose(got, wanted, rtol=1e-12, atol=1e-12)


def test_batches_larger_than_traced():
    graph = traced(lambda m, x: F.relu(x) + 1, (1, 3))
    (value,) = execute(graph, [torch.ones(5, 3)]).values()
    assert value.shape == (5, 3)


def test_inputs_stay_in_order():
    graph = traced(lambda m, a, b: a - b, (1, 2), (1, 2))
    assert [node.name for node in graph if node.kind is OpKind.INPUT] == ["input", "input_2"]
    assert run(graph, [[5.0, 5]], [[1.0, 2]]) == [4, 3]


def test_nodes_say_what_and_where_they_are():
    node = OpNode("layer1.0/conv", OpKind.CONV, (1, 2), source="nets/mine.py:7")
    assert str(node) == "conv 'layer1.0/conv' at nets/mine.py:7"
    assert node.elements == 2
