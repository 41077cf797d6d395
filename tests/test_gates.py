"""Blocks of standard cells: multipliers of gates, ROMs of gates, and flip-flops that are clocked while they wait."""

from __future__ import annotations

import pytest
import torch

from abcost.accelerator.energy import flip_flops, units_energy
from abcost.accelerator.memory import Memory
from abcost.accelerator.silicon.energy import memory_energy
from abcost.accelerator.silicon.memories import REGISTERS, ROM, Held
from abcost.accelerator.unit_costs import UnitCosts
from abcost.cost import CostTable
from abcost.cost.fused import constant_product, product_of
from abcost.cost.organisation import Unit
from abcost.errors import UsageError
from abcost.rtl.unit import build


def area(table, *units):
    return UnitCosts(table).total(units)["area_um2"]


def test_a_multiplier_of_gates_takes_what_its_factors_need():
    table = CostTable.load("asic-sg13g2")
    units = Unit("multiply", 2, 16, gates=product_of(9, 16))
    one = table.price("product", width=16, bits=9).cost.area_um2
    assert area(table, units) == pytest.approx(2 * one)
    assert area(table, units) < area(table, Unit("multiply", 2, 16))


def test_a_block_of_an_fpga_has_one_size():
    prices = UnitCosts(CostTable.load("fpga-ecp5"))
    assert prices.total([Unit("multiply", 2, 16, gates=product_of(9, 4))]) == prices.total(
        [Unit("multiply", 2, 16)]
    )


@pytest.mark.parametrize(
    ("constant", "adds"),
    [(0, 0), (8, 0), (7, 1), (-6, 1), (-8, 1), (11, 2)],  # 8 - 1; 2 - 8; 0 - 8; 8 + 4 - 1
)
def test_a_product_with_a_constant_is_sums_of_its_digits(constant, adds):
    assert constant_product(9, constant) == ((Unit("add", adds, 10),) if adds else ())


def test_a_scale_with_constant_factors_is_priced_as_its_sums():
    table = CostTable.load("asic-sg13g2")
    scale = Unit("scale_dot", 4, 16, bits=144, gates=constant_product(9, 7))
    # 2p - K of 8 + 1 bits and the register behind it, and one addition instead of a multiplier
    parts = [Unit("add", 4, 9), Unit("register", 4, 9), Unit("add", 4, 10)]
    assert area(table, scale) == pytest.approx(area(table, *parts))


@pytest.mark.parametrize(
    ("unit", "count"),
    [
        (Unit("register", 3, 5), 15),
        (Unit("accumulate", 2, 8), 16),
        (Unit("rom", 1, 2, depth=300), 4),  # two banks of 256 words, each with its register
        (Unit("register_file", 1, 4, depth=8), 8 * 4 + 4),  # and what was read
        (Unit("scale_dot", 2, 16, bits=144), 18),  # behind 2p - K
        (Unit("add", 7, 16), 0),
    ],
)
def test_flip_flops_of_units(unit, count):
    assert flip_flops(unit) == count


def test_registers_that_wait_are_clocked_or_held():
    table = CostTable.load("asic-sg13g2")
    unit = Unit("register", 1, 8)
    busy = units_energy([(unit, 10)], interval=10, table=table)
    waiting = units_energy([(unit, 10)], interval=110, table=table)
    # 8 flip-flops in 100 cycles, in microjoule; at least, their clock is held
    assert waiting.value - busy.value == pytest.approx(8 * 100 * table.clock.energy_pj * 1e-6)
    assert waiting.low == pytest.approx(busy.low)


def test_words_that_wait_are_clocked_too():
    table = CostTable.load("asic-sg13g2")
    file = Memory("line buffer", 4, 8, reads=10, writes=10, place=REGISTERS)
    held = Held(file, (Unit("register_file", 1, 4, depth=8),))
    more = memory_energy(held, 110, table).value - memory_energy(held, 10, table).value
    assert more == pytest.approx(36 * 100 * table.clock.energy_pj * 1e-6)
    weights = Held(Memory("weights", 4, 8, reads=10, place=ROM), (Unit("rom", 1, 4, depth=8),))
    more = memory_energy(weights, 110, table).value - memory_energy(weights, 10, table).value
    assert more == pytest.approx(4 * 100 * table.clock.energy_pj * 1e-6)


def test_a_memory_of_gates_is_tables_that_stay_apart():
    words = tuple((i * 0x9E3779B97F + 1) % 2**40 for i in range(24))
    unit = build("memory", bits=40, words=words, place="rom")
    assert [(part.outputs[0].width, part.keep) for part in unit.needs] == [(32, True), (8, True)]
    assert not unit.files
    assert "case" in unit.source
    read = unit.model({"address": torch.tensor([5])})["data"][0]
    assert read.tolist() == [words[5] >> i & 1 for i in range(40)]


def test_the_second_factor_of_a_product_is_the_narrower_one():
    with pytest.raises(
        UsageError, match=r"^the second factor of a product is the narrower one, got 9 beside 8"
    ):
        build("product", width=8, bits=9)
