"""Whole analyses: users' models and the zoo, every count derived here from shapes times taps."""

from __future__ import annotations

import copy
import logging
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import nn

from abcost.errors import UsageError
from abcost.models.factory import build
from abcost.models.presets import preset
from abcost.pipeline import STAGES, analyze
from abcost.rewrite import RewriteOptions

USER_MODELS = Path(__file__).parent / "user_models"
SHAPES = {
    "bnn_function": (1, 3, 12, 12),
    "bnn_detach": (1, 3, 8, 8),
    "bnn_where": (2, 1, 8, 8),
    "transformer": (1, 5, 6),
    "cnn": (1, 3, 12, 12),
}


@cache
def analysed(name, **options):
    return analyze(f"{USER_MODELS / name}.py:factory", input_shape=SHAPES[name], **options)


def stage(report, name):
    (found,) = [stage for stage in report.stages if stage.name == name]
    return found


def ops(report, name="traced"):
    return {op_class.value: n for op_class, n in stage(report, name).tally.by_class().items()}


def origins(report, name="traced"):
    return {origin.value: n for origin, n in stage(report, name).tally.by_origin().items() if n}


def macs(report):
    found = report.stages[0].tally.macs
    return (found.total, found.xnor, found.signed_add, found.real)


# models that never heard of abcost


def test_user_models_import_nothing_of_abcost():
    for file in USER_MODELS.glob("*.py"):
        assert "abcost" not in file.read_text()


def test_autograd_function_bnn():
    report = analysed("bnn_function")
    n = 8 * 12 * 12  # elements of every activation behind the stem
    stem = n * 3 * 9
    binary = n * 8 * 9
    assert macs(report) == (stem + binary + 8 * 5, binary, 0, stem + 8 * 5)
    assert origins(report) == {
        "stem": stem + n,  # with the batch norm behind it
        "weight_scale": n,  # mean|W| per channel
        "batch_norm": n,
        "rprelu": n,
        "global_pool": 8,
        "classifier": 8 * 5,
    }
    assert ops(report) == {
        "multiply": stem + n + n + n + n + 8 + 8 * 5,
        # stem, its batch norm, 2p - K, batch norm, residual sum, pool of 144 taps, classifier and its bias
        "add": stem + n + n + n + n + 8 * (144 - 1) + 8 * 5 + 5,
        "bitop": 2 * binary,  # XNOR and popcount
        "shift": 0,
        "compare": n + n,  # sign; select of the PReLU
        "other": 0,
    }


def test_autograd_function_bnn_after_lowering():
    report = analysed("bnn_function")
    n = 8 * 12 * 12
    # slope 1/4 is a shift; 1/144 goes into the classifier; weight scale, batch norm, stem, classifier stay
    assert origins(report, "add_and_bit") == {
        "stem": n * 27 + n, "weight_scale": n, "batch_norm": n, "classifier": 40,
    }  # fmt: skip
    assert ops(report, "add_and_bit")["shift"] == n


def test_detach_bnn():
    report = analysed("bnn_detach")
    wide, half = 4 * 8 * 8, 6 * 4 * 4
    stem, binary, project, pooled = wide * 27, half * 4 * 9, half * 4, 4 * 4 * 4
    assert macs(report) == (stem + binary + project + 12, binary, 0, stem + project + 12)
    assert origins(report) == {
        "stem": stem,
        "activation_scale": wide,  # 1.7
        "weight_scale": half,
        "residual_scale": half,  # 0.3
        "avg_pool": pooled,
        "shortcut": project,
        "global_pool": 6,
        "classifier": 6 * 2,
    }
    assert ops(report) == {
        "multiply": stem + wide + half + half + pooled + project + 6 + 12,
        # stem + bias, move, 2p - K, bias, pool of 4, projection, residual sum, mean of 16, classifier + bias
        "add": stem + wide + wide + half + half + 3 * pooled + project + half + 15 * 6 + 12 + 2,
        "bitop": 2 * binary,
        "shift": 0,
        "compare": wide,
        "other": 0,
    }


def test_detach_bnn_after_lowering():
    report = analysed("bnn_detach")
    wide, half = 4 * 8 * 8, 6 * 4 * 4
    assert origins(report, "add_and_bit") == {
        "stem": wide * 27, "weight_scale": half, "residual_scale": half, "shortcut": half * 4, "classifier": 12,
    }  # fmt: skip
    # both pools (4 and 16 taps) are sums and shifts, the bias in front of the sign is a threshold
    assert ops(report, "add_and_bit")["shift"] == 4 * 4 * 4 + 6
    assert ops(report)["add"] - ops(report, "add_and_bit")["add"] == wide
    assert ops(report, "add_and_bit")["compare"] == wide


def test_where_bnn_on_a_batch_of_two():
    report = analysed("bnn_where")
    n = 2 * 6 * 8 * 8
    pooled, hidden = 2 * 6 * 4 * 4, 2 * 10
    binary = n * 6 * 9 + hidden * 6 * 16  # convolution and hidden layer
    stem, classifier = n * 9, 2 * 10 * 3
    assert macs(report) == (stem + binary + classifier, binary, 0, stem + classifier)
    assert origins(report) == {"stem": stem, "rprelu": n, "classifier": classifier}
    assert ops(report) == {
        "multiply": stem + n + classifier,
        # stem + bias, move, 2p - K twice, classifier + bias
        "add": stem + n + n + n + hidden + classifier + 2 * 3,
        "bitop": 2 * binary,
        "shift": 0,
        # sign, select of the PReLU, max pool of 4 (compare and select), sign
        "compare": n + n + 2 * 3 * pooled + pooled,
        "other": 0,
    }


def test_factory_arguments_reach_the_model():
    report = analyze(
        f"{USER_MODELS}/bnn_where.py:factory", input_shape=(1, 1, 8, 8), arguments={"channels": 2}
    )
    assert origins(report)["stem"] == 2 * 8 * 8 * 9


def test_transformer_block():
    report = analysed("transformer")
    t, w, heads, d = 5, 8, 2, 4
    linears = {
        "embed": t * 6 * w,
        "qkv": t * w * 3 * w,
        "out": t * w * w,
        "up": t * w * 2 * w,
        "down": t * 2 * w * w,
    }
    scores = heads * t * t
    products = scores * d + heads * t * d * t  # q k^T and softmax v
    norm = 2 * t * w + 2 * t + t * w  # squares and 1/sqrt, two by 1/w per row, weight
    norm_adds = (w - 1) * t + w * t + (w - 1) * t + t + w * t  # sum, differences, sum of squares, eps, bias
    head = w * 3
    assert macs(report) == (
        sum(linears.values()) + products + head,
        0,
        0,
        sum(linears.values()) + products + head,
    )
    assert origins(report) == {
        "stem": linears["embed"],
        "global_pool": w,  # mean over 5 tokens
        "classifier": head,
        "attention": scores,  # q k^T by 1/sqrt(d)
        "other": sum(linears.values()) - linears["embed"] + products + scores + 2 * norm,
    }
    biases = t * (w + 3 * w + w + 2 * w + w) + 3
    softmax_adds = t * scores // t + (t - 1) * heads * t  # x - max, sum
    assert ops(report) == {
        "multiply": sum(origins(report).values()),
        "add": sum(linears.values())
        + products
        + head
        + biases
        + softmax_adds
        + 2 * norm_adds
        + 2 * t * w
        + (t - 1) * w
        + t * 2 * w,  # GELU: what the table holds, and max(x, 0)
        "bitop": 0,
        "shift": 0,
        # maximum of the softmax, clamp in front of its exponentials: compare and select; 1/sum and 1/sqrt of 16 bits:
        # four compares and selects to normalise, four selects back; GELU: both limits, and max(x, 0)
        "compare": 2 * (t - 1) * heads * t + 2 * scores + 12 * (heads * t + 2 * t) + 5 * t * 2 * w,
        "other": scores + heads * t + 2 * t + t * 2 * w,  # exp, 1/sum, 1/sqrt, GELU
    }


def test_ordinary_cnn():
    report = analysed("cnn")
    wide, pooled, small = 8 * 12 * 12, 8 * 6 * 6, 12 * 3 * 3
    stem, first, second, shortcut = wide * 27, small * 8 * 9, small * 12 * 9, small * 8
    total = stem + first + second + shortcut + 12 * 5
    assert macs(report) == (total, 0, 0, total)
    assert origins(report) == {
        "stem": stem + wide,
        "batch_norm": 3 * small,
        "shortcut": shortcut,
        "other": first + second,
        "global_pool": 12,
        "classifier": 60,
    }
    assert ops(report) == {
        "multiply": total + wide + 3 * small + 12,
        # dot products, four batch norms, residual sum, pool of 9 taps, bias
        "add": total + wide + 3 * small + small + 12 * 8 + 5,
        "bitop": 0,
        "shift": 0,
        "compare": wide + 2 * 3 * pooled + 2 * small,  # ReLU, max pool, two ReLUs
        "other": 0,
    }
    assert report.stages[0].tally.published() == 3 * small + shortcut


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_user_models_verify(name):
    report = analysed(name, verify=True)
    assert report.verified
    assert report.stages[0].max_abs_error < 1e-9


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_sums_agree_with_each_other(name):
    for found in analysed(name).stages:
        by_class = {c.value: n for c, n in found.tally.by_class().items()}
        assert sum(found.tally.by_origin().values()) == by_class["multiply"]
    assert not [w for w in analysed(name).warnings if "fvcore" in w]


def test_request_fields_are_for_named_models_only():
    with pytest.raises(UsageError, match=r"^variant: only for models given by name$"):
        analyze(nn.Linear(2, 2), input_shape=(1, 2), variant="ab")


# fvcore really run on the model, an implementation that shares nothing with abcost's tracer


def fvcore_macs(model, shape):
    from fvcore.nn import FlopCountAnalysis

    logging.getLogger("fvcore").setLevel(logging.ERROR)
    analysis = FlopCountAnalysis(copy.deepcopy(model).eval(), torch.zeros(shape))
    analysis.unsupported_ops_warnings(enabled=False).uncalled_modules_warnings(enabled=False)
    analysis.tracer_warnings("none")
    by_operator = analysis.by_operator()
    return int(sum(by_operator[name] for name in ("conv", "linear", "addmm", "matmul", "bmm")))


@pytest.mark.filterwarnings("ignore")
def test_macs_are_those_of_fvcore_for_reactnet_18():
    chosen = preset("cifar10")
    model = build("reactnet_18", stem=chosen.stem, num_classes=10)
    assert macs(zoo("reactnet_18", preset="cifar10"))[0] == fvcore_macs(model, chosen.input_shape)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["cnn", "bnn_function", "bnn_detach", "transformer"])
def test_macs_are_those_of_fvcore_for_user_models(name):
    scope: dict = {}
    exec((USER_MODELS / f"{name}.py").read_text(), scope)  # noqa: S102 - our own file
    assert macs(analysed(name))[0] == fvcore_macs(scope["factory"](), SHAPES[name])


# the zoo at 224 x 224, from tables of the architectures


@cache
def zoo(name, **options):
    return analyze(name, **options)


# (in, out, size of the input, stride) of the 13 blocks of ReActNet-A behind a stem of stride 2
REACTNET_A = [
    (32, 64, 112, 1), (64, 128, 112, 2), (128, 128, 56, 1), (128, 256, 56, 2), (256, 256, 28, 1), (256, 512, 28, 2),
    (512, 512, 14, 1), (512, 512, 14, 1), (512, 512, 14, 1), (512, 512, 14, 1), (512, 512, 14, 1),
    (512, 1024, 14, 2), (1024, 1024, 7, 1),
]  # fmt: skip
# (in, out, size of the input, stride) of the 16 blocks of ReActNet-18 behind stem and max pool
REACTNET_18 = [
    (64, 64, 56, 1), (64, 64, 56, 1), (64, 64, 56, 1), (64, 64, 56, 1),
    (64, 128, 56, 2), (128, 128, 28, 1), (128, 128, 28, 1), (128, 128, 28, 1),
    (128, 256, 28, 2), (256, 256, 14, 1), (256, 256, 14, 1), (256, 256, 14, 1),
    (256, 512, 14, 2), (512, 512, 7, 1), (512, 512, 7, 1), (512, 512, 7, 1),
]  # fmt: skip


def test_reactnet_a_origins_are_the_published_ones():
    report = zoo("reactnet_a", variant="bn-free")
    beta = sum(
        i * s**2 + i * (s // t) ** 2 for i, _, s, t in REACTNET_A
    )  # signs at the input and between the parts
    pointwise = sum(
        o * (s // t) ** 2 for _, o, s, t in REACTNET_A
    )  # one or two 1x1 convolutions: out channels
    alpha = sum(i * (s // t) ** 2 for i, _, s, t in REACTNET_A) + pointwise
    pools = sum(i * (s // t) ** 2 for i, _, s, t in REACTNET_A if t == 2)
    assert (beta, alpha, pools) == (4_992_512, 4_641_280, 376_320)  # the paper's
    found = origins(report)
    assert found["activation_scale"] == beta
    assert found["residual_scale"] == alpha
    assert found["rprelu"] == alpha  # the same tensors
    assert found["avg_pool"] == pools
    assert found["weight_scale"] == alpha
    assert found["global_pool"] == 1024
    data = report.to_dict()
    assert data["published_convention"]["traced"] == beta + 2 * alpha + pools == 14_651_392
    assert data["published_convention"]["add_and_bit"] == 0
    assert [s["name"] for s in data["stages"]] == [name for name, _ in STAGES]


def test_reactnet_a_macs():
    binary = sum(i * i * 9 * (s // t) ** 2 + i * o * (s // t) ** 2 for i, o, s, t in REACTNET_A)
    stem, classifier = 27 * 32 * 112**2, 1024 * 1000
    assert (binary, binary + stem + classifier) == (4_816_896_000, 4_828_758_016)
    assert macs(zoo("reactnet_a", variant="bn-free")) == (
        binary + stem + classifier,
        binary,
        0,
        stem + classifier,
    )


def test_reactnet_18_origins_are_the_published_ones():
    beta = sum(i * s**2 for i, _, s, _ in REACTNET_18)
    alpha = sum(o * (s // t) ** 2 for _, o, s, t in REACTNET_18)
    pools = sum(i * (s // t) ** 2 for i, _, s, t in REACTNET_18 if t == 2)
    shortcuts = sum(o * (s // t) ** 2 for _, o, s, t in REACTNET_18 if t == 2)
    assert (beta, alpha, pools) == (1_680_896, 1_505_280, 87_808)
    found = origins(zoo("reactnet_18"))
    assert (found["activation_scale"], found["residual_scale"], found["rprelu"]) == (beta, alpha, alpha)
    assert found["avg_pool"] == pools
    assert found["weight_scale"] == alpha + shortcuts  # the shortcut convolutions have binary weights too
    assert "shortcut" not in found
    assert zoo("reactnet_18").stages[0].tally.published() == beta + 2 * alpha + pools
    assert zoo("reactnet_18").stages[-1].tally.published() == 0


def test_reactnet_18_macs():
    xnor = sum(i * o * 9 * (s // t) ** 2 for i, o, s, t in REACTNET_18)
    signed = sum(i * o * (s // t) ** 2 for i, o, s, t in REACTNET_18 if t == 2)  # binary weights, real input
    real = 3 * 49 * 64 * 112**2 + 512 * 1000
    assert (xnor, signed, xnor + signed + real) == (1_676_279_808, 19_267_584, 1_814_073_344)
    assert macs(zoo("reactnet_18")) == (xnor + signed + real, xnor, signed, real)


ALL_OPTIONS = RewriteOptions(constant_multiply="csd", weight_scale="po2")


@pytest.mark.parametrize("chosen", ["cifar10", "imagenet"])
def test_opt_in_lowering_leaves_no_multiplication(chosen):
    report = zoo("reactnet_18", preset=chosen, rewriting=ALL_OPTIONS)
    assert ops(report, "add_and_bit")["multiply"] == 0
    assert origins(report, "add_and_bit") == {}
    assert not stage(report, "add_and_bit").exact  # rounding weight scales is lossy


def test_the_same_report_every_time():
    first = analyze(f"{USER_MODELS}/bnn_detach.py:factory", input_shape=SHAPES["bnn_detach"]).to_dict()
    assert (
        analyze(f"{USER_MODELS}/bnn_detach.py:factory", input_shape=SHAPES["bnn_detach"]).to_dict() == first
    )
