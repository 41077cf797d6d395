"""Energy of an inference on an accelerator: units, waiting registers and memories, by hand from the table's figures."""

from __future__ import annotations

import pytest

from abcost.accelerator.energy import memory_energy, units_energy
from abcost.accelerator.memory import Memory
from abcost.accelerator.spent import Spent
from abcost.cost import CostTable
from abcost.cost.organisation import Unit

LUT6, ECP5 = CostTable.load("fpga-lut6"), CostTable.load("fpga-ecp5")


def test_a_unit_spends_its_operation_in_every_cycle_that_it_works():
    each = LUT6.price("add", width=16).details["energy_pj"]
    spent = units_energy([(Unit("add", 3, 16), 100)], interval=1000, table=LUT6)
    assert spent.value == pytest.approx(3 * 100 * each.value / 1e6)
    assert (spent.low, spent.high) == pytest.approx((300 * each.low / 1e6, 300 * each.high / 1e6))
    assert not spent.missing


def test_a_register_is_clocked_while_it_waits():
    each = LUT6.price("register", width=8).details["energy_pj"].value
    spent = units_energy([(Unit("register", 2, 8), 100)], interval=1000, table=LUT6)
    assert spent.value == pytest.approx((2 * 100 * each + 2 * 8 * 900 * 0.0144) / 1e6)


def test_block_ram_by_its_bits_and_none_where_none_is_printed():
    """36 bits take sqrt(32 * 280) pJ, to be read or written."""
    weights = Memory("weights", 36, 2048, 500, "block")
    assert memory_energy(weights, LUT6).value == pytest.approx(500 * (32 * 280) ** 0.5 / 1e6, rel=1e-3)
    lines = Memory("line buffer", 36, 2048, 500, "block", writes=500)
    assert memory_energy(lines, LUT6).value == pytest.approx(2 * memory_energy(weights, LUT6).value)
    assert memory_energy(weights, ECP5).missing == {"block RAM"}


def test_what_is_missing_makes_the_sum_unknown_and_is_named():
    total = Spent(1.0, 0.5, 2.0) + Spent(missing=frozenset({"uram"}))
    assert total.to_dict() == {"value": None, "low": None, "high": None, "known": 1.0, "missing": ["uram"]}
    assert Spent(1.0, 0.5, 2.0).to_dict()["value"] == 1.0


def test_a_counter_takes_no_more_than_what_it_is_made_of():
    spent = units_energy([(Unit("counter", 1, 8), 10)], interval=10, table=ECP5)
    assert spent.value > 0
    assert not spent.missing
