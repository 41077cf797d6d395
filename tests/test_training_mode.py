"""What training mode computes in functions of its own, against the layers one by one and against autograd."""

from __future__ import annotations

import math
from itertools import product

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from abcost.models import build
from abcost.models.network import NetworkSpec
from abcost.models.zoo.reactnet import ReActBlock
from abcost.models.zoo.reactnet_a import Block
from abcost.nn import (
    BinaryActivation,
    BinaryConv2d,
    FixedScaleConv2d,
    LearnableBias,
    QuantizedPReLU,
    Scale,
    StandardizedConv2d,
    rprelu,
    scaled_convolution,
    shifted_sign,
    standardize,
)
from abcost.nn.fast_forms import fast_forms
from abcost.nn.integer_conv import MULTIPLIES_BYTES, convolve_signs, convolves_signs_faster
from abcost.nn.small_maps import convolve_taps, convolves_taps_faster, spans

DOUBLE = torch.float64


def randn(*shape):
    return torch.randn(shape, dtype=DOUBLE)


def gradients(output, tensors):
    """Of a sum of the output with fixed random factors."""
    generator = torch.Generator().manual_seed(7)
    upstream = torch.randn(output.shape, dtype=output.dtype, generator=generator)
    return torch.autograd.grad(output, tensors, upstream)


def assert_all_close(found, expected, rtol=1e-13):
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=rtol, atol=rtol * other.abs().max().item())


# weights


def plain_standardized(weight):
    mean = weight.mean((1, 2, 3), keepdim=True)
    std = weight.std((1, 2, 3), correction=0, keepdim=True)
    return (weight - mean) / (std + 1e-5) / math.sqrt(weight[0].numel())


def plain_binary(weight, gain):
    """The straight-through estimator as it is usually written: a - c + c."""
    standardized = plain_standardized(weight)
    scale = standardized.abs().mean((1, 2, 3), keepdim=True).detach()
    clipped = standardized.clamp(-1, 1)
    return gain * ((scale * standardized.sign()).detach() - clipped.detach() + clipped)


def plain_fixed(weight, _gain):
    standardized = plain_standardized(weight)
    clipped = standardized.clamp(-1, 1)
    return (weight[0].numel() ** -0.5 * standardized.sign()).detach() - clipped.detach() + clipped


PLAIN = {
    StandardizedConv2d: lambda weight, gain: gain * plain_standardized(weight),
    BinaryConv2d: plain_binary,
    FixedScaleConv2d: plain_fixed,
}


@pytest.mark.parametrize("spread", [1e-3, 1, 1e3])
@pytest.mark.parametrize("kind", PLAIN)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_weights_and_their_gradients_are_those_of_autograd(kind, spread, layout):
    torch.manual_seed(0)
    conv = kind(6, 5, 3).double().to(memory_format=layout)
    with torch.no_grad():
        conv.weight.normal_(0.3 * spread, spread)
        conv.weight[0, 0, 0, 0] = 50 * spread  # W^ of this one comes near to 1
        for name, parameter in conv.named_parameters():
            if name == "gain":
                parameter.copy_(torch.tensor([1, -0.5, 2, 0, 0.1]).view(5, 1, 1, 1))
    weight = conv.weight.detach().clone().requires_grad_()
    gain = getattr(conv, "gain", torch.ones(5, 1, 1, 1, dtype=DOUBLE)).detach().clone().requires_grad_()
    expected = 0.25 * PLAIN[kind](weight, gain)
    found = conv.effective_weight(0.25)
    torch.testing.assert_close(found, expected, rtol=1e-13, atol=1e-15)
    leaves = [weight, gain][: len(list(conv.parameters()))]
    assert_all_close(gradients(found, list(conv.parameters())), gradients(expected, leaves))


@pytest.mark.parametrize("taps", [2, 9, 4608])
def test_no_standardised_weight_is_beyond_one(taps):
    """Why the straight-through gradient needs no clip: the worst case is one weight apart from all others."""
    weight = torch.zeros(1, taps, 1, 1, dtype=DOUBLE)
    weight[0, 0] = 1e6
    assert 0.7 < standardize(weight).abs().max() <= 1


def test_a_channel_of_equal_weights_has_finite_gradients():
    for kind in PLAIN:
        conv = kind(2, 3, 3)
        nn.init.constant_(conv.weight, 0.5)
        (grad,) = gradients(conv.effective_weight(), [conv.weight])
        assert grad.isfinite().all()
        # of W - mean(W), times fan_in**-0.5 / 1e-5
        upstream = gradients(conv.weight * 1, [conv.weight])[0]
        expected = (upstream - upstream.mean((1, 2, 3), keepdim=True)) * 18**-0.5 / 1e-5
        torch.testing.assert_close(grad, expected, rtol=1e-4, atol=1)


# activations


def moved(channels, beta):
    move = LearnableBias(channels, beta).double()
    nn.init.normal_(move.bias, 0, 0.3)
    return move


@pytest.mark.parametrize("beta", [1.0, 0.8, 1.25])
def test_shifted_sign_is_the_published_formula(beta):
    torch.manual_seed(1)
    move = moved(3, beta)
    x = randn(4, 3, 5, 6).requires_grad_()
    found = shifted_sign(x, move, BinaryActivation(beta))
    v = beta * (x + move.bias / beta)
    assert torch.equal(found, v.sign())
    sigma = torch.sigmoid(3 * v.detach())
    surrogate = 6 * sigma * (1 - sigma) * v  # 6 sigma(3v) (1 - sigma(3v)) at the argument of sign
    assert_all_close(gradients(found, [x, move.bias]), gradients(surrogate, [x, move.bias]))


@pytest.mark.parametrize("kind", [QuantizedPReLU, nn.PReLU])
def test_rprelu_is_its_layers_one_by_one(kind):
    torch.manual_seed(2)
    before, prelu, after = moved(4, 1.0), kind(4).double(), moved(4, 1.0)
    (slope,) = prelu.parameters()
    with torch.no_grad():
        slope.copy_(torch.tensor([-3.2, 0.4, 1.6, 0]))
        before.bias[0, 0] = 0
    x = randn(5, 4, 3, 2)
    x[0, 0] = 0  # the corner: torch takes the slope at 0
    x.requires_grad_()
    leaves = [x, before.bias, slope, after.bias]
    found, expected = rprelu(x, before, prelu, after), after(prelu(before(x)))
    assert torch.equal(found, expected)
    assert_all_close(gradients(found, leaves), gradients(expected, leaves))


def test_the_residual_scale_is_folded_to_the_bit():
    torch.manual_seed(3)
    conv, scale, x = BinaryConv2d(3, 4, 3), Scale(0.25), torch.randn(2, 3, 5, 5)
    nn.init.normal_(conv.weight)
    assert torch.equal(scaled_convolution(x, conv, scale), 0.25 * conv(x))


# small maps


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("size", [1, 2, 3, 4, 7])
def test_spans_are_the_taps_inside_of_the_map(size, kernel, stride):
    outputs = math.ceil(size / stride)
    pairs = {
        (tap, o, stride * o + tap - kernel // 2)
        for tap in range(kernel)
        for o in range(outputs)
        if 0 <= stride * o + tap - kernel // 2 < size
    }
    found = {
        (tap, o, i)
        for tap, span in enumerate(spans(size, kernel, stride))
        if span is not None
        for o, i in zip(range(outputs)[span[0]], range(size)[span[1]], strict=True)
    }
    assert found == pairs


@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 2), (4, 3), (5, 2)])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (5, 2), (1, 2)])
def test_convolution_by_taps_is_convolution(height, width, kernel, stride):
    torch.manual_seed(4)
    x, weight = randn(3, 5, height, width).requires_grad_(), randn(4, 5, kernel, kernel).requires_grad_()
    expected = F.conv2d(x, weight, None, stride, kernel // 2)
    found = convolve_taps(x, weight, stride)
    assert_all_close([found], [expected])
    assert_all_close(gradients(found, [x, weight]), gradients(expected, [x, weight]))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("stride", [1, 2])
def test_what_a_compiler_is_told_of_the_taps_is_true(stride, dtype):
    """Shapes, strides, types and derivatives, by torch's own check of operators."""
    x, weight = randn(2, 4, 4, 3).to(dtype), randn(5, 4, 3, 3).to(dtype)
    grad = torch.ones_like(convolve_taps(x, weight, stride))
    tests = ("test_schema", "test_faketensor", "test_autograd_registration")
    differentiable = (x.requires_grad_(), weight.requires_grad_(), stride)
    torch.library.opcheck(torch.ops.abcost.convolve_taps.default, differentiable, test_utils=tests)
    given = (grad, x.detach(), weight.detach(), stride)
    torch.library.opcheck(torch.ops.abcost.convolve_taps_gradients.default, given, test_utils=tests[:2])


def test_taps_are_for_wide_layers_on_small_maps():
    x, wide, narrow = torch.zeros(1, 256, 2, 2), torch.zeros(256, 256, 3, 3), torch.zeros(64, 256, 3, 3)
    assert convolves_taps_faster(x, wide, 1)
    assert convolves_taps_faster(torch.zeros(1, 256, 8, 8), wide, 2)
    assert not convolves_taps_faster(torch.zeros(1, 256, 8, 8), wide, 1)
    assert not convolves_taps_faster(x, narrow, 1)
    assert not convolves_taps_faster(x, wide[..., :1, :1], 1)


def test_taps_under_autocast_are_as_exact_as_bfloat16():
    torch.manual_seed(5)
    x, weight = torch.randn(4, 64, 2, 2).requires_grad_(), torch.randn(64, 64, 3, 3).requires_grad_()
    exact = F.conv2d(x, weight, None, 1, 1)
    with torch.autocast("cpu", torch.bfloat16):
        found = convolve_taps(x, weight, 1)
    assert found.dtype == torch.bfloat16
    upstream = torch.randn_like(exact)
    pairs = zip(
        [found, *torch.autograd.grad(found, [x, weight], upstream.bfloat16())],
        [exact, *torch.autograd.grad(exact, [x, weight], upstream)],
        strict=True,
    )
    for one, other in pairs:
        # both factors and the result are rounded to 8 bits, 2**-9 each: 2**-8 of the largest value leaves room
        assert (one.float() - other).abs().max() <= 2**-7 * other.abs().max()


# signs in integers

needs_bytes = pytest.mark.skipif(
    not MULTIPLIES_BYTES, reason="this processor has no products of bytes (VNNI)"
)


@needs_bytes
@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (1, 1)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_convolution_of_signs_is_convolution(kernel, stride, layout):
    torch.manual_seed(8)
    x = torch.randn(3, 24, 7, 6).sign()
    x[0, 0, :3] = 0  # torch's sign of 0
    weight = torch.randn(40, 24, kernel, kernel).sign() * torch.rand(40, 1, 1, 1)
    weight[3], weight[4, 5] = 0, 0
    x, weight = (t.to(memory_format=layout).requires_grad_() for t in (x, weight))
    found = convolve_signs(x, weight, stride)
    exact = F.conv2d(x.double(), weight.double(), None, stride, kernel // 2)
    # whole numbers up to 24*9 times a float: one rounding of 2**-24
    assert (found - exact).abs().max() <= 2**-23 * exact.abs().max()
    upstream = torch.randn_like(found)
    plain = F.conv2d(x, weight, None, stride, kernel // 2)
    for one, other in zip(
        torch.autograd.grad(found, [x, weight], upstream),
        torch.autograd.grad(plain, [x, weight], upstream),
        strict=True,
    ):
        torch.testing.assert_close(one, other)


@needs_bytes
def test_a_weight_that_is_not_a_number_is_seen():
    weight = torch.ones(2, 3, 1, 1)
    weight[1, 0] = torch.nan
    found = convolve_signs(torch.ones(1, 3, 2, 2), weight, 1)
    assert found[0, 0].tolist() == [[3, 3], [3, 3]]
    assert found[0, 1].isnan().all()


@needs_bytes
def test_signs_in_integers_are_for_large_layers_in_single_precision():
    x, weight = torch.zeros(64, 64, 16, 16), torch.zeros(64, 64, 3, 3)  # 604 million products
    assert convolves_signs_faster(x, weight, 1)
    assert convolves_signs_faster(x, weight, 2)  # 151 million, 4096 positions
    assert not convolves_signs_faster(x[:8], weight, 1)  # 75 million
    assert not convolves_signs_faster(x.double(), weight.double(), 1)
    few = torch.zeros(64, 512, 4, 4)  # 1024 positions
    assert not convolves_signs_faster(few, torch.zeros(512, 512, 3, 3), 1)
    assert convolves_signs_faster(few, torch.zeros(512, 512, 1, 1), 1)
    with torch.autocast("cpu", torch.bfloat16):
        assert not convolves_signs_faster(x, weight, 1)


@needs_bytes
def test_only_binary_weights_meet_integers(monkeypatch):
    """The shortcut's weights are binary, but what it reads is not; step 1 has real weights."""
    layers = []
    monkeypatch.setattr("abcost.nn.conv.convolves_taps_faster", lambda *_: False)
    monkeypatch.setattr("abcost.nn.conv.convolves_signs_faster", lambda *_: True)
    monkeypatch.setattr(
        "abcost.nn.conv.convolve_signs", lambda x, w, s: layers.append(w) or convolve_signs(x, w, s)
    )
    images = torch.randn(1, 3, 32, 32)
    build("reactnet_18", step=1, stem="cifar", num_classes=10)(images)
    assert layers == []
    network = build("reactnet_18", step=2, stem="cifar", num_classes=10)
    network.eval()(images)
    assert layers == []
    network.train()(images)
    assert [tuple(w.shape[2:]) for w in layers] == [(3, 3)] * 16  # one 3x3 convolution per block, no 1x1


# whole networks

NETWORKS = ["reactnet_18", "reactnet_a", "birealnet_18", "bnn_18"]


def forms():
    """Whole networks in one form, and narrow ones in all; whole ones in the others where there is time."""
    for name, variant, step in product(NETWORKS, ("ab", "bn-free"), (1, 2)):
        few = (name, variant, step) == ("reactnet_18", "ab", 2)
        yield pytest.param(name, variant, step, 16)
        yield pytest.param(name, variant, step, None, marks=[] if few else pytest.mark.slow)


@pytest.mark.parametrize(("name", "variant", "step", "base_width"), list(forms()))
def test_training_mode_is_evaluation_mode(name, variant, step, base_width):
    """No layer of these behaves otherwise in training, so one by one they give the same loss and gradients."""
    torch.manual_seed(6)
    given = {"stem": "cifar", "num_classes": 10, "base_width": base_width}
    network = build(name, variant=variant, step=step, **given).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    images, labels = randn(2, 3, 16, 16), torch.tensor([3, 8])
    found, names = {}, list(dict(network.named_parameters()))
    for training in (True, False):
        logits = network.train(training)(images)
        loss = F.cross_entropy(logits, labels)
        found[training] = [logits.detach(), *torch.autograd.grad(loss, list(network.parameters()))]
    assert len(found[True]) == len(names) + 1
    assert_all_close(found[True], found[False], rtol=1e-11)


def variants():
    """Every network in every variant, but for the largest, which is met in one."""
    for name, variant in product(NETWORKS, ("ab", "bn-free", "bn")):
        more = name == "reactnet_a" and variant != "ab"
        yield pytest.param(name, variant, marks=pytest.mark.slow if more else [])


@pytest.mark.parametrize(("name", "variant"), list(variants()))
def test_fast_evaluation_is_evaluation(name, variant):
    """Layers one by one, as an analysis sees them, and in fast forms, in which residual scales are never called."""
    torch.manual_seed(6)
    network = build(name, variant=variant, stem="cifar", num_classes=10).double()
    with torch.no_grad():
        for tensor in network.state_dict().values():  # running means too
            if tensor.is_floating_point():
                tensor.add_(0.05 * torch.randn_like(tensor).abs())
        images, scales = randn(2, 3, 16, 16), []
        expected = network.eval()(images)
        for module in network.modules():
            if isinstance(module, Scale):
                module.register_forward_hook(lambda *_: scales.append(1))
        with fast_forms():
            found = network(images)
        assert scales == []
        assert_all_close([found], [expected], rtol=1e-11)
        network(images)
    assert bool(scales) == any(isinstance(m, Scale) for m in network.modules())


@pytest.mark.parametrize("name", ["reactnet_18", "reactnet_a"])
def test_evaluation_mode_runs_every_layer(name):
    """An analysis watches modules in eval mode, so each must be called there."""
    network = build(name, stem="cifar", num_classes=10).eval()
    called = set()
    for path, module in network.named_modules():
        module.register_forward_hook(lambda *_, path=path: called.add(path))
    network(torch.zeros(1, 3, 32, 32))
    assert called == {path for path, _ in network.named_modules()}


# compiled


def block(name):
    """A block of the zoo, with spread-out parameters, and its input."""
    torch.manual_seed(9)
    recipe = NetworkSpec(name, preset="cifar10").recipe()
    made = ReActBlock(recipe, 32, 64, 2, 0.9) if name == "reactnet_18" else Block(recipe, 32, 64, 1, (1, 0.9))
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return made, torch.randn(4, 32, 8, 8)


def outcome(run, x, parameters):
    x = x.clone().requires_grad_()
    output = run(x)
    return [output, *gradients(output, [x, *parameters])]


TORCHS_OWN = (
    "ignore:.*autograd.function.Function.*should not be instantiated:DeprecationWarning"  # torch does it
)


@pytest.mark.slow  # a compiler runs
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch uses what it deprecates
@pytest.mark.parametrize("name", ["reactnet_18", "reactnet_a"])
def test_a_compiled_block_is_the_block(name):
    made, x = block(name)
    made, x = made.double(), x.double()
    parameters = list(made.parameters())
    compiled = torch.compile(made, fullgraph=True)
    assert_all_close(outcome(compiled, x, parameters), outcome(made, x, parameters), rtol=1e-12)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch uses what it deprecates
@pytest.mark.parametrize("name", ["reactnet_18", "reactnet_a"])
def test_bfloat16_keeps_a_block_within_its_rounding(name):
    """Within 1 % of the norm of the output and 10 % of every gradient's: 8 bits, and a sign near 0 may turn."""
    made, x = block(name)
    parameters = list(made.parameters())
    compiled = torch.compile(made, fullgraph=True)

    def mixed(x):
        with torch.autocast("cpu", torch.bfloat16):
            return compiled(x)

    pairs = zip(outcome(mixed, x, parameters), outcome(made, x, parameters), strict=True)
    names = ["output", "x", *dict(made.named_parameters())]
    errors = {
        name: ((one - other).norm() / other.norm()).item()
        for name, (one, other) in zip(names, pairs, strict=True)
    }
    assert errors.pop("output") < 0.01
    assert max(errors.values()) < 0.1, errors


@needs_bytes
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_signs_in_integers_compile_without_a_break():
    torch.manual_seed(10)
    conv, scale = BinaryConv2d(128, 128, 3), Scale(0.25)
    nn.init.normal_(conv.weight)
    x = torch.randn(8, 128, 16, 16).sign()  # 302 million products

    def run(x):
        return scaled_convolution(x, conv, scale)

    compiled = torch.compile(run, fullgraph=True)
    found, expected = (outcome(f, x, list(conv.parameters())) for f in (compiled, run))
    for one, other in zip(found, expected, strict=True):
        assert (one - other).abs().max() <= 1e-5 * other.abs().max()
