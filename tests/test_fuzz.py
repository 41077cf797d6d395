"""The short form of `make fuzz`: every parser, some hundred inputs each. See benchmarks/fuzz.py."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from hypothesis import strategies as st

from abcost.errors import UsageError
from fuzz import fuzz, outcome, targets
from fuzzing.target import Target

TARGETS = targets()
SHORT = {"program bytes": 10, "report": 60, "onnx values": 80, "onnx bytes": 80}


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_but_acceptance_or_one_line(name):
    inputs = SHORT.get(name, 100)
    found = fuzz(TARGETS[name], inputs)
    assert found.total() >= inputs  # and not a handful that Hypothesis takes for all there are
    assert found["refused"] > 0  # damage that nobody notices would prove nothing


def test_all_of_the_long_form_is_a_million():
    assert sum(target.inputs for target in TARGETS.values()) >= 1_000_000


@pytest.mark.parametrize(
    ("failure", "found"),
    [
        (KeyError("layers"), KeyError),
        (RecursionError("deep"), RecursionError),
        (UsageError("two\nlines"), AssertionError),
        (UsageError(""), AssertionError),
    ],
)
def test_the_fuzzer_notices(failure, found):
    """What it is for: an error that is not ours, or not one line."""

    def read(_):
        raise failure

    with pytest.raises(found):
        outcome(Target("broken", "", st.none(), read, 1), None)
