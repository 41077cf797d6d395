"""Prices with holes: the known part of a total, and what has no price, each with its number."""

from __future__ import annotations

import json
import math

import pytest
from torch import nn

from abcost.core.cost import ZERO, Cost
from abcost.cost.price import known_total
from abcost.pipeline import analyze
from abcost.report.format import FORMATS, View

WIDTH = 16
MULTIPLY = math.sqrt(0.2 * 3.1)  # asic-45nm, 16 bits: by a power law between 8 and 32 bits
ADD, COMPARE = 0.05, 0.02947 / 2
AREA = {"multiply": math.sqrt(282 * 3495), "add": 67, "compare": 71 / 2, "mux": 67}
DRAM, SRAM = 1300 / 64, 100 / 64  # pJ per bit


def network():
    """4 -> 3, and a sigmoid of the three."""
    return nn.Sequential(nn.Linear(4, 3, bias=False), nn.Sigmoid())


def stage_of(target, index=-1):
    return analyze(network(), input_shape=(1, 4), target=target).to_dict()["stages"][index]


def test_known_part_and_what_lacks_a_price_by_hand():
    # asic-45nm prices no ROM: three reads of one table, and the table
    stage = stage_of("asic-45nm")
    known = stage["cost_known"]
    operations = 12 * (MULTIPLY + ADD) + 6 * (
        COMPARE + ADD
    )  # the clamp: two compares, two selects (as adders) each
    memory = 12 * WIDTH * DRAM + 4 * WIDTH * SRAM
    assert stage["cost"]["energy_pj"] is None
    assert known["energy_pj"] == pytest.approx(operations + memory)
    assert known["memory_energy_pj"] == stage["cost"]["memory_energy_pj"] == pytest.approx(memory)
    assert stage["cost"]["area_um2"] is None
    area = AREA["multiply"] + AREA["add"] + 2 * AREA["compare"] + 2 * AREA["mux"]
    assert known["area_um2"] == pytest.approx(area)
    assert known["weight_bits"] == 12 * WIDTH
    assert stage["unpriced"] == {"rom": 3}
    assert stage["unpriced_by_field"] == {"energy_pj": {"rom": 3}, "area_um2": {"rom": 1}}


def test_what_nothing_has_a_price_for_stays_unknown():
    stage = stage_of("asic-45nm")
    assert {stage["cost_known"][name] for name in ("luts", "ffs", "dsps")} == {None}
    assert stage_of("fpga-zc706-energy")["cost_known"]["luts"] is None  # energies alone


def test_where_all_is_priced_the_known_part_is_the_total_and_nothing_is_listed():
    report = analyze(nn.Linear(4, 3), input_shape=(1, 4), target="asic-45nm").to_dict()
    for stage in report["stages"]:
        assert stage["cost_known"] == stage["cost"]
        assert (stage["unpriced"], stage["unpriced_by_field"]) == ({}, {})
    luts = stage_of("fpga-lut6")
    assert luts["cost_known"] == luts["cost"]
    assert (luts["unpriced"], luts["unpriced_by_field"]) == ({}, {})


def test_block_ram_without_a_figure_is_named_in_bits():
    """ECP5: 12 weights and 4 inputs are read. The operations have a price, so a part of the total is known."""
    stage = stage_of("fpga-ecp5")
    assert stage["cost"]["energy_pj"] is None
    assert stage["cost_known"]["energy_pj"] > 0
    assert stage["unpriced_by_field"] == {"energy_pj": {"memory traffic": (12 + 4) * WIDTH}}


def test_what_is_free_is_no_known_part():
    # one shift by a constant: wiring, so that the total is known to be 0
    assert stage_of("asic-45nm")["cost_known"]["luts"] is None
    half = analyze(nn.AvgPool2d(1), input_shape=(1, 1, 2, 2), target="asic-45nm").to_dict()["stages"][-1]
    assert half["cost"]["area_um2"] == half["cost_known"]["area_um2"] == 0


def test_known_totals_add_what_is_there():
    found = known_total([Cost(energy_pj=1.0), Cost(energy_pj=2.0, luts=5), Cost()])
    known = {name: value for name, value in found.to_dict().items() if value is not None}
    assert known == {"energy_pj": 3.0, "luts": 5}
    assert known_total([]) == Cost()
    assert known_total([ZERO]) == ZERO


def test_people_read_it_too():
    report = analyze(network(), input_shape=(1, 4), target="asic-45nm")
    text = FORMATS.get("rich")([report], View(width=120))
    assert "no figure for: rom area_um2 (1), rom energy (3)" in text
    assert text.count("  of it known") == 2  # energy and area
    page = FORMATS.get("html")([report], View())
    assert "rom energy (3)" in page
    assert "energy per inference, of it known" in page
    assert "of it known" not in FORMATS.get("rich")(
        [analyze(nn.Linear(4, 3), input_shape=(1, 4))], View(width=120)
    )


def test_macs_by_bits_are_in_every_form():
    report = analyze(network(), input_shape=(1, 4), target="asic-45nm", width=12)
    assert report.to_dict()["macs"]["by_bits"] == {"12x12": 12}
    assert "Multiply-accumulates by bits, activation x weight" in FORMATS.get("html")([report], View())
    assert json.loads(FORMATS.get("json")([report], View()))["macs"]["by_bits"] == {"12x12": 12}
