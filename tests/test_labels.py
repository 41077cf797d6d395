"""Origins of multiplications by what they are for: each network's by hand."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from abcost.classify import tally
from abcost.core.inputs import InputSpec
from abcost.core.log import Phase
from abcost.rewrite import RewriteOptions, rewrite
from abcost.trace import trace
from strategies import Module

N = 4 * 6 * 6  # elements of a map
SHAPE = (1, 4, 6, 6)
SIGNS = torch.randn(4, 4, 3, 3, generator=torch.Generator().manual_seed(0)).sign()
PER_CHANNEL = torch.linspace(0.3, 1.7, 4).reshape(1, 4, 1, 1)


def binary(x):
    return F.conv2d(x.sign(), SIGNS, padding=1)


def conv(out, kernel=1, channels=4):
    return nn.Conv2d(channels, out, kernel, padding=kernel // 2, bias=False)


def norm():
    found = nn.BatchNorm2d(4)
    found.running_var.uniform_(0.5, 1.5)
    return found


def squeeze_excite(m, x):
    y = binary(x)
    gate = torch.sigmoid(m.up(torch.relu(m.down(F.adaptive_avg_pool2d(y, 1)))))
    return binary(y * gate)


def gelu(m, x):
    y = binary(x)
    return y * 0.5 * (1 + torch.erf(y / math.sqrt(2)))


def attention(m, x):
    q, k = x.sign().flatten(2), (x + 0.1).sign().flatten(2)
    return torch.softmax(q @ k.transpose(1, 2) / 6, -1)


LABELS = {
    # a gate: 4 -> 2 -> 4 channels, and 144 products of the map with it; the pool's own four means
    "squeeze and excite": (squeeze_excite, {"down": conv(2), "up": conv(4, channels=2)},
                           {"squeeze_excite": 4 * 2 + 2 * 4 + N, "global_pool": 4}),
    "GELU, written out": (gelu, {}, {"activation_function": 3 * N}),
    "scores / 6": (attention, {}, {"attention": 4 * 4, "other": 4 * 4}),  # the softmax's own products
    "a factor per channel behind a binary product": (
        lambda m, x: binary(x) * PER_CHANNEL + x, {}, {"weight_scale": N}),
    "alpha on the way to a sum": (lambda m, x: 0.3 * binary(x) + x, {}, {"residual_scale": N}),
    "no sum, no residual scale": (lambda m, x: 0.3 * binary(x), {}, {"weight_scale": N}),
    "batch norm of a block behind the stem's": (
        lambda m, x: binary(m.b(torch.relu(m.a(m.stem(x))))), {"stem": conv(4, 3), "a": norm(), "b": norm()},
        {"stem": N * 36 + N, "batch_norm": N}),
    "a classifier in front of the pool": (
        lambda m, x: F.adaptive_avg_pool2d(m.head(binary(m.stem(x))), 1), {"stem": conv(4, 3), "head": conv(10)},
        {"stem": N * 36, "classifier": 36 * 4 * 10, "global_pool": 10}),
    "a quantiser of activations": (
        lambda m, x: F.conv2d(torch.round((x / 0.3).clamp(0, 3)) * 0.3, SIGNS, padding=1), {}, {"quantiser": 2 * N}),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(LABELS))
def test_labels_by_hand(name):
    function, members, wanted = LABELS[name]
    torch.manual_seed(0)
    graph = trace(Module(function, **members).eval(), (InputSpec(SHAPE),)).graph
    found = tally(rewrite(graph, Phase.RECOGNISE, RewriteOptions()).graph, 16).by_origin()
    assert {origin.value: count for origin, count in found.items() if count} == wanted


def test_the_published_convention_does_not_depend_on_where_a_scale_is_written():
    counts = []
    for function in (
        lambda m, x: F.conv2d(x.sign(), SIGNS * PER_CHANNEL.reshape(4, 1, 1, 1), padding=1) + x,
        lambda m, x: binary(x) * PER_CHANNEL + x,
    ):
        graph = trace(Module(function), (InputSpec(SHAPE),)).graph
        counts.append(tally(rewrite(graph, Phase.RECOGNISE, RewriteOptions()).graph, 16).published())
    assert counts == [0, 0]  # weight scales are left out, as the paper does
