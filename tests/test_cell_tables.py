"""Tables of standard cells: what they are made of, and how far they are from what was held out."""

from __future__ import annotations

import csv
from collections import defaultdict
from functools import cache

import pytest
from torch import nn

from abcost.api.analyze import analyze
from abcost.calibrate.delay_table import read_delays_csv
from abcost.calibrate.fit import fit
from abcost.calibrate.laws import sum_text
from abcost.calibrate.plan import plan
from abcost.calibrate.point import Measured, Point, means
from abcost.calibrate.points import points_csv
from abcost.core.unit_size import SIZES
from abcost.cost import CostTable, cost_models_dir
from abcost.cost.formula import Formula
from abcost.errors import ToolError, UsageError
from abcost.rtl.forms import Terms
from abcost.rtl.units.rom import random_words
from abcost.synth.liberty import liberty_of
from calibrating import points

KITS = [
    name
    for name in ("asic-sky130", "asic-sg13g2", "asic-gf180", "asic-asap7", "asic-gt2n")
    if (cost_models_dir() / f"{name}.toml").exists()
]
MOST = {"area_um2": 0.04, "leakage_nw": 0.08, "energy_pj": 0.08}
"""Mean error of a unit's law over the points held out."""
UNFORETOLD = {("asic-sky130", "saturate", "leakage_nw")}
"""What no law foretells, and the table has not: ABC takes one of two gates in turn, and one leaks 2.7 times as much."""
MOST_DELAY = 0.08


def test_a_factor_before_a_sum_is_the_factor_of_all_of_it():
    text = sum_text([(0.5, "bits - 1"), (2.0, "width"), (3.0, "log2(bits + 1)")])
    size = {"bits": 7, "width": 4}
    assert Formula.parse(text).at(size) == 0.5 * (7 - 1) + 2 * 4 + 3 * 3


def test_a_law_of_sums_is_fitted_and_written_alike():
    """Values made of a law: the text gives them back."""
    made = {bits: 1.5 * (bits - 1) + 0.25 for bits in (1, 2, 5, 9, 30)}
    entry = fit(Terms(("bits - 1", "1")), points(made, name="energy_pj", over="bits"))[0]
    law = Formula.parse(entry.laws["energy_pj"].value)
    assert [law.at({"bits": bits}) for bits in made] == pytest.approx(list(made.values()), rel=1e-3)


def test_of_several_points_of_one_size_their_mean():
    drawn = [
        Measured(Point("rom", {"width": 1, "depth": depth}, {}), {"area_um2": area}, {"area_um2": area - 1})
        for depth, area in ((4, 10.0), (8, 30.0), (4, 14.0), (4, 15.0))
    ]
    first, second = means(drawn)
    assert (first.point.size["depth"], first.values, first.low) == (4, {"area_um2": 13.0}, {"area_um2": 12.0})
    assert second is drawn[1]


def test_roms_on_cells_are_drawn_until_they_have_many_bits():
    """A ROM of few words several times, none twice; a large one once. No column is constant, or the copy of another."""
    (rom,) = plan(("rom",), quick=False, cells=True)
    assert rom.drawn
    contents = defaultdict(list)
    for point in rom.points:
        contents[point.size["width"], point.size["depth"]].append(point.parameters["contents"])
    assert all(len(set(found)) == len(found) for found in contents.values())
    assert len(contents[1, 28]) > 4
    assert [len(contents[32, depth]) for depth in (2, 4, 1024)] == [1, 1, 1]
    columns = [tuple(word >> i & 1 for word in contents[4, 6][0]) for i in range(4)]
    both = {min(column, tuple(1 - bit for bit in column)) for column in columns}
    assert len(both) == 4
    assert (0,) * 6 not in both


def test_what_is_drawn_for_cells_changes_nothing_on_fpgas():
    """Their points are kept in files, by contents."""
    (rom,) = plan(("rom",), quick=False)
    assert len(rom.points) == len({(p.size["width"], p.size["depth"]) for p in rom.points})
    assert all(p.parameters["contents"] == random_words(p.size["width"], p.size["depth"]) for p in rom.points)


LEAKING = """library (l) {
  nom_voltage : 1; voltage_unit : "1V"; leakage_power_unit : "1uW"; capacitive_load_unit (1, pf);
  cell (INV) { area : 1; cell_leakage_power : 0.002; pin (A) { direction : input; capacitance : 1; }
    pin (Y) { direction : output; function : "!A"; } }
  cell (BUF) { area : 1;
    leakage_power () { value : 0.004; when : "A"; } leakage_power () { value : 0.006; when : "!A"; }
    pin (A) { direction : input; capacitance : 1; } pin (Y) { direction : output; function : "A"; } } }"""


def test_leakage_of_a_netlist_is_that_of_its_cells():
    """3 x 2 nW and 2 x the mean of 4 and 6 nW."""
    cells = liberty_of(LEAKING)
    assert cells.leaks
    assert cells.leakage({"INV": 3, "BUF": 2, "$scopeinfo": 7}) == pytest.approx(3 * 2 + 2 * 5)
    with pytest.raises(ToolError, match="the library l has no leakage of a cell NOR"):
        cells.leakage({"NOR": 1})


def test_leakage_is_unknown_where_one_cell_has_none():
    assert not liberty_of(LEAKING.replace("cell_leakage_power : 0.002;", "")).leaks


def test_points_with_leakage_say_so():
    found = [
        Measured(Point("add", {"width": 2}, {"width": 2}), {"energy_pj": 1, "area_um2": 2, "leakage_nw": 0.5})
    ]
    assert points_csv(found).splitlines()[0].endswith("role,energy_pj,area_um2,leakage_nw")


def timing_file(target):
    return cost_models_dir() / "points" / f"{target}-timing.csv"


@cache
def rows_of(target):
    with (cost_models_dir() / "points" / f"{target}.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    ("target", "field"), [(kit, field) for kit in KITS for field in MOST if field in rows_of(kit)[0]]
)
def test_units_of_open_kits_hold_what_was_held_out(target, field):
    """|law - measured| / measured from the raw points; of ROMs, whose contents are drawn, of the mean of each size."""
    table = CostTable.load(target)
    measured = defaultdict(list)
    for row in rows_of(target):
        if row["role"] == "held out":
            size = tuple((name, int(row[name])) for name in SIZES if row[name])
            draw = () if row["unit"] == "rom" else (row["module"],)
            measured[row["unit"], size, draw].append(float(row[field]))
    errors = defaultdict(list)
    for (unit, size, _), values in measured.items():
        if (target, unit, field) in UNFORETOLD:
            assert (unit, field) not in table.figures
            continue
        mean = sum(values) / len(values)
        said = table.price(unit, **{"width": 16, **dict(size)}).details[field].value
        errors[unit].append(abs(said - mean) / mean)
    means_of = {unit: sum(found) / len(found) for unit, found in errors.items()}
    assert len(means_of) > 10
    assert sum(means_of.values()) / len(means_of) <= MOST[field], means_of


@pytest.mark.parametrize("target", [kit for kit in KITS if timing_file(kit).exists()])
def test_delays_of_open_kits_hold_what_was_held_out(target):
    timing = CostTable.load(target).timing
    text = timing_file(target).read_text(encoding="utf-8")
    measured = defaultdict(list)
    for row in read_delays_csv(text):
        found = timing.at(row.op, row.mapping, row.size)
        assert found.low <= row.delay_ns * (1 + 1e-3)
        assert row.delay_ns <= found.high * (1 + 1e-3)
        if row.role == "held out":
            measured[row.op, tuple(row.size.items()), row.mapping].append(row.delay_ns)
    errors = defaultdict(list)
    for (unit, size, mapping), delays in measured.items():
        mean = sum(delays) / len(delays)
        errors[unit].append(abs(timing.at(unit, mapping, dict(size)).value - mean) / mean)
    means_of = {unit: sum(found) / len(found) for unit, found in errors.items()}
    assert len(means_of) > 10
    assert sum(means_of.values()) / len(means_of) <= MOST_DELAY, means_of


def leaking_kit():
    return next(name for name in KITS if CostTable.load(name).leaks)


def test_what_a_network_leaks_is_what_its_units_do():
    """Power: the units' own. Energy: power times the cycles of the slowest lane at the clock, 1 nW us = 1e-3 pJ."""
    found = analyze(nn.Linear(6, 3), target=leaking_kit(), input_shape=(1, 6), clock_mhz=50).to_dict()
    stage = found["stages"][-1]
    power = sum(unit["count"] * unit["cost_each"]["leakage_nw"] for unit in stage["units"])
    assert power > 0
    assert stage["leakage"]["power_nw"] == pytest.approx(power)
    assert stage["cost"]["leakage_nw"] == stage["leakage"]["power_nw"]
    microseconds = stage["lanes"]["cycles"] / 50
    assert stage["leakage"]["energy_pj"] == pytest.approx(power * microseconds * 1e-3)
    assert stage["leakage"]["why"] is None


@pytest.mark.parametrize(
    ("kit", "why"), [(True, "need a clock that is stated"), (False, "the table has no leakage of its units")]
)
def test_leakage_without_a_clock_or_figure_is_null_with_a_word_why(kit, why):
    target = leaking_kit() if kit else "asic-45nm"
    leakage = analyze(nn.Linear(6, 3), target=target, input_shape=(1, 6)).to_dict()["stages"][-1]["leakage"]
    assert (leakage["power_nw"] is not None) == kit
    assert leakage["energy_pj"] is None
    assert why in leakage["why"]


def test_a_clock_of_cells_is_a_number_above_0():
    with pytest.raises(UsageError, match="clock_mhz must be above 0, got -1"):
        analyze(nn.Linear(6, 3), target="asic-45nm", input_shape=(1, 6), clock_mhz=-1)
