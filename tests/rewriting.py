"""What the tests of single rewrite rules share."""

from __future__ import annotations

import torch
from torch import nn

from abcost.core.interpret import FixedPoint, Floating, execute
from abcost.core.kinds import OpKind
from abcost.core.log import Phase
from abcost.rewrite import RewriteOptions, rewrite
from strategies import STEP, traced

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


def binary_conv(scale, *, bias=False, channels=2, dtype=torch.float32):
    generator = torch.Generator().manual_seed(1)
    conv = nn.Conv2d(channels, 3, 3, padding=1, bias=bias)
    signs = torch.randint(0, 2, conv.weight.shape, generator=generator) * 2 - 1
    conv.weight.data = (signs * torch.as_tensor(scale).reshape(-1, 1, 1, 1)).to(dtype)
    return conv


def removed(function, **members):
    graph = traced(function, SHAPE, **members)
    graph, _ = through(graph, Phase.RECOGNISE)
    after, log = through(graph, Phase.REMOVE_MASK)
    return graph, after, log
