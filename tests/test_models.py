"""The zoo against the published networks: tensors, parameters, logits, arithmetic."""

from __future__ import annotations

import copy
import json
import zlib
from math import sqrt
from pathlib import Path

import pytest
import torch
from torch import nn

from abcost.errors import ModelError, UnknownName, UsageError
from abcost.models import PRESETS, VARIANTS, NetworkSpec, build, catalogue, check_images, preset
from abcost.models.variance import reactnet_a_betas, resnet_betas
from abcost.models.zoo.birealnet import bireal_block
from abcost.models.zoo.reactnet import ReActBlock
from abcost.models.zoo.xnornet import xnor_block
from abcost.nn import (
    BinaryActivation,
    BinaryConv2d,
    FixedScaleConv2d,
    Mask,
    MeanScaledConv2d,
    QuantizedPReLU,
    Scale,
    SignConv2d,
)

REFERENCE = Path(__file__).parent / "data" / "reference"
STATE_DICTS = json.loads((REFERENCE / "state_dicts.json").read_text())
LOGITS = json.loads((REFERENCE / "logits.json").read_text())

NAMES = [
    "birealnet_18", "birealnet_34", "bnn_18", "reactnet_18", "reactnet_34", "reactnet_a", "xnornet_18",
]  # fmt: skip


def build_for(preset_name, name, **options):
    chosen = preset(preset_name)
    return build(name, stem=chosen.stem, num_classes=chosen.num_classes, **options)


def shapes_only(name, **options):
    with torch.device("meta"):
        return build(name, **options)


def tensor_shapes(model):
    return [(name, list(tensor.shape)) for name, tensor in model.state_dict().items()]


def parameter_count(model):
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


# published tensors


@pytest.mark.parametrize("step", [1, 2])
@pytest.mark.parametrize(("name", "preset_name"), [(n, p) for n, of in STATE_DICTS.items() for p in of])
def test_tensors_are_those_of_the_published_checkpoints(name, preset_name, step):
    published = STATE_DICTS[name][preset_name]
    tensors = {**STATE_DICTS[name]["imagenet"]["tensors"], **published.get("differs", {})}
    with torch.device("meta"):
        model = build_for(preset_name, name, step=step)
    assert tensor_shapes(model) == list(tensors.items())
    assert parameter_count(model) == published["params"]


def published_sample(name, shape):
    """The tensor that the reference logits were computed with (rules of logits.md, in its order)."""
    generator = torch.Generator().manual_seed(zlib.crc32(f"sample:{name}".encode()))
    value = torch.randn(shape, generator=generator, dtype=torch.float64)
    if name.endswith("L_alpha"):
        exponent = torch.randint(-7, 3, shape, generator=generator).double()
        return exponent + 0.3 * torch.rand(shape, generator=generator, dtype=torch.float64)
    if name.endswith("gain"):
        return 1 + 0.1 * value
    if name.endswith("bias"):
        return 0.1 * value
    if name in {"prelu1.weight", "prelu2.weight"}:
        return 0.25 + 0.05 * value
    return 0.05 * value if name == "fc.weight" else value


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-4)])
@pytest.mark.parametrize("case", LOGITS)
def test_logits_are_those_of_the_published_networks(case, dtype, tolerance):
    name, step, preset_name, size = case.split("|")
    model = build_for(preset_name, name, step=int(step.removeprefix("step"))).to(dtype).eval()
    model.load_state_dict({n: published_sample(n, t.shape) for n, t in model.state_dict().items()})
    generator = torch.Generator().manual_seed(11)
    images = torch.randn(2, 3, int(size), int(size), generator=generator, dtype=torch.float64)
    with torch.no_grad():
        logits = model(images.to(dtype))[:, :10].double()
    expected = torch.tensor(LOGITS[case], dtype=torch.float64)
    torch.testing.assert_close(logits, expected, rtol=0, atol=tolerance)


# beta bookkeeping


def test_resnet_betas_by_hand():
    v1, v2, v3 = 1 + 1 / 16, 1 + 2 / 16, 1 + 3 / 16
    tail = [1.0, 1 / sqrt(v1), 1 / sqrt(v2)]  # blocks 1-3: variance 1, then + 1/16 each
    first, *others = resnet_betas([4, 4, 4, 4])
    assert first == [1.0, *tail]
    assert others == [[1 / sqrt(v3), *tail]] * 3  # what the stage before left behind; then reset


def test_networks_use_their_betas():
    model = shapes_only("reactnet_34")
    assert [len(stage) for stage in (model.layer1, model.layer2, model.layer3, model.layer4)] == [6, 8, 12, 6]
    betas = [block.sign.beta for block in model.layer3]
    assert betas[0] == 1 / sqrt(1 + 7 / 16)  # layer2 has 8 blocks, 7 of which add 1/16
    assert betas[1:4] == [1.0, 1 / sqrt(1 + 1 / 16), 1 / sqrt(1 + 2 / 16)]
    assert [block.move0.beta for block in model.layer3] == betas
    assert {block.move1.beta for block in model.layer3} == {1.0}


def test_reactnet_a_betas_by_hand():
    def beta(sixteenths):
        return 1 / sqrt(1 + sixteenths / 16)

    strides = [1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1]
    fresh = (1.0, beta(1))  # at the start, and after every reset
    assert reactnet_a_betas(strides) == [
        fresh,  # 32 -> 64, stride 1
        (beta(2), beta(3)), fresh,  # 64 -> 128, 128
        (beta(2), beta(3)), fresh,  # 128 -> 256, 256
        (beta(2), beta(3)), fresh,  # 256 -> 512, 512
        *((beta(2 * k), beta(2 * k + 1)) for k in range(1, 5)),  # 512 x4
        (beta(10), beta(11)), fresh,  # 512 -> 1024, 1024
    ]  # fmt: skip
    blocks = shapes_only("reactnet_a").feature[1:]
    assert [(block.sign1.beta, block.sign2.beta) for block in blocks] == reactnet_a_betas(strides)
    assert [(block.move11.beta, block.move21.beta) for block in blocks] == reactnet_a_betas(strides)
    assert [block.binary_3x3.stride[0] for block in blocks] == strides


# reduced networks


@pytest.mark.parametrize(
    ("name", "reduced", "published"),
    [
        ("reactnet_18", {"base_width": 64, "blocks": (4, 4, 4, 4)}, "reactnet_18"),
        ("reactnet_18", {"blocks": [6, 8, 12, 6]}, "reactnet_34"),
        ("birealnet_18", {"base_width": 64, "blocks": (6, 8, 12, 6)}, "birealnet_34"),
        ("reactnet_a", {"base_width": 32, "blocks": (1, 2, 2, 6, 2)}, "reactnet_a"),
    ],
)
def test_published_widths_and_blocks_give_the_published_networks(name, reduced, published):
    assert tensor_shapes(shapes_only(name, **reduced)) == tensor_shapes(shapes_only(published))


def blocks_of(model):
    """(input channels, output channels, stride, betas) of every block of a ResNet-shaped network."""
    layers = [getattr(model, name) for name in model.stages]
    return [
        [(b.conv1.in_channels, b.conv1.out_channels, b.conv1.stride[0], b.sign.beta) for b in layer]
        for layer in layers
    ]


@pytest.mark.parametrize("name", ["reactnet_18", "birealnet_18", "xnornet_18", "bnn_18"])
def test_reduced_resnets_by_hand(name):
    model = build(name, stem="cifar", num_classes=7, base_width=6, blocks=(2, 3, 1))
    assert blocks_of(model) == [
        [(6, 6, 1, 1.0), (6, 6, 1, 1.0)],  # v = 1, 1; then 1 + 1/16
        [(6, 12, 2, 1 / sqrt(1 + 1 / 16)), (12, 12, 1, 1.0), (12, 12, 1, 1 / sqrt(1 + 1 / 16))],
        [(12, 24, 2, 1 / sqrt(1 + 2 / 16))],
    ]
    assert (model.conv1.out_channels, model.fc.in_features) == (6, 24)
    assert not hasattr(model, "layer4")
    assert model(torch.randn(2, 3, 8, 8)).shape == (2, 7)
    prelus = {m.weight.numel() for m in (model.prelu1, model.prelu2) if isinstance(m, nn.PReLU)}
    assert prelus == (set() if name == "reactnet_18" else {6, 24})


def test_parameters_of_a_reduced_reactnet_by_hand():
    def block(in_ch, out_ch):
        convolution = 9 * in_ch * out_ch + out_ch  # and its gain
        shortcut = 0 if in_ch == out_ch else in_ch * out_ch + out_ch
        return convolution + shortcut + in_ch + 3 * out_ch  # move0; move1, slopes, move2

    stem, classifier = 27 * 16 + 16, 64 * 10 + 10
    blocks = [(16, 16), (16, 16), (16, 32), (32, 32), (32, 64), (64, 64)]
    model = build_for("digits", "reactnet_18", base_width=16, blocks=(2, 2, 2))
    assert parameter_count(model) == stem + sum(block(*widths) for widths in blocks) + classifier


@pytest.mark.parametrize("block", [ReActBlock, bireal_block, xnor_block])
def test_a_block_may_widen_without_halving(block):
    recipe = NetworkSpec("reactnet_18", preset="digits").recipe()
    images = torch.randn(2, 3, 8, 8)
    assert block(recipe, 3, 5, 1, 1.0)(images).shape == (2, 5, 8, 8)
    assert block(recipe, 3, 5, 2, 1.0)(images).shape == (2, 5, 4, 4)


def test_one_stage_of_one_block():
    model = build("reactnet_18", stem="cifar", num_classes=2, base_width=1, blocks=(1,))
    assert blocks_of(model) == [[(1, 1, 1, 1.0)]]


def test_reduced_reactnet_a_by_hand():
    def beta(sixteenths):
        return 1 / sqrt(1 + sixteenths / 16)

    model = build("reactnet_a", stem="cifar", num_classes=7, base_width=5, blocks=(2, 1, 3))
    stem, *blocks = model.feature
    assert (stem.conv1.out_channels, model.fc.in_features) == (5, 40)
    shapes = [
        (b.binary_3x3.in_channels, b.move22.bias.numel(), b.binary_3x3.stride[0], b.sign1.beta, b.sign2.beta)
        for b in blocks
    ]
    assert shapes == [
        (5, 10, 1, 1.0, beta(1)),
        (10, 10, 1, beta(2), beta(3)),
        (10, 20, 2, beta(4), beta(5)),
        (20, 40, 2, 1.0, beta(1)),
        (40, 40, 1, 1.0, beta(1)),
        (40, 40, 1, beta(2), beta(3)),
    ]
    assert model(torch.randn(2, 3, 16, 16)).shape == (2, 7)


# every network, every variant


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", NAMES)
def test_every_network_runs_and_learns_at_cifar_size(name, variant):
    torch.manual_seed(0)
    model = build_for("cifar10", name, variant=variant)
    logits = model(torch.randn(2, 3, 32, 32))
    assert logits.shape == (2, 10)
    assert logits.isfinite().all()
    logits.square().sum().backward()
    without = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    assert without == []


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", NAMES)
def test_both_steps_have_the_same_tensors(name, variant):
    one, two = (shapes_only(name, variant=variant, step=step) for step in (1, 2))
    assert tensor_shapes(one) == tensor_shapes(two)


@pytest.mark.parametrize("name", ["reactnet_18", "reactnet_a"])
def test_only_the_ab_variant_has_quantized_slopes(name):
    kinds = {
        variant: {type(m) for m in shapes_only(name, variant=variant).modules()} & {QuantizedPReLU, nn.PReLU}
        for variant in VARIANTS
    }
    assert kinds == {"ab": {QuantizedPReLU}, "bn-free": {nn.PReLU}, "bn": {nn.PReLU}}


@pytest.mark.parametrize("name", NAMES)
def test_batch_norm_baseline_has_no_mask_and_the_others_no_batch_norm(name):
    for variant in VARIANTS:
        kinds = {type(m) for m in shapes_only(name, variant=variant).modules()}
        assert (Mask in kinds, nn.BatchNorm2d in kinds) == (
            (False, True) if variant == "bn" else (True, False)
        )


def test_real_slopes_start_as_published_code_leaves_them():
    model = build_for("cifar10", "reactnet_18", variant="bn-free")
    assert set(model.layer1[0].prelu.weight.tolist()) == {0.25}


def test_bireal_shortcut_is_real_in_both_steps_and_reactnet_and_xnor_ones_are_not():
    def binary_shortcut(name, step, index):
        return isinstance(shapes_only(name, step=step).layer2[0].downsample[index], BinaryConv2d)

    assert [binary_shortcut("birealnet_18", step, 1) for step in (1, 2)] == [False, False]
    assert [binary_shortcut("reactnet_18", step, 1) for step in (1, 2)] == [False, True]
    assert [binary_shortcut("xnornet_18", step, 0) for step in (1, 2)] == [False, True]


def test_batch_norm_shortcuts_are_real_but_for_xnor_and_bnn():
    kinds = {
        name: next(type(m) for m in stage.downsample.modules() if isinstance(m, nn.Conv2d))
        for name in NAMES
        if name != "reactnet_a"
        for stage in [shapes_only(name, variant="bn").layer2[0]]
    }
    binary = {name: kind for name, kind in kinds.items() if kind is not nn.Conv2d}
    assert binary == {"xnornet_18": MeanScaledConv2d, "bnn_18": SignConv2d}


def test_bnn_weights_have_no_scale_per_channel():
    ab = build_for("cifar10", "bnn_18").layer1[0].conv1
    assert type(ab) is FixedScaleConv2d
    nn.init.normal_(ab.weight)
    assert ab.effective_weight().abs().unique().tolist() == pytest.approx([(64 * 9) ** -0.5])
    assert type(shapes_only("bnn_18", variant="bn").layer1[0].conv1) is SignConv2d
    # xnornet_18, less the gain of every binary convolution: 4 blocks of each width, and 3 shortcuts
    gains = 4 * (64 + 128 + 256 + 512) + 128 + 256 + 512
    assert parameter_count(shapes_only("bnn_18")) == STATE_DICTS["xnornet_18"]["imagenet"]["params"] - gains


def elements_by_kind(model, kind, size):
    """Output elements of all modules of a kind, by name, on one image."""
    counts = {}
    for name, module in model.named_modules():
        if isinstance(module, kind):
            module.register_forward_hook(lambda m, i, out, name=name: counts.update({name: out.numel()}))
    with torch.device("meta"):
        model.eval()(torch.empty(1, 3, size, size))
    return counts


@pytest.mark.parametrize(
    ("name", "in_blocks", "on_shortcuts"),
    [
        # 64*56**2 + 128*28**2 + 256*14**2 + 512*7**2 per block of each stage, and the last three once
        ("reactnet_18", 1_505_280, 175_616),
        ("birealnet_18", 1_505_280, 175_616),
        ("xnornet_18", 1_505_280, 175_616),
        ("bnn_18", 1_505_280, 175_616),
        ("birealnet_34", 2_759_680, 175_616),
        ("reactnet_a", 4_641_280, 0),
    ],
)
def test_batch_norm_elements_are_as_published(name, in_blocks, on_shortcuts):
    counts = elements_by_kind(shapes_only(name, variant="bn"), nn.BatchNorm2d, 224)
    stem = counts.pop("feature.0.bn1" if name == "reactnet_a" else "bn1")
    assert stem == (32 if name == "reactnet_a" else 64) * 112**2
    shortcuts = sum(count for scope, count in counts.items() if "downsample" in scope)
    assert (sum(counts.values()) - shortcuts, shortcuts) == (in_blocks, on_shortcuts)


def test_beta_acts_on_the_elements_of_published_reactnet_a():
    counts = elements_by_kind(shapes_only("reactnet_a"), BinaryActivation, 224)
    assert sum(counts.values()) == 4_992_512


def test_parameter_counts_of_extensions_by_hand():
    # birealnet_18 and the 16 convolutions that 34 layers add (2, 4, 8, 2 per stage), each with a gain
    added = sum(n * (9 * c * c + c) for n, c in ((2, 64), (4, 128), (8, 256), (2, 512)))
    expected = STATE_DICTS["birealnet_18"]["imagenet"]["params"] + added
    assert parameter_count(shapes_only("birealnet_34")) == expected


def test_same_answer_in_training_and_evaluation_mode_and_on_every_call():
    torch.manual_seed(0)
    model = build_for("cifar10", "reactnet_18").double()
    images = torch.randn(1, 3, 32, 32, dtype=torch.float64)
    before = copy.deepcopy(model.state_dict())
    with torch.no_grad():
        first, second, third = model.train()(images), model.eval()(images), model(images)
    torch.testing.assert_close(first, second, rtol=0, atol=1e-12)  # sums in another order
    assert torch.equal(second, third)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


# the public functions


def test_catalogue_lists_the_zoo():
    entries = catalogue()
    assert [entry.name for entry in entries] == NAMES
    assert all(entry.description.endswith(".") and "\n" not in entry.description for entry in entries)
    counts = {entry.name: entry.parameters for entry in entries}
    assert {name: counts[name] for name in STATE_DICTS} == {
        name: of["imagenet"]["params"] for name, of in STATE_DICTS.items()
    }


def test_catalogue_of_another_variant():
    counts = {entry.name: entry.parameters for entry in catalogue(variant="bn-free", num_classes=10)}
    # one real slope for one exponent: as many as in A&B form; 990 classes fewer
    assert counts["reactnet_18"] == STATE_DICTS["reactnet_18"]["imagenet"]["params"] - 990 * 513


@pytest.mark.parametrize("name", PRESETS)
def test_presets_belong_together(name):
    chosen = preset(name)
    network = "reactnet_18" if name == "digits" else "reactnet_a"  # which halves four times: 8 is too small
    with torch.device("meta"):
        assert build_for(name, network)(torch.empty(chosen.input_shape)).shape == (1, chosen.num_classes)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"name": "reactnet_19"}, UnknownName, r"^no model 'reactnet_19'; did you mean 'reactnet_18'\? "),
        ({"variant": "bnfree"}, UnknownName, r"^no variant 'bnfree'; did you mean 'bn-free'\? \(known: ab"),
        ({"stem": "cifar10"}, UnknownName, r"^no stem 'cifar10'; did you mean 'cifar'\? \(known: cifar, "),
        ({"step": 3}, UsageError, r"^step must be 1 \(real weights\) or 2 \(binary weights\), got 3$"),
        ({"step": "2"}, UsageError, r"^step must be 1 .*, got '2'$"),
        ({"num_classes": 0}, UsageError, r"^num_classes must be a whole number >= 1, got 0$"),
        ({"num_classes": 2.5}, UsageError, r"^num_classes must be a whole number >= 1, got 2\.5$"),
        ({"num_classes": True}, UsageError, r"^num_classes must be a whole number >= 1, got True$"),
        ({"base_width": 0}, UsageError, r"^base_width must be a whole number >= 1, got 0$"),
        ({"base_width": 1.5}, UsageError, r"^base_width must be a whole number >= 1, got 1\.5$"),
        ({"blocks": ()}, UsageError, r"^blocks must be a tuple of whole numbers >= 1, one per stage, got \(\)$"),
        ({"blocks": (2, 0)}, UsageError, r"^blocks must be a tuple .*, got \(2, 0\)$"),
        ({"blocks": (True,)}, UsageError, r"^blocks must be a tuple .*, got \(True,\)$"),
        ({"blocks": (1, 1000)}, UsageError, r"^blocks 1,1000 are 1,001, and at most 1,000 can be built$"),
    ],
)  # fmt: skip
def test_build_refuses(options, error, message):
    name = options.pop("name", "reactnet_18")
    with pytest.raises(error, match=message):
        build(name, **options)


@pytest.mark.parametrize(
    ("name", "shape", "options"),
    [
        ("reactnet_18", (1, 3, 8, 8), {"stem": "cifar"}),  # 8, 4, 2, 1
        ("reactnet_18", (2, 3, 4, 4), {"stem": "cifar", "blocks": (1, 1, 1)}),
        ("reactnet_18", (1, 3, 32, 32), {"stem": "imagenet"}),  # 8 behind the stem
        ("reactnet_a", (1, 3, 16, 16), {"stem": "cifar"}),  # halved four times
        ("reactnet_a", (1, 3, 8, 8), {"stem": "cifar", "blocks": (1, 1, 1, 1)}),
    ],
)
def test_images_that_a_network_takes(name, shape, options):
    check_images(name, shape, **options)


@pytest.mark.parametrize(
    ("name", "shape", "options"),
    [
        ("reactnet_18", (1, 3, 4, 4), {"stem": "cifar"}),
        ("reactnet_18", (1, 3, 16, 16), {"stem": "imagenet"}),
        ("reactnet_a", (1, 3, 8, 8), {"stem": "cifar"}),
        ("birealnet_18", (1, 3, 9, 9), {"stem": "cifar"}),  # pools of odd sizes leave less than strides do
    ],
)
def test_images_that_a_network_does_not_take(name, shape, options):
    text = "x".join(map(str, shape))
    with pytest.raises(
        ModelError, match=rf"^the model fails on an input of shape {text}: .*; {name} halves the size"
    ):
        check_images(name, shape, **options)


def test_unknown_preset_is_refused():
    with pytest.raises(UnknownName, match=r"^no preset 'cifar'; did you mean 'cifar10'\?"):
        preset("cifar")


def test_beta_follows_alpha():
    # alpha = 1/8: v = 1, 1, then 1 + 1/64 carried into the second stage, where it starts again at 1
    model = build("reactnet_18", stem="cifar", base_width=4, blocks=(2, 2), alpha_exponent=-3)
    betas = [module.beta for module in model.modules() if isinstance(module, BinaryActivation)]
    assert betas == [1.0, 1.0, 1 / sqrt(1 + 1 / 64), 1.0]
    assert {module.factor for module in model.modules() if isinstance(module, Scale)} == {1 / 8}


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"alpha_exponent": 1}, "alpha_exponent must be a whole number between -16 and 0, got 1"),
        ({"alpha_exponent": -2, "variant": "bn"}, "the batch-norm baseline has no alpha; leave it out"),
    ],
)
def test_refused_alpha(options, reason):
    with pytest.raises(UsageError) as caught:
        build("reactnet_18", **options)
    assert reason in str(caught.value)
