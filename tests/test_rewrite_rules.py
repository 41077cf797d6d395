"""Every rule: the form after it, equal values, and the reasons for which it declines."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from abcost.classify import tally
from abcost.core.inputs import InputSpec
from abcost.core.interpret import FixedPoint, Floating, execute
from abcost.core.kinds import DotArithmetic, OpKind
from abcost.core.log import Phase
from abcost.errors import RewriteError
from abcost.rewrite import RewriteOptions, rewrite, run_rules
from abcost.rewrite.rule import Match, rules
from abcost.rewrite.rules.remove_mask import MaskBeforeSign
from abcost.trace import trace
from strategies import STEP, Module, const, graph_of, traced

EXACT = RewriteOptions()
SHAPE = (1, 2, 4, 4)


def edge_values(shape, seed=0):
    """Noise on the 12-bit grid with zeros, both neighbours of zero and both signs."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.round(torch.randn(shape, generator=generator, dtype=torch.float64) / STEP) * STEP
    edge = torch.tensor([0.0, STEP, -STEP, 0.5, -0.5, -0.25]).double()
    place = torch.arange(x.numel()).reshape(shape)
    return torch.where(place % 2 == 0, edge[place // 2 % 6], x)


def through(graph, *phases, options=EXACT):
    """The graph after these phases, its log, and whether all that fired was exact."""
    log = []
    for phase in phases:
        result = rewrite(graph, phase, options)
        graph = result.graph
        log += result.log
    return graph, log


def recognised(function, *shapes, **members):
    return through(traced(function, *(shapes or (SHAPE,)), **members), Phase.RECOGNISE)[0]


def kinds(graph):
    return [node.kind.value for node in graph if node.kind not in (OpKind.INPUT, OpKind.OUTPUT)]


def reason(log, rule):
    (entry,) = [entry for entry in log if entry.rule == rule and not entry.fired]
    return entry.detail


def fired(log):
    return [entry.rule for entry in log if entry.fired]


def assert_equal_values(before, after, *inputs):
    """Outputs are equal: to the bit in fixed point, and in floating point with hardware's signs."""
    inputs = inputs or [edge_values(node.shape) for node in before.of_kind(OpKind.INPUT)]
    for arithmetic in (FixedPoint(12), Floating(hardware_sign=True)):
        old, new = execute(before, inputs, arithmetic), execute(after, inputs, arithmetic)
        for name in old:
            assert torch.equal(old[name], new[name]), arithmetic


def near(before, after, x):
    """Outputs of two graphs in float64, equal to rounding."""
    (old,), (new,) = execute(before, [x]).values(), execute(after, [x]).values()
    assert torch.allclose(old, new, rtol=1e-12, atol=1e-12)


def test_the_rules_are_these():
    assert rules.names() == [
        "affine-sign", "bias-sign", "binary-weight", "fold-global-pool", "mask", "mask-before-sign", "pool-to-shift",
        "positive-scale-before-sign", "quantise-slopes", "round-slopes", "round-weight-scales", "scale-to-shift",
        "select-prelu", "select-sign", "sign-of-sign", "signed-digits", "straight-through",
    ]  # fmt: skip


# recognising binary weights


def binary_conv(scale, *, bias=False, channels=2, dtype=torch.float32):
    generator = torch.Generator().manual_seed(1)
    conv = nn.Conv2d(channels, 3, 3, padding=1, bias=bias)
    signs = torch.randint(0, 2, conv.weight.shape, generator=generator) * 2 - 1
    conv.weight.data = (signs * torch.as_tensor(scale).reshape(-1, 1, 1, 1)).to(dtype)
    return conv


def signed_conv(conv):
    """conv(sign(x)) as traced, and after recognition."""
    graph = traced(lambda m, x: m.conv(torch.sign(x)), SHAPE, conv=conv)
    return graph, through(graph, Phase.RECOGNISE)[0]


def test_binary_weights_with_a_scale_per_channel():
    before, after = signed_conv(binary_conv([0.5, 0.3, 1.7]))
    assert kinds(after) == ["sign", "conv", "scale"]
    conv, scale = after.of_kind(OpKind.CONV)[0], after.of_kind(OpKind.SCALE)[0]
    assert after.dot_arithmetic(conv) is DotArithmetic.XNOR
    assert conv.consts["weight"].values.dtype == torch.int8
    assert set(conv.consts["weight"].values.unique().tolist()) == {-1, 1}
    assert scale.consts["factor"].values.shape == (1, 3, 1, 1)
    assert torch.allclose(
        scale.consts["factor"].real().flatten(), torch.tensor([0.5, 0.3, 1.7]).double(), atol=1e-7
    )
    assert scale.attrs["role"] == "weight_scale"
    assert (conv.name, scale.name) == ("conv/conv/binary", "conv/conv")  # the name stays with the value
    near(before, after, edge_values(SHAPE))


def test_one_scale_for_all_channels_is_one_number():
    _, after = signed_conv(binary_conv(0.25))
    assert after.of_kind(OpKind.SCALE)[0].consts["factor"].count == 1


def test_plain_signs_leave_no_scale():
    before, after = signed_conv(binary_conv(1.0))
    assert kinds(after) == ["sign", "conv"]
    assert_equal_values(before, after)


@pytest.mark.parametrize("scale", [1.0, [0.5, 0.25, 2.0]])
def test_the_bias_of_a_binary_convolution_is_added_behind_the_scale(scale):
    conv = binary_conv(scale, bias=True)
    conv.bias.data = torch.tensor([0.5, -1.0, 0.25])
    before, after = signed_conv(conv)
    assert kinds(after) == ["sign", "conv", *(["scale"] if scale != 1.0 else []), "add_const"]
    assert after.dot_arithmetic(after.of_kind(OpKind.CONV)[0]) is DotArithmetic.XNOR
    assert_equal_values(before, after)


def test_binary_linear_layers():
    linear = nn.Linear(6, 3)
    linear.weight.data = linear.weight.sign() * torch.tensor([[0.5], [0.25], [2.0]])
    linear.bias.data = torch.tensor([0.5, 0.0, -4.0])
    before = traced(lambda m, x: m.fc(torch.sign(x)), (2, 6), fc=linear)
    after, _ = through(before, Phase.RECOGNISE)
    assert kinds(after) == ["sign", "linear", "scale", "add_const"]
    assert after.dot_arithmetic(after.of_kind(OpKind.LINEAR)[0]) is DotArithmetic.XNOR
    assert_equal_values(before, after)


def test_binary_transposed_convolution_scales_its_output_channels():
    conv = nn.ConvTranspose2d(2, 3, 2, stride=2, bias=False)
    conv.weight.data = conv.weight.sign() * torch.tensor([0.5, 0.25, 2.0]).reshape(1, 3, 1, 1)
    before = traced(lambda m, x: m.conv(torch.sign(x)), SHAPE, conv=conv)
    after, _ = through(before, Phase.RECOGNISE)
    assert after.of_kind(OpKind.SCALE)[0].consts["factor"].values.flatten().tolist() == [0.5, 0.25, 2.0]
    assert_equal_values(before, after)


def test_binary_weights_under_a_real_input_are_signed_adds():
    after = recognised(lambda m, x: m.conv(x), conv=binary_conv(0.5))
    assert after.dot_arithmetic(after.of_kind(OpKind.CONV)[0]) is DotArithmetic.SIGNED_ADD


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_noise_of_a_straight_through_weight_is_tolerated(dtype):
    torch.manual_seed(0)
    latent = torch.randn(4, 2, 3, 3, dtype=dtype)
    clipped = latent.clamp(-1, 1)
    scale = latent.abs().mean((1, 2, 3), keepdim=True)
    weight = scale * latent.sign() - clipped + clipped
    magnitudes = weight.abs().flatten(1)
    assert not torch.equal(magnitudes, magnitudes[:, :1].expand_as(magnitudes))  # there is noise to tolerate
    conv = nn.Conv2d(2, 4, 3, bias=False)
    conv.weight.data = weight
    graph = trace(Module(lambda m, x: m.conv(torch.sign(x)), conv=conv), (InputSpec(SHAPE, dtype),)).graph
    after, _ = through(graph, Phase.RECOGNISE)
    (node,) = after.of_kind(OpKind.CONV)
    assert torch.equal(node.consts["weight"].real(), latent.sign().double())
    factor = after.of_kind(OpKind.SCALE)[0].consts["factor"].real().flatten()
    assert torch.allclose(factor, scale.double().flatten(), rtol=4e-7)


NOT_BINARY = {
    "real": lambda w: w,
    "small": lambda w: (torch.rand_like(w) - 0.5) * 2e-9,
    "small and positive": lambda w: torch.rand_like(w) * 1e-3,
    "nearly equal": lambda w: w.sign() * (1 + 1e-4 * torch.rand_like(w)),
    "ternary": lambda w: w.sign() * (w.abs() > 0.08),
    "one odd weight": lambda w: torch.where(torch.arange(w.numel()).reshape(w.shape) == 5, 0.7, w.sign()),
    "two magnitudes": lambda w: torch.where(w > 0, 0.5, -0.25),
    "nothing but zeros": torch.zeros_like,
}


@pytest.mark.parametrize("name", sorted(NOT_BINARY))
def test_other_weights_are_not_binary(name):
    torch.manual_seed(0)
    conv = nn.Conv2d(8, 4, 3, bias=False)
    conv.weight.data = NOT_BINARY[name](conv.weight.data)
    graph, log = through(traced(lambda m, x: m.conv(x), (1, 8, 4, 4), conv=conv), Phase.RECOGNISE)
    assert kinds(graph) == ["conv"]
    assert fired(log) == []
    assert graph.dot_arithmetic(graph.of_kind(OpKind.CONV)[0]) is DotArithmetic.REAL


def test_a_few_exact_zeros_are_bits_of_one_and_said_so():
    conv = binary_conv([0.5, 0.25, 2.0], channels=8)
    conv.weight.data[0, 0, 0, 0] = 0.0
    graph, log = through(traced(lambda m, x: m.conv(torch.sign(x)), (1, 8, 4, 4), conv=conv), Phase.RECOGNISE)
    (entry,) = [entry for entry in log if entry.fired]
    assert entry.detail.endswith("1 of 216 weights are exactly 0, which hardware stores as +1")
    assert graph.of_kind(OpKind.CONV)[0].consts["weight"].values[0, 0, 0, 0] == 0


def test_a_pruned_channel_keeps_the_others_binary():
    conv = binary_conv([0.5, 0.0, 2.0])
    before, after = signed_conv(conv)
    assert after.of_kind(OpKind.SCALE)[0].consts["factor"].values.flatten().tolist() == [0.5, 0, 2]
    assert_equal_values(before, after)


def test_one_tap_says_nothing():
    depthwise = nn.Conv2d(2, 2, 1, groups=2, bias=False)
    graph, log = through(traced(lambda m, x: m.conv(x), SHAPE, conv=depthwise), Phase.RECOGNISE)
    assert (
        reason(log, "binary-weight") == "one tap per output channel: every weight is +-s, which says nothing"
    )
    assert graph.dot_arithmetic(graph.of_kind(OpKind.CONV)[0]) is DotArithmetic.REAL


# recognising signs, masks, PReLUs, straight-through estimators

SIGNS = {
    "where >=": (lambda m, x: torch.where(x >= 0, 1.0, -1.0), 1),
    "where >": (lambda m, x: torch.where(x > 0, 1.0, -1.0), -1),
    "where <": (lambda m, x: torch.where(x < 0, -1.0, 1.0), 1),
    "where <=": (lambda m, x: torch.where(x <= 0, -1.0, 1.0), -1),
    "mirrored": (lambda m, x: torch.where(x.new_tensor(0.0) <= x, 1.0, -1.0), 1),
    "ones_like": (lambda m, x: torch.where(x >= 0, torch.ones_like(x), -torch.ones_like(x)), 1),
    "affine": (lambda m, x: (x >= 0).float() * 2 - 1, 1),
    "affine >": (lambda m, x: 2 * (x > 0).to(x.dtype) - 1, -1),
    "sign of sign": (lambda m, x: (x.sign() + 0.1).sign(), 1),
    "sign of strict sign": (lambda m, x: (torch.where(x > 0, 1.0, -1.0) + 0.1).sign(), -1),
    "clone": (lambda m, x: x.sign().clone(), 0),
    "in place": (lambda m, x: x.clone().sign_(), 0),
}


@pytest.mark.parametrize("name", sorted(SIGNS))
def test_forms_of_the_sign(name):
    function, at_zero = SIGNS[name]
    before = traced(function, SHAPE)
    after, _ = through(before, Phase.RECOGNISE)
    assert kinds(after) == ["sign"]
    assert after.of_kind(OpKind.SIGN)[0].attrs["at_zero"] == at_zero
    assert_equal_values(before, after)
    x = edge_values(SHAPE)
    assert torch.equal(next(iter(execute(after, [x]).values())), function(None, x).double())


def test_where_at_another_level_is_a_threshold():
    before = traced(lambda m, x: torch.where(x > 0.5, 1.0, -1.0), SHAPE)
    after, _ = through(before, Phase.RECOGNISE)
    assert kinds(after) == ["threshold"]
    assert_equal_values(before, after)


NO_SIGNS = {
    "other values": lambda m, x: torch.where(x >= 0, 1.0, 0.0),
    "turned round": lambda m, x: torch.where(x >= 0, -1.0, 1.0),
    "equality": lambda m, x: torch.where(x == 0, 1.0, -1.0),
    "two computed operands": lambda m, x: torch.where(x >= x.exp(), 1.0, -1.0),
    "level expands": lambda m, x: torch.where(x >= torch.zeros(3, 1, 1, 1), 1.0, -1.0),
    "affine with another factor": lambda m, x: (x >= 0).float() * 3 - 1,
    "affine on a value": lambda m, x: x * 2 - 1,
    "sign of sign, offset 1": lambda m, x: (x.sign() + 1.0).sign(),
}


@pytest.mark.parametrize("name", sorted(NO_SIGNS))
def test_what_is_no_sign_stays(name):
    before = traced(NO_SIGNS[name], SHAPE)
    after, log = through(before, Phase.RECOGNISE)
    assert fired(log) == []
    assert kinds(after) == kinds(before)


MASKS = {
    "tanh(1.5 x)": (lambda m, x: torch.tanh(1.5 * x), 1.5),
    "tanh(x)": (lambda m, x: torch.tanh(x), 1.0),
    "2 sigmoid(3x) - 1": (lambda m, x: 2 * torch.sigmoid(3 * x) - 1, 1.5),
    "2 sigmoid(x) - 1": (lambda m, x: torch.sigmoid(x) * 2 - 1, 0.5),
}


@pytest.mark.parametrize("name", sorted(MASKS))
def test_forms_of_the_mask(name):
    function, slope = MASKS[name]
    before = traced(lambda m, x: torch.sign(function(m, x)), SHAPE)
    after, _ = through(before, Phase.RECOGNISE)
    assert kinds(after) == ["mask", "sign"]
    assert after.of_kind(OpKind.MASK)[0].attrs["slope"] == slope
    removed, log = through(after, Phase.REMOVE_MASK)
    assert kinds(removed) == ["sign"]
    assert fired(log) == ["mask-before-sign"]
    assert_equal_values(before, removed)


def signed_and_read(m, x):
    y = torch.tanh(x)
    return y.sign() + y


def sigmoid_read_elsewhere(m, x):
    s = torch.sigmoid(x)
    return torch.sign(2 * s - 1) + s


NO_MASKS = {
    "read by something else": signed_and_read,
    "never signed": lambda m, x: torch.tanh(1.5 * x),
    "not odd": lambda m, x: torch.sign(2 * torch.sigmoid(3 * x) - 0.9),
    "another function": lambda m, x: torch.sign(torch.exp(x)),
    "sigmoid read elsewhere": sigmoid_read_elsewhere,
}


@pytest.mark.parametrize("name", sorted(NO_MASKS))
def test_what_is_no_mask_stays(name):
    before = traced(NO_MASKS[name], SHAPE)
    after, log = through(before, Phase.RECOGNISE)
    assert not after.of_kind(OpKind.MASK)
    assert fired(log) == []


def test_a_falling_squash_keeps_its_scale():
    # tanh(-2x) falls: only the tanh itself is a mask, and -2 stays in front of it
    before = traced(lambda m, x: torch.sign(torch.tanh(-2.0 * x)), SHAPE)
    after, _ = through(before, Phase.RECOGNISE, Phase.REMOVE_MASK)
    assert kinds(after) == ["scale", "sign"]
    assert_equal_values(before, after)


PRELUS = {
    "where >=": lambda m, x: torch.where(x >= 0, x, m.slope * x),
    "where >": lambda m, x: torch.where(x > 0, x, x * m.slope),
    "where <": lambda m, x: torch.where(x < 0, m.slope * x, x),
    "where <=": lambda m, x: torch.where(x <= 0, m.slope * x, x),
    "prelu": lambda m, x: F.prelu(x, m.slope.flatten()),
}


@pytest.mark.parametrize("name", sorted(PRELUS))
def test_forms_of_the_prelu(name):
    before = traced(PRELUS[name], SHAPE, slope=nn.Parameter(torch.tensor([0.25, 0.3]).reshape(2, 1, 1)))
    after, _ = through(before, Phase.RECOGNISE)
    assert kinds(after) == ["prelu"]
    assert_equal_values(before, after)


NO_PRELUS = {
    "turned round": lambda m, x: torch.where(x >= 0, 0.5 * x, x),
    "turned round, <": lambda m, x: torch.where(x < 0, x, 0.5 * x),
    "another level": lambda m, x: torch.where(x >= 1, x, 0.5 * x),
    "another condition": lambda m, x: torch.where(x.exp() >= 0, x, 0.5 * x),
    "another value": lambda m, x: torch.where(x >= 0, x, 0.5 * x.exp()),
}


@pytest.mark.parametrize("name", sorted(NO_PRELUS))
def test_what_is_no_prelu_stays(name):
    assert not recognised(NO_PRELUS[name]).of_kind(OpKind.PRELU)


ESTIMATORS = {
    "a - b + b": lambda m, x: x.sign().detach() - x.clamp(-1, 1).detach() + x.clamp(-1, 1),
    "b + (a - b)": lambda m, x: x + (x.sign() - x).detach(),
    "(a - b) + b": lambda m, x: (x.sign() - x).detach() + x,
    "b - (b - a)": lambda m, x: x - (x - x.sign()).detach(),
}


@pytest.mark.parametrize("name", sorted(set(ESTIMATORS) - {"a - b + b"}))
def test_forms_of_the_straight_through_estimator(name):
    before = traced(lambda m, x: ESTIMATORS[name](m, x) * 3, SHAPE)
    after, log = through(before, Phase.RECOGNISE)
    assert kinds(after) == ["sign", "scale"]
    assert fired(log) == ["straight-through"]
    (old,), (new,) = (execute(g, [edge_values(SHAPE)], FixedPoint(12)).values() for g in (before, after))
    assert torch.equal(old, new)


def test_the_subtrahend_must_be_the_very_same_value():
    # two clamps of equal value are two nodes: nothing is guessed
    assert "subtract" in kinds(recognised(ESTIMATORS["a - b + b"]))
    for function in (
        lambda m, x: x - (x.sign() - x),
        lambda m, x: (x.sign() - x) - x,
        lambda m, x: (x.sign() + x) - x,
    ):
        assert len(kinds(recognised(function))) == 3


# removing what stands in front of a sign


def removed(function, **members):
    graph = traced(function, SHAPE, **members)
    graph, _ = through(graph, Phase.RECOGNISE)
    after, log = through(graph, Phase.REMOVE_MASK)
    return graph, after, log


@pytest.mark.parametrize("beta", [0.3, 1.0, 7.5, torch.tensor([0.25, 3.0]).reshape(1, 2, 1, 1)])
def test_a_positive_scale_in_front_of_a_sign_goes(beta):
    before, after, log = removed(lambda m, x: torch.sign(beta * x))
    assert kinds(after) == ["sign"]
    assert fired(log) == ["positive-scale-before-sign"]
    assert all(entry.exact for entry in log)
    assert_equal_values(before, after)


@pytest.mark.parametrize("beta", [-0.5, 0.0, torch.tensor([1.0, -1.0]).reshape(1, 2, 1, 1)])
def test_other_factors_stay(beta):
    before, after, log = removed(lambda m, x: torch.sign(beta * x))
    assert kinds(after) == kinds(before) == ["scale", "sign"]
    assert reason(log, "positive-scale-before-sign") == "a factor is not positive: the sign would change"


def test_a_scale_that_expands_stays():
    _, after, log = removed(lambda m, x: torch.sign(torch.full((3, 1, 1, 1), 2.0) * x))
    assert (
        reason(log, "positive-scale-before-sign")
        == "the scale also expands its input; the sign would lose its shape"
    )
    assert kinds(after) == ["scale", "sign"]


def test_a_scale_that_others_read_stays():
    def forward(m, x):
        y = 0.5 * x
        return y.sign() + y

    _, after, log = removed(forward)
    assert "scale" in kinds(after)
    assert fired(log) == []


@pytest.mark.parametrize(
    ("function", "exact"),
    [
        (lambda m, x: torch.sign(1e-5 * x), False),  # 1e-5 is 0 with 12 fraction bits
        (lambda m, x: torch.sign(2.0**-20 * x), True),  # powers of two are held
        (
            lambda m, x: torch.where(0.5 * x > 0, 1.0, -1.0),
            False,
        ),  # one step halved is cut to 0, which is not > 0
        (lambda m, x: torch.where(0.5 * x >= 0, 1.0, -1.0), True),
        (lambda m, x: torch.where(1.5 * x > 0, 1.0, -1.0), True),
    ],
)
def test_a_product_that_fixed_point_cuts_to_zero_makes_the_rewrite_inexact(function, exact):
    before, after, log = removed(function)
    (entry,) = [entry for entry in log if entry.fired]
    assert entry.exact is exact
    assert ("it was cut to 0 in fixed point" in entry.detail) is not exact
    x = [edge_values(SHAPE)]
    (old,), (new,) = execute(before, x, FixedPoint(12)).values(), execute(after, x, FixedPoint(12)).values()
    assert torch.equal(old, new) is exact


# slopes


def quantised(slopes):
    graph = traced(lambda m, x: F.prelu(x, m.slope), SHAPE, slope=nn.Parameter(torch.tensor(slopes)))
    after, log = through(graph, Phase.ROUND_SLOPES, Phase.QUANTISE_SLOPES)
    return graph, after, log


def test_slopes_that_are_powers_of_two_are_exact_shifts():
    before, after, log = quantised([0.125, 2.0])
    assert kinds(after) == ["shift_prelu"]
    assert after.of_kind(OpKind.SHIFT_PRELU)[0].consts["exponent"].values.flatten().tolist() == [-3, 1]
    assert all(entry.exact and entry.error is None for entry in log)
    assert_equal_values(before, after)


def test_other_positive_slopes_are_rounded_and_the_error_is_said():
    _, after, log = quantised([0.3, 0.25])
    # log2(0.3) = -1.74 -> -2
    assert after.of_kind(OpKind.SHIFT_PRELU)[0].consts["exponent"].values.flatten().tolist() == [-2, -2]
    rounding, shifting = log
    assert (rounding.rule, rounding.exact, shifting.rule, shifting.exact) == (
        "round-slopes", False, "quantise-slopes", True,
    )  # fmt: skip
    assert rounding.error == pytest.approx(0.3 - 0.25)
    assert rounding.error_unit == "largest |slope - 2**e|"


def test_slopes_that_were_not_rounded_stay():
    graph = traced(lambda m, x: F.prelu(x, m.slope), SHAPE, slope=nn.Parameter(torch.tensor([0.3, 0.25])))
    after, log = through(graph, Phase.QUANTISE_SLOPES)
    assert kinds(after) == ["prelu"]
    assert reason(log, "quantise-slopes") == "slopes are no powers of two"


@pytest.mark.parametrize(("slopes", "count"), [([0.0, 0.25], 1), ([-0.1, -0.25], 2)])
def test_slopes_that_are_not_positive_stay(slopes, count):
    _, after, log = quantised(slopes)
    assert kinds(after) == ["prelu"]
    assert reason(log, "quantise-slopes") == f"{count} of 2 slopes are not positive and have no power of two"


# lowering


def lowered(function, *shapes, options=EXACT, **members):
    graph, _ = through(traced(function, *(shapes or (SHAPE,)), **members), Phase.RECOGNISE)
    after, log = through(graph, Phase.ROUND_SCALES, Phase.LOWER, options=options)
    return graph, after, log


@pytest.mark.parametrize(
    ("factor", "exponents"), [(0.25, [-2]), (4.0, [2]), (torch.tensor([[[0.5]], [[8.0]]]), [-1, 3])]
)
def test_powers_of_two_are_shifts(factor, exponents):
    before, after, _ = lowered(lambda m, x: factor * x)
    assert kinds(after) == ["shift"]
    assert after.of_kind(OpKind.SHIFT)[0].consts["exponent"].values.flatten().tolist() == exponents
    assert_equal_values(before, after)


@pytest.mark.parametrize(
    ("factor", "count"),
    [(0.3, "1 of 1"), (-0.5, "1 of 1"), (0.0, "1 of 1"), (torch.tensor([[[0.5]], [[0.3]]]), "1 of 2")],
)
def test_other_scales_stay_multiplications(factor, count):
    _, after, log = lowered(lambda m, x: factor * x)
    assert kinds(after) == ["scale"]
    assert reason(log, "scale-to-shift") == f"{count} factors are no power of two: stays a multiplication"


def test_weight_scales_are_rounded_on_request_only():
    options = RewriteOptions(weight_scale="po2")
    _, after, log = lowered(
        lambda m, x: 0.3 * m.conv(x.sign()), conv=binary_conv([0.3, 0.5, 0.9]), options=options
    )
    assert kinds(after) == ["sign", "conv", "shift", "scale"]
    # log2: -1.74, -1, -0.15 -> -2, -1, 0; largest relative change: 0.25/0.3 - 1 = -1/6
    assert after.of_kind(OpKind.SHIFT)[0].consts["exponent"].values.flatten().tolist() == [-2, -1, 0]
    rounding, shifting = [entry for entry in log if entry.fired]
    assert (rounding.rule, rounding.exact, shifting.rule, shifting.exact) == (
        "round-weight-scales", False, "scale-to-shift", True,
    )  # fmt: skip
    assert rounding.error == pytest.approx(1 / 6, abs=1e-6)
    _, kept, _ = lowered(lambda m, x: m.conv(x.sign()), conv=binary_conv([0.3, 0.5, 0.9]))
    assert kinds(kept) == ["sign", "conv", "scale"]


def test_weight_scales_that_are_not_positive_cannot_be_rounded():
    conv = binary_conv([0.3, 0.0, 0.9])
    _, after, log = lowered(
        lambda m, x: m.conv(x.sign()), conv=conv, options=RewriteOptions(weight_scale="po2")
    )
    assert kinds(after) == ["sign", "conv", "scale"]
    assert (
        reason(log, "round-weight-scales") == "a weight scale is not positive and has no power of two near it"
    )


@pytest.mark.parametrize(("kernel", "by"), [(2, -2), (4, -4), ((1, 2), -1), (1, 0)])
def test_pools_of_two_to_the_k_taps_are_sums_and_shifts(kernel, by):
    before, after, _ = lowered(lambda m, x: F.avg_pool2d(x, kernel))
    assert kinds(after) == ["sum_pool", "shift"]
    assert int(after.of_kind(OpKind.SHIFT)[0].consts["exponent"].values) == by
    assert_equal_values(before, after)


def test_padding_counts_as_taps_of_zero():
    before, after, _ = lowered(lambda m, x: F.avg_pool2d(x, 2, stride=1, padding=1))
    assert kinds(after) == ["sum_pool", "shift"]
    assert_equal_values(before, after)


def test_forty_nine_taps_are_no_shift():
    _, after, log = lowered(lambda m, x: F.avg_pool2d(x, 7), (1, 2, 14, 14))
    assert kinds(after) == ["avg_pool"]
    assert (
        reason(log, "pool-to-shift")
        == "49 taps is not a power of two: 1/49 must go into the next layer or stay"
    )
    assert (
        reason(log, "fold-global-pool")
        == "no linear layer of its own follows to take in 1/49: stays a multiplication"
    )


def test_the_global_pool_goes_into_the_classifier():
    before, after, log = lowered(
        lambda m, x: m.fc(F.adaptive_avg_pool2d(x, 1).flatten(1)), (1, 2, 7, 7), fc=nn.Linear(2, 3)
    )
    assert kinds(after) == ["sum_pool", "wiring", "linear"]
    assert after.of_kind(OpKind.LINEAR)[0].attrs["divisor"] == 49
    assert fired(log) == ["fold-global-pool"]
    x = [edge_values((1, 2, 7, 7))]
    (old,), (new,) = execute(before, x, FixedPoint(12)).values(), execute(after, x, FixedPoint(12)).values()
    assert torch.equal(old, new)
    near(before, after, x[0])


def pool_read_twice(m, x):
    pooled = x.mean((2, 3))
    return m.fc(pooled) + pooled.sum()


GLOBAL_POOLS_THAT_STAY = {
    "read twice": pool_read_twice,
    "linear is binary": lambda m, x: F.linear(x.mean((2, 3)), torch.tensor([[1.0, -1.0], [1.0, 1.0]])),
    "nonlinear in between": lambda m, x: m.fc(F.relu(x.mean((2, 3)))),
    "concatenated with a constant": lambda m, x: m.wide(torch.cat([x.mean((2, 3)), torch.ones(1, 1)], 1)),
    "padded with a constant": lambda m, x: m.wide(F.pad(x.mean((2, 3)), (0, 1), value=0.5)),
}


@pytest.mark.parametrize("name", sorted(GLOBAL_POOLS_THAT_STAY))
def test_global_pools_that_stay(name):
    before, after, log = lowered(
        GLOBAL_POOLS_THAT_STAY[name], (1, 2, 3, 3), fc=nn.Linear(2, 3), wide=nn.Linear(3, 3)
    )
    assert "avg_pool" in kinds(after)
    assert reason(log, "fold-global-pool").endswith("take in 1/9: stays a multiplication")
    assert_equal_values(before, after)


def test_padding_with_zeros_is_no_obstacle():
    before, after, _ = lowered(
        lambda m, x: m.fc(F.pad(x.mean((2, 3)), (0, 1))), (1, 2, 3, 3), fc=nn.Linear(3, 3)
    )
    assert "avg_pool" not in kinds(after)
    near(before, after, edge_values((1, 2, 3, 3)))


def biased(function, **members):
    return lowered(function, b=nn.Parameter(torch.tensor([0.5, -0.3]).reshape(1, 2, 1, 1)), **members)


@pytest.mark.parametrize("sign", [torch.sign, lambda x: torch.where(x > 0, 1.0, -1.0)])
def test_bias_and_sign_are_a_threshold(sign):
    before, after, _ = biased(lambda m, x: sign(x + m.b))
    assert kinds(after) == ["threshold"]
    level = after.of_kind(OpKind.THRESHOLD)[0].consts["level"].values.flatten()
    assert level.tolist() == pytest.approx([-0.5, 0.3])
    # exactly on the thresholds, and a step around them, in fixed point: 0.3 is 1229 steps
    on = torch.tensor([-0.5, 1229 * STEP]).double().reshape(1, 2, 1, 1)
    x = on + STEP * (torch.arange(32).reshape(SHAPE) % 3 - 1)
    assert_equal_values(before, after, x)


def test_a_bias_with_other_readers_stays():
    def forward(m, x):
        y = x + m.b
        return y.sign() * y

    _, after, log = biased(forward)
    assert kinds(after) == ["add_const", "sign", "multiply"]
    assert reason(log, "bias-sign") == "the biased value has other readers, so the addition stays"


def test_a_bias_that_expands_stays():
    _, after, log = lowered(lambda m, x: (x + torch.ones(3, 1, 1, 1)).sign())
    assert kinds(after) == ["add_const", "sign"]
    assert reason(log, "bias-sign") == "the bias also expands its input"


# signed digits

CSD = RewriteOptions(constant_multiply="csd")


def test_constants_in_signed_digits():
    before, after, log = lowered(lambda m, x: 0.3 * x, options=CSD)
    (node,) = after.of_kind(OpKind.SCALE)
    assert node.attrs["csd_fraction_bits"] == 12
    assert float(node.consts["factor"].values) == round(0.3 * 4096) / 4096
    (entry,) = [entry for entry in log if entry.fired]
    assert entry.exact
    assert entry.error == pytest.approx(abs(0.3 - round(0.3 * 4096) / 4096))
    x = [edge_values(SHAPE)]
    (old,), (new,) = execute(before, x, FixedPoint(12)).values(), execute(after, x, FixedPoint(12)).values()
    assert torch.equal(old, new)
    assert sum(tally(after, 16).by_origin().values()) == 0


def test_real_convolutions_and_classifiers_in_signed_digits():
    _, after, _ = lowered(
        lambda m, x: m.fc(m.conv(x).flatten(1)), options=CSD, conv=nn.Conv2d(2, 3, 3), fc=nn.Linear(12, 2)
    )
    assert sum(tally(after, 16).by_origin().values()) == 0


def test_signed_digits_leave_shifts_and_binary_products_alone():
    _, after, log = lowered(lambda m, x: 0.25 * m.conv(x.sign()), options=CSD, conv=binary_conv(1.0))
    assert kinds(after) == ["sign", "conv", "shift"]
    assert fired(log) == ["scale-to-shift"]


def test_signed_digits_only_on_request():
    _, _, log = lowered(lambda m, x: 0.3 * x)
    assert fired(log) == []


# the engine


def test_a_rule_that_leaves_what_the_spec_forbids_is_an_error(monkeypatch):
    monkeypatch.setattr(MaskBeforeSign, "check", lambda *_: None)
    graph = recognised(lambda m, x: torch.sign(torch.tanh(x)))
    with pytest.raises(
        RewriteError, match=r"^after REMOVE_MASK: mask 'function' at \S+ survived, but masks exist for train"
    ):
        rewrite(graph, Phase.REMOVE_MASK, EXACT)


@pytest.mark.parametrize(
    ("phase", "node", "why"),
    [
        (
            Phase.REMOVE_MASK,
            ("y", OpKind.SCALE, {}, {"factor": const(0.5)}),
            "a positive scale in front of a sign",
        ),
        (
            Phase.QUANTISE_SLOPES,
            ("y", OpKind.PRELU, {}, {"slope": const([0.25])}),
            "slopes that are powers of two are",
        ),
        (
            Phase.LOWER,
            ("y", OpKind.SCALE, {}, {"factor": const([4.0])}),
            "a scale by powers of two is a shift",
        ),
        (
            Phase.LOWER,
            ("y", OpKind.AVG_POOL, {"taps": 4}, {}),
            r"an average of 2\*\*k taps is a sum and a shift",
        ),
    ],
)
def test_the_specs_forbid(monkeypatch, phase, node, why):
    from abcost.rewrite.spec import check_spec

    name, kind, attrs, consts = node
    graph = graph_of(
        (name, kind, (1, 4), ["x0"], attrs, consts), ("s", OpKind.SIGN, (1, 4), ["y"], {"at_zero": 1}, {})
    )
    with pytest.raises(RewriteError, match=f"after {phase.name}: {kind.value} 'y' survived, but {why}"):
        check_spec(graph, phase)


def test_rules_that_undo_each_other_do_not_run_for_ever():
    class Flip:
        phase = Phase.LOWER

        def __init__(self, a, b):
            self.kinds, self.to = frozenset({a}), b

        def check(self, _graph, node, _options):
            return Match((node,), "flip")

        def apply(self, edit, _graph, node, _match):
            edit.replace(node, kind=self.to)

    graph = graph_of(("y", OpKind.NEGATE, (1, 4), ["x0"], {}, {}))
    pair = [("there", Flip(OpKind.NEGATE, OpKind.SIGN)), ("back", Flip(OpKind.SIGN, OpKind.NEGATE))]
    with pytest.raises(RewriteError, match=r"^phase LOWER does not settle; last fired: (there|back) on y$"):
        run_rules(graph, pair, Phase.LOWER, EXACT)


def test_a_rewrite_that_overlaps_another_waits_for_the_next_round():
    # two masks in a row of scales: all go, one round after the other
    graph = recognised(lambda m, x: torch.sign(0.5 * (0.25 * (3.0 * x))))
    after, log = through(graph, Phase.REMOVE_MASK)
    assert kinds(after) == ["sign"]
    assert len(fired(log)) == 3


def test_the_log_names_node_layer_and_reason():
    graph = traced(lambda m, x: m.act(x), SHAPE, act=nn.PReLU(2, init=0.0))
    (entry,) = rewrite(graph, Phase.QUANTISE_SLOPES, EXACT).log
    assert (entry.rule, entry.node, entry.layer, entry.fired) == (
        "quantise-slopes",
        "act/prelu",
        "act",
        False,
    )
    assert "2 of 2 slopes are not positive" in entry.detail


def test_an_estimator_does_not_rewire_readers_that_another_rule_changes():
    # the convolution behind the estimator is split in the round after it: each rule fires once
    graph = traced(lambda m, x: m.conv(x + (x.sign() - x).detach()), SHAPE, conv=binary_conv([0.5, 0.3, 1.0]))
    after, log = through(graph, Phase.RECOGNISE)
    assert sorted(fired(log)) == ["binary-weight", "straight-through"]
    assert kinds(after) == ["sign", "conv", "scale"]
