"""Nothing becomes cheaper by growing: over all bundled tables, and over whole networks.

One exception, stated: on an FPGA a unit that multiplies may move from LUTs into DSPs when it grows. Where its LUTs
or its energy fall, its DSPs rise.
"""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import nn

from abcost.core.cost import FIELDS
from abcost.core.unit_size import SIZES
from abcost.cost import CostTable, bundled_targets
from abcost.cost.organisation import Lanes
from abcost.errors import CostError
from abcost.pipeline import analyze

TARGETS = bundled_targets()
GROWING = {
    "width": st.integers(1, 64),
    "bits": st.integers(1, 2048),
    "exponents": st.integers(1, 64),
    "choices": st.integers(1, 65),
    "depth": st.integers(1, 4096),
}
DRAWN = {
    **{name: GROWING.get(name, st.integers(1, 32)) for name in SIZES},
    "factored": st.integers(0, 1),
}
TYPICAL = {
    **dict.fromkeys(SIZES, 8),
    "bits": 24,
    "exponents": 2,
    "choices": 3,
    "depth": 64,
    "factored": 0,
    "inner": 1,
}
OWN = {"constant_popcount": {"choices": 4}}
"""What is typical of a unit alone: constants are priced by powers of two."""

NO_DSP = {
    "add",
    "compare",
    "mux",
    "xnor",
    "popcount",
    "register",
    "rom",
    "max",
    "shift_constant",
}
"""Units that never move into DSPs."""

PER_BIT = ("xnor", "popcount")

TOLERANCE = {name: 1e-3 if name == "energy_pj" else 1e-12 for name in FIELDS}
"""Laws of energy are written with four digits, each range by itself."""


@cache
def table_of(target):
    return CostTable.load(target)


def priced(table, op, size):
    """The answer, or None outside the valid range."""
    try:
        return table.price(op, **size)
    except CostError as refusal:
        assert "has no figure at" in str(refusal)  # noqa: PT017 - the range ends here
        return None


def falls(op, small, large, words=(1, 1)):
    """Names of fields that fall from `small` to `large`, beyond what the exception allows.

    words: bits of both, for a unit that is priced by the bit of a word: the word must not become cheaper.
    """
    before, after = words if op in PER_BIT else (1, 1)
    fallen = {
        name
        for name, detail in small.details.items()
        if large.details[name].value * after < detail.value * before * (1 - TOLERANCE.get(name, 1e-12))
    }
    both = small.details.keys() & large.details.keys()
    if op not in NO_DSP and "dsps" in both and large.details["dsps"].value > small.details["dsps"].value:
        fallen -= {"luts", "slices", "energy_pj"}
    return fallen


@pytest.mark.parametrize("target", TARGETS)
@given(data=st.data())
def test_a_unit_does_not_get_cheaper_by_growing(target, data):
    table = table_of(target)
    op = data.draw(st.sampled_from(table.units()), label="unit")
    small = {name: data.draw(values, label=name) for name, values in DRAWN.items()}
    size_of = table.narrowest(op)
    small |= {name: max(small[name], low) for name, low in size_of.items() if name in small}
    variable = data.draw(st.sampled_from(sorted(GROWING)), label="grows")
    large = small | {variable: small[variable] + data.draw(st.integers(1, 256), label="by")}
    before, after = priced(table, op, small), priced(table, op, large)
    assume(before is not None and after is not None)
    assert not falls(op, before, after, (small["bits"], large["bits"])), (op, small, large)


@pytest.mark.parametrize("target", TARGETS)
def test_a_unit_does_not_get_cheaper_bit_by_bit(target):
    """Every width, not a sample: laws change from range to range here."""
    table = table_of(target)
    for op in table.units():
        narrowest = table.narrowest(op)
        typical = TYPICAL | OWN.get(op, {})
        start = {name: max(size, narrowest.get(name, 0)) for name, size in typical.items()}
        answers = [priced(table, op, start | {"width": width}) for width in range(1, 65)]
        known = [answer for answer in answers if answer is not None]
        assert known, op
        for small, large in pairwise(known):
            assert not falls(op, small, large), op


@pytest.mark.parametrize("target", TARGETS)
@given(data=st.data())
def test_more_of_a_unit_costs_no_less(target, data):
    table = table_of(target)
    op = data.draw(st.sampled_from(table.units()))
    least = {name: low for name, low in table.narrowest(op).items() if name in TYPICAL}
    size = {name: max(value, least.get(name, 0)) for name, value in (TYPICAL | OWN.get(op, {})).items()}
    cost = table.price(op, **size | {"width": table.default_width}).cost
    few = data.draw(st.integers(1, 10**6))
    many = few + data.draw(st.integers(1, 10**6))
    for name in FIELDS:
        a, b = getattr(cost.scaled(few), name), getattr(cost.scaled(many), name)
        assert (a is None and b is None) or a <= b


class Small(nn.Module):
    """A convolution, a PReLU, a pool and a classifier: products, sums, comparisons, selects."""

    def __init__(self, ch):
        super().__init__()
        self.conv = nn.Conv2d(3, ch, 3, padding=1)
        self.prelu = nn.PReLU(ch)
        self.pool = nn.AvgPool2d(2)
        self.fc = nn.Linear(ch * 4, 5)

    def forward(self, x):
        return self.fc(self.pool(self.prelu(self.conv(x))).flatten(1))


def costs(report):
    """The cost of every stage, which lies between its bounds."""
    data = report.to_dict()
    for stage in data["stages"]:
        for name, value in stage["cost"].items():
            low, high = stage["cost_low"][name], stage["cost_high"][name]
            assert (low is None) == (value is None) == (high is None)
            assert value is None or low <= value * (1 + 1e-9) <= high * (1 + 2e-9)
    return [stage["cost"] for stage in data["stages"]]


def no_cheaper(small, large, *, allow_dsp):
    for before, after in zip(small, large, strict=True):
        for name in (*FIELDS, "weight_bits", "memory_energy_pj"):
            if before[name] is None or after[name] is None:
                assert before[name] == after[name]  # a size makes nothing known or unknown
            elif name == "luts" and allow_dsp and after["dsps"] > before["dsps"]:
                continue
            else:
                assert after[name] >= before[name] * (1 - 1e-12), name


@pytest.mark.parametrize("target", TARGETS)
def test_a_network_does_not_get_cheaper_with_its_width(target):
    seen = []
    for width in range(2, 33):
        try:
            seen.append(costs(analyze(Small(4), target, input_shape=(1, 3, 4, 4), width=width)))
        except CostError as refusal:  # some widths have none
            assert "has no figure at" in str(refusal)  # noqa: PT017
    assert seen
    dsps = table_of(target).technology == "fpga"
    for small, large in pairwise(seen):
        no_cheaper(small, large, allow_dsp=dsps)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(("few", "many"), [({"lanes": 1}, {"lanes": 3}), ({"simd": 32}, {"simd": 64})])
def test_a_network_does_not_get_cheaper_with_more_lanes(target, few, many):
    sizes = [
        costs(analyze(Small(4), target, input_shape=(1, 3, 4, 4), width=32, organisation=Lanes(**lanes)))
        for lanes in (few, many)
    ]
    no_cheaper(*sizes, allow_dsp=False)


@pytest.mark.parametrize("target", TARGETS)
def test_a_network_does_not_get_cheaper_with_its_channels(target):
    sizes = [costs(analyze(Small(ch), target, input_shape=(1, 3, 4, 4), width=32)) for ch in (1, 2, 5, 8)]
    for small, large in pairwise(sizes):
        no_cheaper(small, large, allow_dsp=table_of(target).technology == "fpga")
