"""Recognising signs, masks, PReLUs and straight-through estimators, in every form that they are written in."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from abcost.core.interpret import FixedPoint, execute
from abcost.core.kinds import OpKind
from abcost.core.log import Phase
from rewriting import SHAPE, assert_equal_values, edge_values, fired, kinds, recognised, through
from strategies import traced

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


BITS = {  # low, high, and which of them holds at 0: -1 low, 1 high, 0 what lies between
    "flag by where": (lambda m, x: torch.where(x >= 0, 1.0, 0.0), 0.0, 1.0, 1),
    "turned round": (lambda m, x: torch.where(x >= 0, -1.0, 1.0), 1.0, -1.0, 1),
    "negated": (lambda m, x: -x.sign(), 1.0, -1.0, 0),
    "one minus two flags": (lambda m, x: 1 - 2 * (x < 0).float(), -1.0, 1.0, 1),
    "difference of flags": (lambda m, x: (x > 0).float() - (x < 0).float(), -1.0, 1.0, 0),
    "clamped": (lambda m, x: x.sign().clamp(-1, 1), -1.0, 1.0, 0),
    "sign with 0 for -1": (lambda m, x: torch.where(x.sign() == -1, 0.0, x.sign()), 0.0, 1.0, -1),
    "half of sign + 1": (lambda m, x: (x.sign() + 1) / 2, 0.0, 1.0, 0),
    "no flag": (lambda m, x: 1 - (x > 0).float(), 1.0, 0.0, -1),
    "sign of sign + 1": (lambda m, x: (x.sign() + 1.0).sign(), 0.0, 1.0, 1),
    "sign of a rectified value": (lambda m, x: torch.relu(x).sign(), 0.0, 1.0, -1),
}


@pytest.mark.parametrize("name", sorted(BITS))
def test_forms_of_a_bit(name):
    function, low, high, at_zero = BITS[name]
    before = traced(function, SHAPE)
    after, _ = through(before, Phase.RECOGNISE)
    (node,) = after.of_kind(OpKind.SIGN)
    assert (node.attrs.get("low", -1.0), node.attrs.get("high", 1.0), node.attrs["at_zero"]) == (
        low,
        high,
        at_zero,
    )
    x = edge_values(SHAPE)
    assert torch.equal(next(iter(execute(after, [x]).values())), function(None, x).double())


def test_a_level_that_expands_its_input_is_a_threshold():
    before = traced(lambda m, x: torch.where(x >= torch.arange(3.0).reshape(3, 1, 1, 1), 1.0, -1.0), SHAPE)
    after, _ = through(before, Phase.RECOGNISE)
    assert kinds(after)[-1] == "threshold"
    assert after.of_kind(OpKind.THRESHOLD)[0].shape == (3, *SHAPE[1:])
    assert_equal_values(before, after)


NO_SIGNS = {
    "equality": lambda m, x: torch.where(x == 0, 1.0, -1.0),
    "two computed operands": lambda m, x: torch.where(x >= x.exp(), 1.0, -1.0),
    "affine with another factor": lambda m, x: (x >= 0).float() * 3 - 1,
    "affine on a value": lambda m, x: x * 2 - 1,
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
    "another function": lambda m, x: torch.sign(torch.sin(x)),
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
