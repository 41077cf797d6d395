"""What counts as the same fit."""

from __future__ import annotations

import pytest

from refitted import same_fit


@pytest.mark.parametrize(
    ("found", "same"),
    [
        ("delay = 0.03386 + 2*width # 1744 points", True),
        ("delay = 0.03387 + 2*width # 1744 points", True),  # the last digit beside it
        ("delay = 0.03388 + 2*width # 1744 points", False),
        ("delay = 0.0339 + 2*width # 1744 points", False),
        ("delay = 0.033862 + 2*width # 1744 points", False),  # five digits are not of a fit
        ("delay = -0.03386 + 2*width # 1744 points", False),
        ("delay = 0.03386 + 2*width # 1745 points", False),  # a count
        ("delay = 0.03386 + 2*bits # 1744 points", False),
        ("delay = 0.03386 + 2*width # 1744", False),
    ],
)
def test_texts_are_the_same_but_for_a_last_digit(found, same):
    assert same_fit(found, "delay = 0.03386 + 2*width # 1744 points") is same


@pytest.mark.parametrize(
    ("found", "same"), [("1.0", True), ("0.9999", True), ("0.9998", False), ("1.002", False)]
)
def test_of_two_magnitudes_the_finer_step_counts(found, same):
    assert same_fit(found, "1.0") is same


@pytest.mark.parametrize(
    ("found", "same"), [("2.5e-05", True), ("2.501e-05", True), ("2.5e-04", False), ("2.502e-05", False)]
)
def test_exponents(found, same):
    assert same_fit(found, "2.5e-05") is same
