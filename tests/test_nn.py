"""The layers of A&B BNN, against their formulas."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from abcost.nn import (
    ApproxSign,
    BinaryActivation,
    BinaryConv2d,
    FixedScaleConv2d,
    LearnableBias,
    Mask,
    MeanScaledConv2d,
    QuantizedPReLU,
    Scale,
    SignConv2d,
    StandardizedConv2d,
    binarize,
    round_through,
    sign_through,
    standardize,
)


class Recorder(TorchDispatchMode):
    """Names of the tensor operations that ran, in order."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.append(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


def gradient_of(function, x):
    x = x.clone().requires_grad_()
    function(x).sum().backward()
    return x.grad


@pytest.fixture
def points():
    return torch.linspace(-3, 3, 61, dtype=torch.float64)


# sign and mask


def test_mask_is_the_published_formula(points):
    torch.testing.assert_close(Mask()(points), 2 * torch.sigmoid(3 * points) - 1, rtol=0, atol=1e-15)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_mask_keeps_the_sign_of_the_smallest_numbers(dtype):
    tiny = torch.finfo(dtype).smallest_normal * 2.0 ** -torch.arange(20, dtype=dtype)
    both = torch.cat([-tiny, tiny, torch.zeros(1, dtype=dtype)])
    assert torch.equal(Mask()(both).sign(), both.sign())
    # the form in the paper would not
    assert (2 * torch.sigmoid(3 * both) - 1).count_nonzero() == 0


def test_binary_activation_has_the_gradient_of_the_mask(points):
    sigma = torch.sigmoid(3 * points)
    expected = 6 * sigma * (1 - sigma)
    torch.testing.assert_close(gradient_of(BinaryActivation(1.0), points), expected)


def test_binary_activation_takes_the_gradient_at_the_argument_of_sign(points):
    beta = 0.5
    sigma = torch.sigmoid(3 * beta * points)
    expected = 6 * sigma * (1 - sigma) * beta  # chain rule through beta*x
    torch.testing.assert_close(gradient_of(BinaryActivation(beta), points), expected)


def test_sign_of_zero_is_zero():
    assert BinaryActivation(0.7)(torch.tensor([-2.0, 0.0, 1e-40])).tolist() == [-1, 0, 1]


@pytest.mark.parametrize("beta", [1.0, 0.9])
def test_every_operation_of_a_binary_activation_is_visible(beta):
    with torch.no_grad(), Recorder() as recorder:
        BinaryActivation(beta)(torch.ones(1, 2, 3, 3))
    # ones; beta * x (also when beta is 1); tanh(1.5 * v); sign
    assert recorder.names == ["ones", "mul", "mul", "tanh", "sign"]


def test_sign_through_passes_the_gradient_unchanged(points):
    assert torch.equal(gradient_of(sign_through, points), torch.ones_like(points))


def test_approx_sign_has_a_triangular_gradient():
    x = torch.tensor([-1.5, -1.0, -0.25, 0.0, 0.75, 2.0])
    assert ApproxSign()(x).tolist() == [-1, -1, -1, 0, 1, 1]
    # inside (-1, 1) it is 2 - 2|x|, outside 0
    assert gradient_of(ApproxSign(), x).tolist() == [0, 0, 1.5, 2, 0.5, 0]


# shift and scale


def test_learnable_bias_arrives_unscaled_behind_beta():
    move = LearnableBias(2, beta=0.5)
    assert move.bias.shape == (1, 2, 1, 1)
    assert move.bias.count_nonzero() == 0
    nn.init.constant_(move.bias, 0.25)
    x = torch.zeros(1, 2, 3, 3)
    assert torch.equal(move(x), torch.full_like(x, 0.5))  # 0.25 / 0.5
    assert torch.equal(0.5 * move(x), torch.full_like(x, 0.25))


def test_scale_multiplies_the_activation():
    with torch.no_grad(), Recorder() as recorder:
        y = Scale(0.25)(torch.ones(1, 2))
    assert y.tolist() == [[0.25, 0.25]]
    assert recorder.names == ["ones", "mul"]


def test_printed_layers_show_their_constants():
    assert repr(Scale(0.25)) == "Scale(0.25)"
    assert repr(LearnableBias(3, 0.5)) == "LearnableBias(3, beta=0.5)"
    assert repr(QuantizedPReLU(7)) == "QuantizedPReLU(7)"
    assert "beta=0.5" in repr(BinaryActivation(0.5))


# quantised PReLU


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_slopes_are_exact_powers_of_two(dtype):
    exponents = torch.arange(-100, 100, dtype=dtype)
    prelu = QuantizedPReLU(exponents.numel()).to(dtype)
    with torch.no_grad():
        prelu.L_alpha.copy_(exponents + 0.3)
    mantissas, _ = torch.frexp(prelu.slopes())
    assert torch.equal(mantissas, torch.full_like(exponents, 0.5))
    assert torch.equal(torch.log2(prelu.slopes()), exponents)


def test_quantized_prelu_starts_at_one_eighth():
    x = torch.tensor([[[[-8.0, 4.0]]]])
    assert QuantizedPReLU(1)(x).tolist() == [[[[-1.0, 4.0]]]]


def test_rounding_passes_the_gradient_unchanged(points):
    assert torch.equal(gradient_of(round_through, points), torch.ones_like(points))
    assert round_through(torch.tensor([0.5, 1.5, -2.5])).tolist() == [0, 2, -2]  # half to even


def test_quantized_prelu_gradient_is_that_of_the_rounded_slope():
    prelu = QuantizedPReLU(2).double()
    with torch.no_grad():
        prelu.L_alpha.copy_(torch.tensor([-2.3, 0.7]))
    x = torch.tensor([[-3.0, -5.0], [2.0, -1.0]], dtype=torch.float64)
    prelu(x).sum().backward()
    # d/dL of x * 2**L is x * ln 2 * 2**L, at L = -2 and L = 1, over the negative x: -3; -5 and -1
    expected = torch.tensor([-3 * 0.25, -6 * 2.0], dtype=torch.float64) * torch.log(
        torch.tensor(2.0).double()
    )
    torch.testing.assert_close(prelu.L_alpha.grad, expected)


# convolutions


def test_standardised_weights_by_hand():
    weight = torch.tensor([1.0, 3.0, 1.0, 3.0], dtype=torch.float64).reshape(1, 4, 1, 1)
    # mean 2, population standard deviation 1, fan_in 4
    expected = 4**-0.5 * torch.tensor([-1.0, 1.0, -1.0, 1.0], dtype=torch.float64) / (1 + 1e-5)
    torch.testing.assert_close(standardize(weight).flatten(), expected, rtol=1e-15, atol=0)


def test_a_channel_of_equal_weights_stays_finite():
    assert torch.equal(standardize(torch.ones(2, 3, 1, 1)), torch.zeros(2, 3, 1, 1))


def sws(weight):
    """Scaled weight standardisation, written the long way."""
    flat = weight.flatten(1)
    centred = flat - flat.mean(1, keepdim=True)
    std = (centred**2).mean(1, keepdim=True).sqrt()
    return (flat.shape[1] ** -0.5 * centred / (std + 1e-5)).view_as(weight)


def channel_mean(weight):
    return weight.abs().flatten(1).mean(1).view(-1, 1, 1, 1)


EXPECTED_WEIGHT = {
    StandardizedConv2d: lambda w, gain: gain * sws(w),
    BinaryConv2d: lambda w, gain: gain * channel_mean(sws(w)) * sws(w).sign(),
    FixedScaleConv2d: lambda w, gain: (6 * 3 * 3) ** -0.5 * sws(w).sign(),
    MeanScaledConv2d: lambda w, gain: channel_mean(w) * w.sign(),
    SignConv2d: lambda w, gain: w.sign(),
}


@pytest.mark.parametrize("kind", EXPECTED_WEIGHT)
@pytest.mark.parametrize("stride", [1, 2])
def test_convolutions_use_their_effective_weight(kind, stride):
    torch.manual_seed(0)
    conv = kind(6, 4, 3, stride).double()
    gain = torch.linspace(0.5, 2, 4, dtype=torch.float64).view(4, 1, 1, 1)
    with torch.no_grad():
        conv.weight.normal_()
        if isinstance(getattr(conv, "gain", None), nn.Parameter):
            conv.gain.copy_(gain)
    expected = EXPECTED_WEIGHT[kind](conv.weight.detach(), gain)
    torch.testing.assert_close(conv.effective_weight(), expected)
    x = torch.randn(2, 6, 8, 8, dtype=torch.float64)
    torch.testing.assert_close(conv(x), F.conv2d(x, expected, None, stride, 1))


@pytest.mark.parametrize("kind", [BinaryConv2d, FixedScaleConv2d, MeanScaledConv2d, SignConv2d])
def test_binary_weights_have_one_magnitude_per_channel_exactly(kind):
    conv = kind(16, 8, 3)
    nn.init.normal_(conv.weight)
    magnitude = conv.effective_weight().abs().flatten(1)
    assert torch.equal(magnitude, magnitude[:, :1].expand_as(magnitude))
    assert magnitude.min() > 0


def test_binary_weight_gradient_is_clipped_beyond_one():
    weight = torch.tensor([-1.5, -1.0, -0.5, 0.5, 1.0, 1.001], requires_grad=True)
    binarize(weight, 0.25).sum().backward()
    assert weight.grad.tolist() == [0, 1, 1, 1, 1, 0]


def test_scale_of_binary_weights_is_constant_in_the_backward_pass():
    torch.manual_seed(0)
    conv = BinaryConv2d(5, 3, 3).double()
    nn.init.normal_(conv.weight)
    nn.init.normal_(conv.gain)
    upstream = torch.randn_like(conv.weight)
    (conv.effective_weight() * upstream).sum().backward()

    weight = conv.weight.detach().clone().requires_grad_()
    standardized = sws(weight)
    inside = (standardized.detach().abs() <= 1).double()
    assert 0 < inside.sum() <= inside.numel()
    (standardized * inside * conv.gain.detach() * upstream).sum().backward()
    torch.testing.assert_close(conv.weight.grad, weight.grad)
    # the gain is outside of the straight-through part
    binary = channel_mean(standardized.detach()) * standardized.detach().sign()
    torch.testing.assert_close(conv.gain.grad, (binary * upstream).sum((1, 2, 3), keepdim=True))


@pytest.mark.parametrize("kind", [BinaryConv2d, FixedScaleConv2d])
def test_binary_weights_start_in_the_first_thousandth(kind):
    weight = kind(64, 64, 3).weight
    assert weight.min() >= 0
    assert 0.9e-3 < weight.max() < 1e-3


@pytest.mark.parametrize("kind", [StandardizedConv2d, MeanScaledConv2d, SignConv2d])
def test_other_weights_start_as_torch_does(kind):
    torch.manual_seed(3)
    ours = kind(6, 4, 3).weight
    torch.manual_seed(3)
    assert torch.equal(ours, nn.Conv2d(6, 4, 3, bias=False).weight)


def test_gain_is_optional():
    assert list(StandardizedConv2d(3, 2, 1).state_dict()) == ["weight", "gain"]
    plain = StandardizedConv2d(3, 2, 1, gain=False)
    assert list(plain.state_dict()) == ["weight"]
    assert torch.equal(plain.effective_weight(), standardize(plain.weight))
