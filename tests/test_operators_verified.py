"""Whole verification, every stage in fixed point too, of models made of the less usual operators."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from abcost.classify import tally
from abcost.core.inputs import InputSpec
from abcost.core.interpret import execute
from abcost.errors import TraceError
from abcost.models.subject import Subject
from abcost.pipeline import verify_subject
from abcost.rewrite import RewriteOptions
from abcost.trace import trace
from strategies import Module


def scaled(w):
    return w.abs().mean(1, keepdim=True) * w.sign()


def fill(x):
    y = torch.ones_like(x)
    y[x < 0] = -1
    return y


def seeded(*shape):
    return nn.Parameter(torch.randn(shape, generator=torch.Generator().manual_seed(4)))


MODELS = {
    "einsum": (lambda m, x: torch.einsum("oc,bchw->bohw", scaled(m.w), x.sign()), (1, 6, 4, 4), {"w": seeded(8, 6)}),
    "heads": (lambda m, x: torch.einsum("bthd,hde->bthe", x.sign(), m.w.sign()), (1, 3, 2, 6), {"w": seeded(2, 6, 5)}),
    "constant left": (lambda m, x: scaled(m.w) @ fill(x), (1, 6, 5), {"w": seeded(8, 6)}),
    "bilinear layer": (lambda m, x: m.b(x, x.sign()), (2, 5), {"b": nn.Bilinear(5, 5, 3)}),
    "interpolation": (lambda m, x: F.interpolate(x, scale_factor=2, mode="bilinear").sign(), (1, 2, 4, 4), {}),
    "cubic": (lambda m, x: F.interpolate(x, size=5, mode="bicubic") * 2, (1, 2, 4, 4), {}),
    "uneven pool": (lambda m, x: m.fc(F.adaptive_avg_pool2d(x, 3).flatten(1)), (1, 2, 5, 5), {"fc": nn.Linear(18, 2)}),
    "border pool": (lambda m, x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False), (1, 2, 5, 5), {}),
    "pooled signs": (lambda m, x: F.adaptive_max_pool2d(x.sign(), 3), (1, 2, 5, 5), {}),
    "casts": (lambda m, x: (x.round().clamp(-1, 1).to(torch.int8).float() * 0.5 + (x > 0).half()), (2, 5), {}),
    "copysign": (lambda m, x: F.linear(torch.copysign(torch.ones_like(x), x), m.w.sign()), (2, 6), {"w": seeded(8, 6)}),
    "LSTM": (lambda m, x: m.r(x)[0], (3, 2, 5), {"r": nn.LSTM(5, 4)}),
    "GRU": (lambda m, x: m.r(x)[0], (3, 2, 5), {"r": nn.GRU(5, 4, batch_first=True)}),
    "instance norm": (lambda m, x: m.n(x), (2, 3, 4, 4), {"n": nn.InstanceNorm2d(3, affine=True)}),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(MODELS))
def test_every_stage_holds(name):
    function, shape, members = MODELS[name]
    torch.manual_seed(0)
    found = verify_subject(
        Subject(Module(function, **members), name, None, (InputSpec(shape),), trained=True), RewriteOptions()
    )
    assert [comparison for comparison in found.comparisons if not comparison.holds] == []


@pytest.mark.filterwarnings("ignore:The tensor attributes")
def test_an_exported_recurrent_layer():
    """torch.export keeps the layer as one operator, which is written out when the program is run."""
    layer = nn.LSTM(5, 4).eval()
    program = torch.export.export(layer, (torch.zeros(3, 2, 5),)).module()
    graph = trace(program, (InputSpec((3, 2, 5)),)).graph
    assert tally(graph, 16).macs.total == 3 * 2 * 16 * (5 + 4)
    x = torch.randn(3, 2, 5, generator=torch.Generator().manual_seed(1))
    y, state = layer(x)
    for value, wanted in zip(execute(graph, [x]).values(), (y, *state), strict=True):
        assert torch.allclose(value.float(), wanted, atol=1e-6)


def test_a_refusal_inside_an_exported_program_is_one_line():
    program = torch.export.export(Module(lambda m, x: torch.cumsum(x, 1)), (torch.zeros(2, 3),)).module()
    with pytest.raises(TraceError, match=r"^no handler for aten\.cumsum\.default in [^\n]*$"):
        trace(program, (InputSpec((2, 3)),))


def test_tensors_without_elements():
    """A slice of nothing, joined to something."""
    model = Module(lambda m, x: torch.cat([x[:, :0], x * 2], 1).sign())
    assert verify_subject(
        Subject(model, "none", None, (InputSpec((1, 3)),), trained=True), RewriteOptions()
    ).holds
