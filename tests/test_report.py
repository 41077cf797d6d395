"""Reports from Python: the frame behind the tables, numbers for people, and drawings that do not mislead."""

from __future__ import annotations

import json
import math
import re

import pandas as pd
import pytest
import torch
from torch import nn

from abcost.core.primitives import FREE
from abcost.cost import CostTable, cost_models_dir
from abcost.errors import UnknownName
from abcost.nn import BinaryConv2d, QuantizedPReLU
from abcost.pipeline import analyze
from abcost.report import quantity
from abcost.report.conventions import CONVENTIONS
from abcost.report.format import FORMATS, View
from abcost.report.frame import frame, sum_if_known
from abcost.report.graph import GRAPH_FORMATS
from abcost.report.report import block_of
from abcost.rewrite import RewriteOptions

STAGES = ["traced", "mask_removed", "rprelu_quantized", "add_and_bit"]


class Binarised(nn.Module):
    """sign -> binary 3x3 convolution, 4 channels of 6x6 -> slopes 1/8."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv = BinaryConv2d(4, 4, 3)
        self.prelu = QuantizedPReLU(4)

    def forward(self, x):
        return self.prelu(self.conv(torch.sign(x)))


def report_of(model=None, shape=(1, 4, 6, 6), **options):
    return analyze(model or Binarised(), input_shape=shape, **options)


def drawn(report, **view):
    return FORMATS.get("rich")([report], View(**view))


# numbers for people


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0 pJ"),
        (0.05, "0.05 pJ"),
        (999.4, "999.4 pJ"),
        (1e3, "1 nJ"),
        (1.5e6, "1.5 uJ"),
        (2.5e9, "2.5 mJ"),
        (None, "unknown"),
    ],
)
def test_energy(value, text):
    assert quantity.energy(value) == text


def test_amount_and_bits():
    assert quantity.amount(None) == "unknown"
    assert quantity.amount(0) == "0"
    assert quantity.amount(1234.5678) == "1,235"
    assert quantity.bits(0) == "0.0 KiB"
    assert quantity.bits(8 * 1024 * 1024) == "1.00 MiB"


@pytest.mark.parametrize(
    ("before", "after", "text"),
    [
        (100, 50, "-50.0 %"),
        (100, 0, "-100.0 %"),
        (100, 150, "+50.0 %"),
        (0, 0, "0 %"),
        (0, 1, "new"),
        (None, 1, ""),
        (1, None, ""),
    ],
)
def test_change(before, after, text):
    assert quantity.change(before, after) == text


@pytest.mark.parametrize(
    ("layer", "block"),
    [
        ("", ""),
        ("fc", "fc"),
        ("features.3", "features.3"),
        ("layer1.0.conv1", "layer1.0"),
        ("a.b.c", "a"),
        ("0", "0"),
    ],
)
def test_block_of(layer, block):
    assert block_of(layer) == block


def test_a_sum_with_an_unknown_part_is_unknown():
    assert sum_if_known(pd.Series([1.5, 2])) == 3.5
    assert math.isnan(sum_if_known(pd.Series([1.5, None])))
    assert math.isnan(sum_if_known(pd.Series([None, None])))
    assert sum_if_known(pd.Series([], dtype=float)) == 0


# the frame


@pytest.mark.parametrize(
    ("target", "resources"), [("fpga-lut6", ["luts", "dsps"]), ("asic-45nm", ["area_um2"])]
)
def test_frame_holds_the_whole_report(target, resources):
    report = report_of(target=target)
    rows = frame(report)
    assert list(rows["stage"].unique()) == STAGES
    for stage in report.stages:
        mine = rows[rows["stage"] == stage.name]
        for op_class, count in stage.tally.by_class().items():
            assert mine[mine["class"] == op_class.value]["count"].sum() == count
        for origin, count in stage.tally.by_origin().items():
            assert mine[mine["origin"] == origin.value]["count"].sum() == count
        for name in resources:
            assert sum_if_known(mine[name]) == pytest.approx(getattr(stage.cost, name))
        energy = sum_if_known(mine["energy_pj"])
        assert energy == pytest.approx(stage.cost.energy_pj - stage.memory_energy_pj)


def test_units_stand_in_the_row_of_their_operation():
    rows = frame(report_of(target="fpga-lut6"))
    table = CostTable.load("fpga-lut6")
    fan_in = 4 * 3 * 3
    popcount = table.price("xnor_popcount", width=1, bits=fan_in).cost.luts
    traced = rows[(rows["stage"] == "traced") & (rows["layer"] == "conv")].set_index("kind")
    assert traced["luts"]["popcount"] == popcount > 0
    assert traced["luts"]["xnor"] == 0  # part of the popcount's unit
    assert traced["count"]["xnor"] == traced["count"]["popcount"] == fan_in * 4 * 6 * 6
    qprelu = table.price("qprelu", width=16, exponents=1).cost.luts
    last = rows[(rows["stage"] == "add_and_bit") & (rows["layer"] == "prelu")].set_index("kind")
    assert last["luts"]["mux"] == qprelu > 0


# bounds


def test_stage_totals_carry_the_interval_of_their_figures():
    """1 linear layer of 4 x 3 products, 16 bits, no bias: 12 multiplications and 9 additions."""
    report = report_of(nn.Linear(4, 3, bias=False), shape=(1, 4), target="asic-45nm", width=32)
    stage = report.to_dict()["stages"][0]
    assert (stage["ops"]["multiply"], stage["ops"]["add"]) == (12, 12)
    bits = stage["cost"]["weight_bits"]
    assert bits == 4 * 3 * 32
    activations = (report.stages[0].nodes[0].traffic.activation_bits) * 100 / 64  # pJ; SRAM has no bounds
    for side, multiply, add, dram in [
        ("cost_low", 3.1, 0.08534078, 1280),
        ("cost", 3.1, 0.1, 1300),
        ("cost_high", 12.68341, 0.2104162, 2600),
    ]:
        memory = bits * dram / 64 + activations
        assert stage[side]["memory_energy_pj"] == pytest.approx(memory)
        assert stage[side]["energy_pj"] == pytest.approx(12 * multiply + 12 * add + memory)
        assert stage[side]["weight_bits"] == bits
        assert stage[side]["luts"] is None  # an ASIC table
        assert list(stage[side]) == list(stage["cost"])
    assert stage["cost_low"]["area_um2"] == stage["cost"]["area_um2"] == 3495 + 137
    assert stage["cost_high"]["area_um2"] == pytest.approx(6351.338 + 277.9792)


def test_no_known_interval_is_the_value_and_unknown_stays_unknown():
    stage = report_of(nn.Linear(4, 3, bias=False), shape=(1, 4), target="asic-7nm").to_dict()["stages"][0]
    assert stage["cost_low"] == stage["cost"] == stage["cost_high"]
    unpriced = report_of(target="fpga-zc706-energy", width=32).to_dict()["stages"][0]
    assert unpriced["cost_low"]["energy_pj"] is unpriced["cost_high"]["energy_pj"] is None


def test_the_interval_is_drawn_only_where_there_is_one():
    model, shape = nn.Linear(4, 3, bias=False), (1, 4)
    text = drawn(report_of(model, shape=shape, target="asic-45nm"), width=120)
    assert len(re.findall(r"^   low to high +[\d.]+-[\d.]+ nJ", text, re.MULTILINE)) == 1  # energy
    assert len(re.findall(r"^   low to high +[\d,]+-[\d,]+ ", text, re.MULTILINE)) == 1  # area
    assert "low to high" not in drawn(report_of(model, shape=shape, target="asic-7nm"), width=120)


def test_a_memory_without_figure_is_unknown_and_listed(tmp_path):
    mine = tmp_path / "mine.toml"
    text = (cost_models_dir() / "asic-45nm.toml").read_text()
    mine.write_text(text.replace('activations = "sram-1MB"', 'activations = "unknown"'))
    report = report_of(nn.Linear(4, 3, bias=False), shape=(1, 4), target=mine)
    stage = report.to_dict()["stages"][0]
    assert (stage["cost"]["memory_energy_pj"], stage["cost"]["energy_pj"]) == (None, None)
    multiply, add = math.sqrt(0.2 * 3.1), 0.05
    weights = 4 * 3 * 16 * 1300 / 64  # from DRAM, 64 bits in 1,300 pJ; the inputs' 4 x 16 bits are unknown
    known = stage["cost_known"]
    assert known["memory_energy_pj"] == pytest.approx(weights)
    assert known["energy_pj"] == pytest.approx(12 * multiply + 12 * add + weights)
    assert stage["unpriced"] == {"memory traffic": 4 * 16}
    assert report.unpriced == ("memory traffic energy",)


def test_what_does_not_go_through_an_unknown_memory_is_known(tmp_path):
    mine = tmp_path / "mine.toml"
    text = (cost_models_dir() / "asic-45nm.toml").read_text()
    mine.write_text(text.replace('activations = "sram-1MB"', 'activations = "unknown"'))
    cost = report_of(nn.ReLU(), shape=(1, 4), target=mine).to_dict()["stages"][0]["cost"]
    assert cost["memory_energy_pj"] == 0  # nothing is stored
    assert cost["energy_pj"] == pytest.approx(4 * 0.05)  # four selects, priced as adders


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [(9e5, 4.5e6, "0.9-4.5 uJ"), (0.0, 0.5, "0-0.5 pJ"), (None, 1.0, ""), (1.0, None, "")],
)
def test_energy_interval(low, high, text):
    assert quantity.energy_interval(low, high) == text


def test_amount_interval():
    assert quantity.amount_interval(53307.2, 89690) == "53,307-89,690"
    assert quantity.amount_interval(None, 1) == ""


# data


def test_to_dict_is_json_without_infinities():
    data = report_of().to_dict()
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert FORMATS.get("json")([report_of()], View()) == json.dumps(data, indent=2) + "\n"


def test_rewrites_are_told_with_their_reasons():
    entries = report_of().to_dict()["rewrites"]
    assert {e["stage"] for e in entries} <= set(STAGES)
    (slopes,) = [e for e in entries if e["rule"] == "quantise-slopes"]
    assert (slopes["fired"], slopes["exact"], slopes["layer"]) == (True, True, "prelu")
    (scale,) = [e for e in entries if e["rule"] == "scale-to-shift"]
    assert not scale["fired"]
    assert "4 of 4 factors are no power of two" in scale["detail"]


def test_lossy_rewrites_tell_their_error():
    report = report_of(rewriting=RewriteOptions(weight_scale="po2"))
    (entry,) = [e for e in report.to_dict()["rewrites"] if e["fired"] and not e["exact"]]
    assert 0 < entry["error"] < 1  # of the scales, relative
    assert entry["error_unit"]
    assert f"{entry['error']:.3g}" in drawn(report, width=200)


def test_every_format_is_registered_once():
    assert FORMATS.names() == ["csv", "html", "json", "md", "rich", "tex"]
    assert GRAPH_FORMATS.names() == ["dot", "graphml", "json"]
    with pytest.raises(
        UnknownName,
        match=r"no report format 'jsn'; did you mean 'json'\? \(known: csv, html, json, md, rich, tex\)",
    ):
        FORMATS.get("jsn")


# drawings


def test_all_stages_if_there_is_room_else_the_ends():
    wide, narrow = (drawn(report_of(), width=width) for width in (120, 80))
    heads = [re.search(r"^ class .*$", text, re.MULTILINE)[0].split() for text in (wide, narrow)]
    assert heads == [["class", *STAGES, "change"], ["class", STAGES[0], STAGES[-1], "change"]]


def test_surviving_multiplications_are_named():
    """The scales of the binary convolution are no powers of two: one product per output is left."""
    text = drawn(report_of(), width=120)
    left = 4 * 6 * 6
    assert f"Surviving multiplications at add_and_bit: {left} " in " ".join(text.split())
    assert re.search(rf"^ weight_scale +{left} +conv$", text, re.MULTILINE)
    assert "no multiplication is left" not in text


class TwoSlopes(nn.Module):
    """Two layers of power-of-two slopes, with four and two channels."""

    def __init__(self):
        super().__init__()
        self.first, self.second = QuantizedPReLU(4), QuantizedPReLU(2)
        with torch.no_grad():
            self.first.L_alpha.copy_(torch.tensor([-3.0, -1.4, 0.0, -2.6]))  # -3, -1, 0, -3
            self.second.L_alpha.fill_(-3)

    def forward(self, x):
        return self.second(self.first(x)[:, :2])


def test_histogram_of_slope_exponents():
    report = report_of(TwoSlopes(), (1, 4, 1, 1))
    assert report.to_dict()["slope_exponents"] == {
        "total": {"-3": 4, "-1": 1, "0": 1},
        "layers": {"first": {"-3": 2, "-1": 1, "0": 1}, "second": {"-3": 2}},
    }
    text = drawn(report)
    assert "Slopes below zero, 2**e: 6 channels of 2 layers" in text
    rows = [line.split() for line in text.splitlines() if re.match(r" +-?\d+ +\d+ +[\d.]+ %", line)]
    assert [row[:3] for row in rows] == [
        ["-3", "4", "66.7"], ["-2", "0", "0.0"], ["-1", "1", "16.7"], ["0", "1", "16.7"],
    ]  # fmt: skip
    assert [len(row[4]) if len(row) > 4 else 0 for row in rows] == [30, 0, 8, 8]  # bars
    assert "a layer selects among up to 3" in text


def test_no_histogram_without_power_of_two_slopes():
    report = report_of(nn.PReLU(4), (1, 4, 1, 1), rewriting=RewriteOptions())
    assert report.to_dict()["slope_exponents"]["total"] == {"-2": 4}  # nn.PReLU starts at 1/4
    report = report_of(nn.ReLU(), (1, 4, 1, 1))
    assert report.to_dict()["slope_exponents"] == {"total": {}, "layers": {}}
    assert "Slopes below zero" not in drawn(report)


def test_no_survivor_is_said_so():
    text = drawn(report_of(rewriting=RewriteOptions(weight_scale="po2")), width=120)
    assert "No multiplication survives." in text
    assert "no multiplication is left" in text
    assert "Surviving multiplications" not in text


def test_exactness_and_errors_are_shown():
    plain = drawn(report_of(), width=120)
    assert re.search(r"^ rewrites to this stage +exact +exact +exact$", plain, re.MULTILINE)
    assert "max |error|" not in plain
    checked = drawn(report_of(verify=True), width=120)
    assert re.search(r"^ max \|error\| vs stage before +\S+ +0 +0 +0$", checked, re.MULTILINE)
    lossy = drawn(report_of(rewriting=RewriteOptions(weight_scale="po2")), width=120)
    assert re.search(r"^ rewrites to this stage +exact +exact +lossy$", lossy, re.MULTILINE)


def test_conventions_and_version_of_the_table_are_in_a_full_report():
    report = report_of(target="asic-45nm")
    text = " ".join(drawn(report, width=200, detail="full").split())
    for line in CONVENTIONS:
        assert " ".join(line.split()) in text
    for primitive, reason in FREE.items():  # zero is a claim with its reason
        assert f"Free: {primitive.value}: {reason}." in text
    assert (
        f"Table asic-45nm ({report.table.title}; {report.table.node}; version {report.table.digest})" in text
    )
    assert report.to_dict()["conventions"] == list(CONVENTIONS)


def test_long_tables_are_cut_and_say_so():
    model = nn.Sequential(*[nn.Conv2d(1, 1, 1, bias=False) for _ in range(65)])
    text = drawn(report_of(model, shape=(1, 1, 2, 2)), by="layer", width=120)
    rows = re.findall(r"^ (\d+) +4 +4 +", text, re.MULTILINE)  # one product per pixel, before and after
    assert rows == [str(number) for number in range(60)]
    assert "5 more rows: --format csv or --by block" in text


def test_names_are_no_markup_and_no_escape():
    class Loud(nn.Module):
        def __init__(self):
            super().__init__()
            self.add_module("[red]x[/red]:smile:", nn.Conv2d(4, 1, 1))

        def forward(self, x):
            return next(iter(self.children()))(x)

    text = drawn(report_of(Loud()), by="layer", width=120)
    assert re.search(r"^ \[red\]x\[/red\]:smile: ", text, re.MULTILINE)
    assert "\x1b" not in drawn(report_of(Loud()), width=120)


@pytest.mark.parametrize("width", [40, 61, 96, 100, 300])
@pytest.mark.parametrize("by", ["layer", "block", "kind"])
def test_no_line_is_wider_than_the_view(width, by):
    lines = drawn(report_of(target="asic-45nm"), width=width, by=by).splitlines()
    assert max(map(len, lines)) <= width
    assert not any(line.endswith(" ") for line in lines)


def test_colour_only_marks():
    report = report_of()
    coloured = drawn(report, colour=True)
    assert "\x1b[" in coloured
    plain = [line.rstrip() for line in re.sub(r"\x1b\[[0-9;]*m", "", coloured).splitlines()]
    assert plain == drawn(report).splitlines()


def test_several_targets_share_the_counts():
    reports = [report_of(target=name) for name in ("fpga-lut6", "asic-45nm")]
    text = FORMATS.get("rich")(reports, View(width=120))
    assert text.count("Operations of one inference") == 1
    for name in ("fpga-lut6", "asic-45nm"):
        assert text.count(f"Cost on {name}") == 1
        assert text.count(f"Units instantiated on {name}") == 1


def test_figures_that_a_cost_rests_on_are_named_with_their_confidence():
    report = report_of(target="asic-7nm")
    found = {(f["unit"], f["field"]): f for f in report.to_dict()["figures"]}
    # Jouppi's 32-bit multiplication is quoted from memory (asic_jouppi2021_7nm.csv), and 16 bits rests on it
    assert found["multiply", "energy_pj"]["confidence"] == "from memory"
    assert found["multiply", "energy_pj"]["sources"] == ["jouppi"]
    assert not any(unit in ("sign", "shift_constant") for unit, _ in found)  # free: no figure is used
    assert "figures from memory: add energy_pj" in " ".join(drawn(report, width=200, detail="full").split())
