"""Forms of quantisers: clamps written as selects, zero points that are added and taken away."""

from __future__ import annotations

import pytest
import torch

from abcost.core.kinds import OpKind
from abcost.core.log import Phase
from rewriting import SHAPE, assert_equal_values, fired, kinds, reason, through
from strategies import traced

HALF = torch.tensor(0.5)
LIMITS = torch.tensor([0.25, -0.5]).reshape(1, 2, 1, 1)


@pytest.mark.parametrize(
    ("function", "attrs"),
    [
        (lambda m, x: torch.where(x > 0.5, HALF, x), {"min": None, "max": 0.5}),
        (lambda m, x: torch.where(x >= 0.5, HALF, x), {"min": None, "max": 0.5}),
        (lambda m, x: torch.where(x < 0.5, x, HALF), {"min": None, "max": 0.5}),
        (lambda m, x: torch.where(x < 0.5, HALF, x), {"min": 0.5, "max": None}),
        (lambda m, x: torch.where(x <= 0.5, HALF, x), {"min": 0.5, "max": None}),
        (lambda m, x: torch.where(x > 0.5, x, HALF), {"min": 0.5, "max": None}),
    ],
)
def test_a_select_between_x_and_its_limit_is_a_clamp(function, attrs):
    before = traced(function, SHAPE)
    after, _ = through(before, Phase.RECOGNISE)
    assert kinds(after) == ["clamp"]
    assert after.of_kind(OpKind.CLAMP)[0].attrs == attrs
    assert_equal_values(before, after)


@pytest.mark.parametrize(("largest", "which"), [(False, "min"), (True, "max")])
def test_a_limit_for_each_channel_is_an_extremum(largest, which):
    before = traced(lambda m, x: torch.where(x < LIMITS if largest else x > LIMITS, LIMITS, x), SHAPE)
    after, _ = through(before, Phase.RECOGNISE)
    assert kinds(after) == ["extremum"]
    assert after.of_kind(OpKind.EXTREMUM)[0].attrs["which"] == which
    assert_equal_values(before, after)


@pytest.mark.parametrize(
    "function",
    [
        lambda m, x: torch.where(x > 0.5, torch.tensor(0.25), x),  # jumps
        lambda m, x: torch.where(x + 1 > 0.5, HALF, x),  # another value is compared
        lambda m, x: torch.where(x == 0.5, HALF, x),
    ],
)
def test_other_selects_are_no_clamps(function):
    assert "select" in kinds(through(traced(function, SHAPE), Phase.RECOGNISE)[0])


@pytest.mark.parametrize(
    "function",
    [
        lambda m, x: torch.relu(x) + 3.0 - 3.0,
        lambda m, x: torch.relu(x) - 4 * LIMITS + 4 * LIMITS,
    ],
)
def test_what_is_added_and_taken_away_is_nothing(function):
    before = traced(function, SHAPE)
    after, log = through(before, Phase.LOWER)
    assert kinds(after) == ["clamp"]
    assert "zero-sum" in fired(log)
    assert_equal_values(before, after)


def test_a_zero_point_of_0_goes_and_a_bias_of_0_stays():
    # hardware for an untrained network, whose biases are 0, has adders
    for function in (lambda m, x: torch.round(torch.relu(x) + 0.0), lambda m, x: x.sign() + 0.0):
        assert "add_const" not in kinds(through(traced(function, SHAPE), Phase.LOWER)[0])
    assert "add_const" in kinds(through(traced(lambda m, x: torch.relu(x) + 0.0, SHAPE), Phase.LOWER)[0])


@pytest.mark.parametrize(
    "function",
    [lambda m, x: x + 3.0 - 2.0, lambda m, x: x + LIMITS - LIMITS.flip(1), lambda m, x: x + 3.0 + 3.0],
)
def test_constants_that_differ_stay(function):
    assert kinds(through(traced(function, SHAPE), Phase.LOWER)[0]) == ["add_const"] * 2


def test_fractions_stay():
    """A fraction is cut when it is added, and again when it is taken away."""
    after, log = through(traced(lambda m, x: x + 0.1 - 0.1, SHAPE), Phase.LOWER)
    assert kinds(after) == ["add_const"] * 2
    assert reason(log, "zero-sum") == "what is added and taken away is no whole number"


def test_a_sum_that_others_read_stays():
    """(x + 3) * (x + 3 - 3): the first sum has another reader, the second is gone."""
    before = traced(lambda m, x: (x + 3.0) * ((x + 3.0) - 3.0), SHAPE)
    shared = traced(_shared, SHAPE)
    for graph in (before, shared):
        after, _ = through(graph, Phase.LOWER)
        assert kinds(after) == ["add_const", "multiply"]
        assert_equal_values(graph, after)


def _shared(_module, x):
    y = x + 3.0
    return y * (y - 3.0)


def test_a_zero_that_expands_stays():
    zero = torch.zeros(1, 2, 3, 3)
    before = traced(lambda m, x: x.sign() + zero, (1, 2, 1, 1))
    after, log = through(before, Phase.LOWER)
    assert "add_const" in kinds(after)
    assert "expands its input" in reason(log, "zero-sum")


def test_a_level_that_only_rounded_constants_reach_is_not_lost():
    # 1 / 0.33333334 is 2.9999999, below the third level; in fixed point it is 3
    step = torch.tensor(1 / 3, dtype=torch.float32).double()
    before = traced(lambda _m, x: torch.floor(x.clamp(0, 1) / step), SHAPE)
    _, log = through(before, Phase.LOWER)
    assert (
        reason(log, "quantiser") == "constants rounded to fixed point reach a level that the real ones do not"
    )
    exact = traced(lambda _m, x: torch.floor(x.clamp(0, 1) * 3), SHAPE)
    after, log = through(exact, Phase.LOWER)
    assert "quantiser" in fired(log)
    assert_equal_values(exact, after)
