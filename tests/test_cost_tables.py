"""Bundled cost tables - published figures, bounds, and what is asked of all of them."""

from __future__ import annotations

import copy
import csv
import itertools
import math
import pickle
import shutil
from functools import cache

import pytest

from abcost.calibrate.targets import SHARING
from abcost.core.cost import FIELDS, ZERO, Cost
from abcost.core.primitives import Primitive
from abcost.cost import CostTable, bundled_targets, cost_models_dir
from abcost.errors import CostError, UnknownName

TARGETS = bundled_targets()


@pytest.mark.parametrize("target", TARGETS)
def test_laws_of_bundled_tables_hold_over_their_ranges(target):
    """Loading them skips this, for time: no law is negative or leaves its bounds."""
    assert CostTable.load(target, sampled=True).units()


POINTS = cost_models_dir() / "points" / "fpga-lut6-toggles.csv"


@cache
def loaded(target):
    """The table, read once: some tests ask it thousands of times."""
    return CostTable.load(target)


def price(target, op, **size):
    table = loaded(target)
    return table.price(op, **{"width": table.default_width, **size})


# --- Cost -------------------------------------------------------------------------------------------------


def test_cost_adds_field_by_field_and_unknown_stays_unknown():
    total = Cost(energy_pj=0.5, luts=32) + Cost(energy_pj=0.25, dsps=4)
    assert total == Cost(energy_pj=0.75)  # LUTs and DSPs are each unknown on one side
    assert sum([Cost(luts=1), Cost(luts=2)], ZERO) == Cost(luts=3)


def test_cost_scales_and_zero_times_unknown_is_nothing():
    assert Cost(energy_pj=0.5).scaled(4) == Cost(energy_pj=2)
    assert Cost(energy_pj=0.5).scaled(0) == ZERO


def test_cost_names_its_fields():
    assert tuple(ZERO.to_dict()) == FIELDS
    assert Cost().to_dict() == dict.fromkeys(FIELDS)


def typical(target, op):
    """Sizes at which every unit has a figure, whatever it depends on; the width is left to the table."""
    least = loaded(target).narrowest(op)
    sizes = {"bits": 24, "exponents": 2, "fraction_bits": 12, "depth": 64}
    if op in SHARING:  # of lanes that share, in powers of two
        sizes["choices"] = 4
    return {name: max(size, least.get(name, 0)) for name, size in sizes.items()}


@pytest.mark.parametrize("value", [-1, math.nan, math.inf])
def test_cost_refuses_what_is_no_cost(value):
    with pytest.raises(CostError, match=r"^a cost must be a finite number >= 0, got luts = "):
        Cost(luts=value)
    with pytest.raises(CostError, match=r"^a cost is scaled by a finite number >= 0"):
        ZERO.scaled(value)


# --- bundled tables: published figures --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("op", "width", "energy_pj", "area_um2"),
    [
        ("add", 8, 0.03, 36),  # Horowitz 2014, Fig. 1.1.9
        ("add", 16, 0.05, 67),
        ("add", 32, 0.1, 137),
        ("multiply", 8, 0.2, 282),
        ("multiply", 32, 3.1, 3495),
        ("shift_select", 8, 0.024, 34),  # ShiftAddLLM, Table 1
        ("shift_select", 16, 0.057, 73),
        ("shift_select", 32, 0.13, 157),
        ("compare", 32, 0.02947, 71),  # Accelergy Aladdin plug-in, 1 ns
    ],
)
def test_45nm_published(op, width, energy_pj, area_um2):
    assert price("asic-45nm", op, width=width).cost == Cost(energy_pj=energy_pj, area_um2=area_um2)


def test_45nm_multiply_at_16_bits_is_interpolated_and_says_so():
    answer = price("asic-45nm", "multiply", width=16)
    assert answer.cost.energy_pj == pytest.approx(math.sqrt(0.2 * 3.1))  # 16 is midway from 8 to 32 in log
    assert answer.details["energy_pj"].method == "interpolated"
    assert answer.details["energy_pj"].confidence == "derived"
    assert price("asic-45nm", "multiply", width=32).details["energy_pj"].method == "cited"


def test_45nm_bit_operations():
    xnor, full_adder = 0.0180559 / 32, 0.03 / 8  # Aladdin and/or/xor per bit; Horowitz 8-bit adder per bit
    assert price("asic-45nm", "xnor").cost.energy_pj == xnor
    assert price("asic-45nm", "popcount").cost.energy_pj == full_adder
    unit = price("asic-45nm", "xnor_popcount", bits=288)
    assert unit.cost.energy_pj == pytest.approx(288 * (xnor + full_adder))
    assert unit.cost.area_um2 == pytest.approx(288 * (50.36996 / 32 + 36 / 8))
    # the dearest: ZigZag's XOR2 and Aladdin's adder at 1 ns; the cheapest: Aladdin at 5 and at 10 ns
    assert unit.details["energy_pj"].high == pytest.approx(288 * (0.000851 + 0.2104162 / 32))
    assert unit.details["energy_pj"].low == pytest.approx(288 * (0.01798511 + 0.08534078) / 32)


@pytest.mark.parametrize(
    ("op", "width", "field", "low", "value", "high"),
    [
        # 32 bits: as published by Horowitz or ShiftAddLLM, and by Aladdin over cycle times of 1 to 10 ns
        ("multiply", 32, "energy_pj", 3.1, 3.1, 12.68341),
        ("multiply", 32, "area_um2", 3495, 3495, 6351.338),
        ("add", 32, "energy_pj", 0.08534078, 0.1, 0.2104162),
        ("add", 32, "area_um2", 137, 137, 277.9792),
        ("compare", 32, "energy_pj", 0.02898, 0.02947, 0.1),
        ("shift_select", 32, "energy_pj", 0.1, 0.13, 0.4178342),
        ("shift_select", 32, "area_um2", 157, 157, 249.6461),
        ("mux", 32, "energy_pj", None, 0.1, 0.2104162),
        # 8 bits: square, linear and width x log2(width) laws
        ("multiply", 8, "energy_pj", 0.2, 0.2, 12.68341 / 16),
        ("add", 8, "energy_pj", 0.08534078 / 4, 0.03, 0.2104162 / 4),
        ("shift_select", 8, "energy_pj", 0.024, 0.024, 0.4178342 * (8 * 3) / (32 * 5)),
    ],
)
def test_45nm_bounds_are_what_other_tables_say(op, width, field, low, value, high):
    detail = price("asic-45nm", op, width=width).details[field]
    assert (detail.low, detail.value, detail.high) == (
        None if low is None else pytest.approx(low),
        pytest.approx(value),
        pytest.approx(high),
    )


def test_7nm_shifter_bounds():
    detail = price("asic-7nm", "shift_select", width=32).details["energy_pj"]
    # adder x ratio at 45 nm: the authors' code 0.1/0.1; above: 5 stages of multiplexers as adders
    assert (detail.low, detail.high) == (pytest.approx(0.03 * 0.1 / 0.1), pytest.approx(0.03 * 5))


@pytest.mark.parametrize("target", ["asic-45nm", "asic-7nm"])
def test_asic_units_are_the_sums_of_their_parts(target):
    def energy(op, **size):
        return price(target, op, width=16, **size).cost.energy_pj

    assert energy("prelu") == energy("multiply") + energy("mux")
    assert energy("qprelu", exponents=1) == energy("mux")
    assert energy("qprelu", exponents=2) == energy("mux") + energy("shift_select")
    assert energy("shift_constant") == 0


def test_7nm_published_with_their_confidence():
    def figure(op, width):
        return price("asic-7nm", op, width=width).details["energy_pj"]

    assert (figure("add", 32).value, figure("add", 32).confidence) == (0.03, "verified")
    assert (figure("add", 8).value, figure("add", 8).confidence) == (0.007, "from memory")
    assert (figure("multiply", 8).value, figure("multiply", 8).confidence) == (0.07, "verified")
    assert (figure("multiply", 32).value, figure("multiply", 32).confidence) == (1.48, "from memory")
    assert figure("multiply", 16).value == pytest.approx(math.sqrt(0.07 * 1.48))
    assert (figure("multiply", 16).method, figure("multiply", 16).confidence) == (
        "interpolated",
        "from memory",
    )
    assert figure("shift_select", 8).value == pytest.approx(0.007 * 0.024 / 0.03)  # 45 nm shifter per adder
    assert figure("shift_select", 32).value == pytest.approx(0.03 * 0.13 / 0.1)
    assert price("asic-7nm", "multiply").cost.area_um2 is None


@pytest.mark.parametrize(
    ("op", "luts", "slices", "dsps"),
    [("multiply", 47, 12, 4), ("shift_select", 32, 11, 0), ("prelu", 57, 17, 4), ("qprelu", 32, 9, 0)],
)
def test_paper_units(op, luts, slices, dsps):
    answer = price("abbnn-paper", op)
    assert answer.cost == Cost(luts=luts, dsps=dsps)
    assert answer.details["slices"].value == slices
    assert answer.confidence == "verified"


@pytest.mark.parametrize(
    ("field", "before", "after", "percent"),
    [("luts", 151, 64, -57.6), ("slices", 41, 20, -51.2), ("dsps", 12, 0, -100)],
)
def test_paper_layer(field, before, after, percent):
    value = {
        op: price("abbnn-paper", op).details[field].value
        for op in ("multiply", "shift_select", "prelu", "qprelu")
    }
    assert 2 * value["multiply"] + value["prelu"] == before
    assert value["shift_select"] + value["qprelu"] == after
    assert round(100 * (after / before - 1), 1) == percent


@pytest.mark.parametrize(
    ("op", "size"),
    [
        ("multiply", {}),
        ("prelu", {"fraction_bits": 10}),
        ("qprelu", {"exponents": 1, "choices": 2, "left": 1}),
    ],
)
def test_fpga_agrees_with_the_paper_at_32_bits(op, size):
    """The law, fitted over all widths; the points themselves are in tests/test_reproduce.py."""
    ours, paper = price("fpga-lut6", op, width=32, **size).cost, price("abbnn-paper", op).cost
    assert (round(ours.luts), ours.dsps) == (paper.luts, paper.dsps)


@pytest.mark.parametrize(
    ("width", "dsps"),
    [
        (4, 0),  # small ones are LUTs
        (18, 1),  # 25 x 18 signed: one DSP48E1
        (19, 2),  # ceil(18/24) * ceil(18/17)
        (25, 2),  # ceil(24/24) * ceil(24/17)
        (26, 4),  # ceil(25/24) * ceil(25/17)
        (32, 4),
    ],
)
def test_fpga_multiplier_takes_the_dsps_of_its_pieces(width, dsps):
    assert price("fpga-lut6", "multiply", width=width).cost.dsps == dsps


@pytest.mark.parametrize(("choices", "levels"), [(2, 1), (4, 1), (8, 2)])
def test_fpga_selection_is_4_to_1_multiplexers(choices, levels):
    """One LUT6 per bit and level; beyond four choices a barrel shifter of one level more. Within a quarter."""
    size = {"exponents": choices, "choices": choices, "span": choices - 1}
    for width in (12, 16, 24, 32):
        found = price("fpga-lut6", "shift_select", width=width, **size).cost.luts
        assert levels * width * 0.9 <= found <= levels * width * 1.25


@pytest.mark.parametrize("bits", [36, 64, 144, 288, 576, 1024])
def test_fpga_popcount_is_between_its_first_layer_and_finns_formula(bits):
    luts = price("fpga-lut6", "xnor_popcount", bits=bits).cost.luts
    assert luts > 2 * bits / 3  # three pairs are the inputs of two LUTs, which count them
    # FINN@39f0c9a without its constant 300: (2*ceil(2/6) - 1)*2 per product, tree 2*(2*SIMD - 1)
    assert luts < 1.1 * (bits * 2 + 2 * (2 * bits - 1))


def test_fpga_popcount_is_near_what_was_found_by_hand():
    """1,178 LUTs for 576 bits from 6:3 compressors, by another hand, alone; placed in a design a tenth less."""
    assert price("fpga-lut6", "xnor_popcount", bits=576).cost.luts == pytest.approx(0.9 * 1178, rel=0.05)


@pytest.mark.parametrize("target", ["fpga-lut6", "fpga-ecp5", "fpga-ice40"])
def test_fpga_energy_has_bounds_and_sources(target):
    table = CostTable.load(target)
    for op in table.units():
        details = price(target, op, **typical(target, op)).details
        if op == "shift_constant":
            assert details["energy_pj"].value == 0  # wiring
            continue
        if op in ("counter", *SHARING):  # no transitions were counted: priced apart
            continue
        energy = details["energy_pj"]
        if (
            op == "xnor"
        ):  # its bounds are in those of the popcount behind it, so that both sum to what was counted
            assert (energy.low, energy.high) == (None, None)
        else:
            assert 0 <= energy.low <= energy.value <= energy.high, op
            assert energy.low < energy.high or (target, op) == ("fpga-ice40", "register"), (
                op
            )  # one reading, no glitch
        assert energy.confidence in ("derived", "partly"), op
        if op != "prelu" or target == "fpga-lut6":  # elsewhere the sum of its parts
            assert {"toggles", "fpga-reg-power"} <= {source.name for source in energy.sources}, op
    assert price(target, "xnor").cost == Cost(
        energy_pj=price(target, "xnor").cost.energy_pj
    )  # LUTs are of words


def test_energy_of_an_adder_is_transitions_times_print():
    """16 bits on 7-series. Without delays about half of the sum's bits turn, each over one hop of 0.265 to 0.672 pJ."""
    energy = price("fpga-lut6", "add", width=16).details["energy_pj"]
    assert energy.low == pytest.approx(16 / 2 * 0.265, rel=0.05)
    counted = {row["module"]: row for row in csv.DictReader(POINTS.read_text().splitlines())}["add_w16"]
    assert energy.high == pytest.approx(float(counted["hops"]) * 0.672, rel=0.05)
    mean = (0.265 * 0.523 * 0.672) ** (1 / 3)
    value = (float(counted["routed"]) * float(counted["hops"])) ** 0.5 * mean
    assert energy.value == pytest.approx(value, rel=0.05)


@pytest.mark.parametrize("target", ["fpga-lut6", "fpga-ecp5", "fpga-ice40"])
@pytest.mark.parametrize("side", ["low", "value", "high"])
def test_energy_rises_with_the_width(target, side):
    """Adders, popcounts and PReLUs; a wider one may only take less where it moves from LUTs into a block."""
    adds = [price(target, "add", width=w).details["energy_pj"] for w in range(2, 65)]
    counts = [price(target, "xnor_popcount", bits=n).details["energy_pj"] for n in range(1, 1153)]
    qprelus = [
        price(target, "qprelu", width=w, exponents=2, choices=2, span=3).details["energy_pj"]
        for w in range(8, 33)
    ]
    prelus = [
        price(target, "prelu", width=w, fraction_bits=w // 2).details["energy_pj"] for w in range(8, 19)
    ]
    for energies in (adds, counts, qprelus, prelus):
        found = [getattr(energy, side) for energy in energies]
        assert all(b >= a * (1 - 1e-3) for a, b in itertools.pairwise(found))  # laws have four digits


def test_zc706_energy_is_from_memory_and_not_interpolated_for_the_multiplier():
    def figure(op, width):
        return price("fpga-zc706-energy", op, width=width).details["energy_pj"]

    for op, width, energy in [
        ("multiply", 8, 0.2),
        ("multiply", 32, 19.6),
        ("add", 8, 0.1),
        ("add", 32, 0.1),
        ("shift_select", 8, 0.025),
        ("shift_select", 32, 0.1),
    ]:
        assert (figure(op, width).value, figure(op, width).confidence) == (energy, "from memory")
    assert figure("shift_select", 16).value == pytest.approx(16 * 0.003125)
    with pytest.raises(CostError, match=r"no figure at width 16 \(valid: width 8; or width 32\)"):
        figure("multiply", 16)
    assert price("fpga-zc706-energy", "add").cost == Cost(energy_pj=0.1)
    assert price("fpga-zc706-energy", "popcount").details == {}


def test_memory_levels():
    memory = CostTable.load("asic-45nm").memory
    assert memory.activations.energy_pj_per_bit == 100 / 64
    assert (memory.weights.energy_pj, memory.weights.high_pj, memory.weights.access_bits) == (1300, 2600, 64)
    assert CostTable.load("abbnn-paper").memory is None


# --- bundled tables: all of them --------------------------------------------------------------------------


@pytest.mark.parametrize("target", TARGETS)
def test_bundled_table_is_named_like_its_file_and_prices_its_default_width(target):
    table = CostTable.load(target)
    assert table.target == target
    for op in table.units():
        assert table.price(op, width=table.default_width, **typical(target, op)).details


@pytest.mark.parametrize("target", TARGETS)
def test_bounds_hold_at_every_size(target):
    table = CostTable.load(target)
    for op, width, bits, exponents in itertools.product(table.units(), range(8, 33), (32, 1000), (1, 2, 9)):
        try:
            size = {"bits": bits, "exponents": exponents, "fraction_bits": 8, "depth": bits}
            answer = table.price(op, width=width, **size)
        except CostError:
            continue
        for detail in answer.details.values():
            assert (
                (detail.low or 0)
                <= detail.value
                <= (math.inf if detail.high is None else detail.high) * 1.000001
            )


# --- asking -----------------------------------------------------------------------------------------------


def test_a_unit_without_entry_is_unknown_not_an_error():
    table = CostTable.load("abbnn-paper")
    assert not table.has("add")
    assert table.price("add", width=32).cost == Cost()
    assert table.price("add", width=32).source is None
    for primitive in Primitive:
        assert table.has(primitive.value) or table.price(primitive.value, width=32).cost == Cost()


@pytest.mark.parametrize(
    ("target", "op", "size", "reason"),
    [
        (
            "asic-45nm",
            "add",
            {"width": 64},
            r"^asic-45nm: add energy_pj has no figure at width 64 \(valid: width 8 to 32\); stay inside, or",
        ),
        (
            "abbnn-paper",
            "multiply",
            {"width": 16},
            r"multiply luts has no figure at width 16 \(valid: width 32\)",
        ),
        ("fpga-lut6", "multiply", {"width": 33}, r"has no figure at .*width 33.*; or width 26 to 32"),
        ("fpga-lut6", "xnor_popcount", {"bits": 1153}, r"no figure at bits 1153 \(valid: bits 1 to 1152\)"),
        ("fpga-lut6", "xnor_popcount", {}, r"\w+ depends on bits \(.*\); give it, for example --bits 288"),
        (
            "fpga-lut6",
            "qprelu",
            {},
            r"qprelu \w+ depends on \w+ \(.*\); give it, for example --exponents -3,0",
        ),
        (
            "asic-7nm",
            "prelu",
            {"width": 4},
            r"^prelu is made of multiply, mux: asic-7nm: multiply energy_pj has no",
        ),
        ("asic-45nm", "add", {"width": 0}, r"^width must be positive, got 0$"),
        ("asic-45nm", "add", {"width": 16.5}, r"^width must be an integer, got 16.5$"),
        ("asic-45nm", "add", {"fraction_bits": -1}, r"^fraction_bits must be positive, got -1$"),
    ],
)
def test_price_refuses(target, op, size, reason):
    with pytest.raises(CostError, match=reason) as raised:
        price(target, op, **size)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("target", "op", "narrowest"),
    [
        ("asic-45nm", "add", {"width": 8}),
        ("asic-7nm", "multiply", {"width": 8}),  # 8, then 9 to 32
        ("asic-45nm", "qprelu", {"width": 8, "exponents": 1}),  # the width is that of its parts
        ("asic-45nm", "xnor", {}),
        ("fpga-lut6", "xnor_popcount", {"bits": 1}),
        ("abbnn-paper", "prelu", {"width": 32}),
        ("abbnn-paper", "add", {}),
    ],
)
def test_narrowest_size(target, op, narrowest):
    assert CostTable.load(target).narrowest(op) == narrowest


@pytest.mark.parametrize("target", TARGETS)
def test_every_unit_has_a_price_at_its_narrowest_and_none_below(target):
    table = CostTable.load(target)
    for op in table.units():
        sizes = {"bits": 64, "exponents": 1, "fraction_bits": 12, "depth": 64}
        size = {"width": 16, **sizes} | table.narrowest(op)
        assert table.price(op, **size).details
        for variable, low in table.narrowest(op).items():
            if low > 1 and variable != "span":  # two choices have no span that matters
                with pytest.raises(CostError, match="no figure at"):
                    table.price(op, **size | {variable: low - 1})


def test_unknown_names_suggest():
    with pytest.raises(UnknownName, match=r"no unit 'multply'; did you mean 'multiply'\?"):
        price("asic-45nm", "multply")
    with pytest.raises(
        UnknownName, match=r"did you mean 'asic-45nm'\? .*or give the path of your own \.toml file$"
    ):
        CostTable.load("asic-45mn")


def test_prices_are_kept_and_tables_travel():
    table = CostTable.load("asic-45nm")
    assert table.price("add", width=16) is table.price("add", width=16)
    assert pickle.loads(pickle.dumps(table)) == copy.deepcopy(table) == table  # noqa: S301 - our own bytes


def test_a_path_is_a_target_too(tmp_path):
    mine = tmp_path / "mine.toml"
    shutil.copy(cost_models_dir() / "asic-45nm.toml", mine)
    assert CostTable.load(mine) == CostTable.load(str(mine)) == CostTable.load("asic-45nm")
