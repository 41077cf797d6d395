"""Removing what stands in front of a sign."""

from __future__ import annotations

import pytest
import torch

from abcost.core.interpret import FixedPoint, execute
from rewriting import SHAPE, assert_equal_values, edge_values, fired, kinds, reason, removed


@pytest.mark.parametrize("beta", [0.3, 1.0, 7.5, torch.tensor([0.25, 3.0]).reshape(1, 2, 1, 1)])
def test_a_positive_scale_in_front_of_a_sign_goes(beta):
    before, after, log = removed(lambda m, x: torch.sign(beta * x))
    assert kinds(after) == ["sign"]
    assert fired(log) == ["positive-scale-before-sign"]
    assert all(entry.exact for entry in log)
    assert_equal_values(before, after)


@pytest.mark.parametrize("beta", [-0.5, 0.0, torch.tensor([1.0, -1.0]).reshape(1, 2, 1, 1)])
def test_other_factors_stay(beta):
    before, after, log = removed(lambda m, x: torch.sign(beta * x))
    assert kinds(after) == kinds(before) == ["scale", "sign"]
    assert reason(log, "positive-scale-before-sign") == "a factor is not positive: the sign would change"


def test_a_scale_that_expands_stays():
    _, after, log = removed(lambda m, x: torch.sign(torch.full((3, 1, 1, 1), 2.0) * x))
    assert (
        reason(log, "positive-scale-before-sign")
        == "the scale also expands its input; the sign would lose its shape"
    )
    assert kinds(after) == ["scale", "sign"]


def test_a_scale_that_others_read_stays():
    def forward(m, x):
        y = 0.5 * x
        return y.sign() + y

    _, after, log = removed(forward)
    assert "scale" in kinds(after)
    assert fired(log) == []


@pytest.mark.parametrize(
    ("function", "exact"),
    [
        (lambda m, x: torch.sign(1e-5 * x), False),  # 1e-5 is 0 with 12 fraction bits
        (lambda m, x: torch.sign(2.0**-20 * x), True),  # powers of two are held
        (
            lambda m, x: torch.where(0.5 * x > 0, 1.0, -1.0),
            False,
        ),  # one step halved is cut to 0, which is not > 0
        (lambda m, x: torch.where(0.5 * x >= 0, 1.0, -1.0), True),
        (lambda m, x: torch.where(1.5 * x > 0, 1.0, -1.0), True),
    ],
)
def test_a_product_that_fixed_point_cuts_to_zero_makes_the_rewrite_inexact(function, exact):
    before, after, log = removed(function)
    (entry,) = [entry for entry in log if entry.fired]
    assert entry.exact is exact
    assert ("it was cut to 0 in fixed point" in entry.detail) is not exact
    x = [edge_values(SHAPE)]
    (old,), (new,) = execute(before, x, FixedPoint(12)).values(), execute(after, x, FixedPoint(12)).values()
    assert torch.equal(old, new) is exact
