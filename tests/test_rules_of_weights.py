"""Recognising binary weights - the form after it, equal values, and the reasons for which it is not done."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from abcost.core.inputs import InputSpec
from abcost.core.kinds import DotArithmetic, OpKind
from abcost.core.log import Phase
from abcost.rewrite.rule import rules
from abcost.trace import trace
from rewriting import (
    SHAPE,
    assert_equal_values,
    binary_conv,
    edge_values,
    fired,
    kinds,
    near,
    reason,
    recognised,
    through,
)
from strategies import Module, traced


def test_the_rules_are_these():
    assert rules.names() == [
        "adder-graph", "bias-sign", "binary-weight", "fold-global-pool", "leave-out-softmax", "mask",
        "mask-before-sign", "one-sided-sign", "pool-to-shift", "positive-scale-before-sign",
        "power-of-two-weights", "quantise-slopes",
        "quantiser", "round-slopes", "round-weight-scales", "scale-behind-dot", "scale-to-shift", "select-clamp",
        "select-prelu", "signed-digits", "step-function", "straight-through", "threshold", "unit-scale",
        "weight-levels", "zero-sum",
    ]  # fmt: skip


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
    "one odd weight": lambda w: torch.where(torch.arange(w.numel()).reshape(w.shape) == 5, 0.7071, w.sign()),
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
