"""Warnings where the source looks binary and the result is not, and where no trained network looks like that."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from abcost.pipeline import analyze
from strategies import Module

SIGNS = torch.randn(4, 4, 3, 3, generator=torch.Generator().manual_seed(0)).sign()
REAL = torch.randn(4, 4, 3, 3, generator=torch.Generator().manual_seed(1))
FACTORS = torch.linspace(0.3, 1.7, 4).reshape(1, 4, 1, 1)
DEAD = SIGNS * torch.tensor([1.0, 0.0, 1.0, 1.0]).reshape(4, 1, 1, 1)
ODD = torch.tensor([0.31831, 1.0, 2.71828])[torch.arange(4 * 36) % 3].reshape(4, 4, 3, 3)


def conv(x, w=SIGNS):
    return F.conv2d(x, w, padding=1)


CASES = {
    "scale per input channel": (lambda m, x: conv(x.sign() * FACTORS), "a sign comes to the product"),
    "sum with a real number": (lambda m, x: conv(x.sign() + x), "a sign comes to the product"),
    "three odd values": (lambda m, x: conv(x.sign(), ODD), "weights take few values per channel"),
    "equal weights": (lambda m, x: conv(x.sign(), torch.full_like(SIGNS, 0.5)), "all weights are equal"),
    "pruned binary channel": (lambda m, x: conv(x.sign(), DEAD), "output channels whose weights are all 0"),
    "pruned real channel": (lambda m, x: conv(x, DEAD * REAL), "output channels whose"),
}
QUIET = {
    "binary": lambda m, x: conv(x.sign()),
    "one scale": lambda m, x: conv(0.3 * x.sign()),
    "real": lambda m, x: conv(x, REAL),
    "real behind a binary one": lambda m, x: conv(conv(x.sign()), REAL),
    "ternary": lambda m, x: conv(x.sign(), SIGNS * (torch.arange(144).reshape(4, 4, 3, 3) % 3 != 0)),
    "powers of two": lambda m, x: conv(x, SIGNS * 2.0 ** -(torch.arange(144).reshape(4, 4, 3, 3) % 3)),
}


def warnings_of(function):
    torch.manual_seed(0)
    return analyze(Module(function), input_shape=(1, 4, 6, 6)).warnings


@pytest.mark.parametrize("name", sorted(CASES))
def test_what_looks_odd_is_said(name):
    function, wanted = CASES[name]
    (line,) = [line for line in warnings_of(function) if line.startswith(wanted)]
    assert line.split(": ")[-1] in ("conv", "conv/binary")  # the node, which stands in no layer of its own


@pytest.mark.parametrize("name", sorted(QUIET))
def test_nothing_is_said_of_ordinary_networks(name):
    assert warnings_of(QUIET[name]) == ()


@pytest.mark.parametrize("model", ["reactnet_18", "birealnet_18", "xnornet_18", "bnn_18"])
@pytest.mark.parametrize("variant", ["ab", "bn"])
def test_nothing_is_said_of_the_zoo(model, variant):
    found = analyze(model, preset="digits", variant=variant, base_width=8).warnings
    assert [line for line in found if not line.startswith("weights are untrained")] == []
