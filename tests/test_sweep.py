"""Sweeps: every combination is a row that agrees with an analysis of its own, and the front is what none beats."""

from __future__ import annotations

import csv
import io
import json
import re
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import abcost
import abcost.sweeping.run as sweeping
from abcost.cli import run
from abcost.html.still import still
from abcost.sweeping.chart import pareto
from abcost.sweeping.format import SWEEP_FORMATS
from abcost.sweeping.front import QUANTITIES, front, quantity, usual_axes
from abcost.sweeping.row import ACCELERATOR, LANES, SweepRow

NETS = ("reactnet_18,base_width=4", "birealnet_18,base_width=4")
TINY = {"preset": "digits", "blocks": (1,)}
OPTIONS = ("--preset", "digits", "--blocks", "1")
TARGETS, WIDTHS = ("fpga-lut6", "asic-45nm"), (12, 16)
DEVICES, RATES = ("xc7z020", "LFE5U-85F"), (1000.0, 1e8)


@pytest.fixture(scope="module")
def priced():
    """Two networks, two targets, two widths, no device."""
    return abcost.sweep(NETS, TARGETS, widths=WIDTHS, **TINY)


@pytest.fixture(scope="module")
def sized():
    """Two networks on two devices, at a rate that is reached and at one that is not."""
    return abcost.sweep(NETS, device=DEVICES, fps=RATES, **TINY)


def command(capsys, *arguments):
    status = run(["sweep", *map(str, arguments)])
    out, err = capsys.readouterr()
    return status, out, err


def error_of(capsys, *arguments):
    status, out, err = command(capsys, *arguments)
    assert (status, out) == (2, "")
    (line,) = [text for text in err.splitlines() if text.startswith("error: ")]
    return line


# rows


def test_there_is_a_row_per_combination_in_order(priced, sized):
    keys = [(row.model, row.target, row.width_bits) for row in priced.rows]
    assert keys == list(product(NETS, TARGETS, WIDTHS))
    keys = [(row.model, row.device, row.wanted_fps) for row in sized.rows]
    assert keys == list(product(NETS, DEVICES, RATES))
    assert {(row.device, row.target) for row in sized.rows} == {
        ("xc7z020", "fpga-lut6"), ("LFE5U-85F", "fpga-ecp5"),
    }  # fmt: skip


def test_what_is_given_twice_is_swept_once():
    found = abcost.sweep([NETS[0]] * 2, ["fpga-lut6"] * 2, widths=[16, 16], **TINY)
    assert len(found.rows) == 1


def test_rows_of_lanes_are_those_of_an_analysis(priced):
    row = next(
        row for row in priced.rows if (row.model, row.target, row.width_bits) == (NETS[1], "fpga-lut6", 12)
    )
    report = abcost.analyze("birealnet_18", "fpga-lut6", width=12, base_width=4, **TINY)
    first, last = report.to_dict()["stages"][0], report.to_dict()["stages"][-1]
    cost = last["cost"]
    assert (row.answer, row.why, row.resources_of) == ("priced", "", LANES)
    assert (row.luts, row.ffs, row.dsps) == (cost["luts"], cost["ffs"], cost["dsps"])
    assert row.area_um2 is None
    assert (row.fps, row.clock_mhz, row.device, row.wanted_fps) == (None,) * 4  # no clock is assumed
    assert row.energy_uj == cost["energy_pj"] / 1e6
    assert row.energy_uj_low == last["cost_low"]["energy_pj"] / 1e6
    assert row.energy_uj_high == last["cost_high"]["energy_pj"] / 1e6
    assert row.cycles == last["lanes"]["cycles"]
    assert row.macs == report.to_dict()["macs"]["total"]
    assert (row.multiplications_traced, row.multiplications) == (
        first["ops"]["multiply"],
        last["ops"]["multiply"],
    )
    assert row.weight_kib == cost["weight_bits"] / 8 / 1024


@pytest.mark.parametrize("rate", RATES)
def test_rows_of_accelerators_are_those_of_an_analysis(sized, rate):
    row = next(
        row for row in sized.rows if (row.model, row.device, row.wanted_fps) == (NETS[0], "xc7z020", rate)
    )
    report = abcost.analyze("reactnet_18", device="xc7z020", fps=rate, base_width=4, **TINY)
    found = report.stages[-1].organisation.to_dict()
    assert row.resources_of == ACCELERATOR
    for name in ("luts", "ffs", "dsps", "blocks", "uram"):
        assert getattr(row, name) == found["resources"][name]
    for name in ("fps", "latency_ms", "clock_mhz", "clock_met"):
        assert getattr(row, name) == found[name]
    assert row.fmax_mhz == found["fmax_mhz"]["value"]
    assert (row.energy_uj, row.energy_uj_low) == (found["energy_uj"]["value"], found["energy_uj"]["low"])
    shares = {name: share for name, share in found["utilisation"].items() if share is not None}
    assert row.device_share == max(shares.values()) == shares[row.scarcest]
    assert row.answer == ("yes" if found["fits"] else "no")
    assert bool(row.why) == (rate == RATES[1])
    if row.why:
        assert row.why.startswith("1e+08 frames per second at 100 MHz are not reached: at most ")


def test_what_cannot_be_is_a_row_that_says_why(tmp_path):
    folding = tmp_path / "folding.json"
    folding.write_text('{"schema": 1, "layers": {"nowhere": {"pe": 1, "simd": 1}}}')
    found = abcost.sweep(NETS[0], TARGETS, device=DEVICES, folding=folding, **TINY)
    why = {(row.target, row.device): row.why for row in found.rows}
    assert all(row.answer == "impossible" for row in found.rows)
    assert "nowhere" in why["fpga-lut6", "xc7z020"]
    assert (
        why["fpga-lut6", "LFE5U-85F"] == "device LFE5U-85F is ECP5, whose target is fpga-ecp5, not fpga-lut6"
    )
    assert why["asic-45nm", "xc7z020"].startswith("device and fps size an FPGA, target asic-45nm is not one")
    assert all(row.luts is None and row.fps is None and row.energy_uj is None for row in found.rows)
    assert all(row.macs for row in found.rows)  # which the network has all the same
    assert found.front == ()


def test_a_folding_is_one_of_what_is_swept(tmp_path):
    searched = abcost.sweep(NETS[0], device="xc7z020", fps=1000, **TINY).rows[0]
    report = abcost.analyze("reactnet_18", device="xc7z020", fps=1000, base_width=4, **TINY)
    layer = next(layer for layer in report.stages[-1].organisation.layers if layer.simd > 1)
    folding = tmp_path / "folding.json"
    folding.write_text(json.dumps({"schema": 1, "layers": {layer.name: {"pe": 1, "simd": 1}}}))
    (row,) = abcost.sweep(NETS[0], device="xc7z020", fps=1000, folding=[folding], **TINY).rows
    assert row.folding == str(folding)
    assert row.cycles >= searched.cycles  # one product per cycle in that layer


class Reads(nn.Module):
    """Reads a value that no recording tensor has, in a way that no seed helps."""

    def forward(self, x):
        return x[: int(x.sum().isnan())].reshape(3, 7)


def test_a_model_that_cannot_be_analysed_does_not_stop_the_others():
    found = abcost.sweep([Reads(), nn.Conv2d(1, 2, 3)], TARGETS, input_shape=(1, 1, 5, 5))
    assert [row.answer for row in found.rows] == ["impossible"] * 2 + ["priced"] * 2
    assert all(row.why and row.macs is None for row in found.rows[:2])
    assert found.rows[2].macs == 9 * 2 * 3 * 3  # taps x filters x positions


def test_a_network_is_traced_once(monkeypatch):
    traced = []
    stage_graphs = sweeping.stage_graphs

    def counted(model, *more):
        traced.append(model)
        return stage_graphs(model, *more)

    monkeypatch.setattr(sweeping, "stage_graphs", counted)
    found = abcost.sweep(NETS, TARGETS, widths=(8, *WIDTHS), **TINY)
    assert len(found.rows) == 2 * 2 * 3
    assert len(traced) == 2


def test_progress_tells_how_many_rows_are_done():
    from abcost.api.sweep import swept

    said = []
    swept(
        NETS, TARGETS, [], WIDTHS, [], [], clock_mhz=None, axes=[], options=TINY,
        progress=lambda *now: said.append(now),
    )  # fmt: skip
    assert said == [*((n, NETS[0]) for n in range(5)), *((n, NETS[1]) for n in range(4, 9))]


# the front


def row(model="net", answer="yes", target="fpga-lut6", **values):
    return SweepRow(model, target, None, 16, None, None, answer, **values)


AXES = (QUANTITIES["fps"], QUANTITIES["luts"])


def test_the_front_by_hand():
    slow, fast = row(fps=10.0, luts=100.0), row(fps=20.0, luts=200.0)
    beaten, equal = row(fps=10.0, luts=101.0), row(fps=20.0, luts=200.0)
    refused, unknown = row(answer="no", fps=99.0, luts=1.0), row(fps=50.0)
    assert front([fast, beaten, refused, slow, unknown, equal], AXES) == (slow, fast, equal)


def test_networks_are_judged_by_themselves_but_by_their_size():
    small, large = row("small", macs=5, fps=20.0, luts=50.0), row("large", macs=9, fps=10.0, luts=80.0)
    assert front([small, large], AXES) == (large, small)  # in order of frames per second
    waste = row("waste", macs=9, luts=90.0)
    assert front([small, large, waste], (QUANTITIES["macs"], QUANTITIES["luts"])) == (small, large)


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(1, 6)), max_size=12))
def test_what_is_not_on_the_front_is_beaten_by_what_is(points):
    rows = [row(fps=float(x), luts=float(y)) for x, y in points]
    best = front(rows, AXES)
    for one in rows:
        beats = [b for b in best if b.fps >= one.fps and b.luts <= one.luts and b != one]
        assert (one in best) == (not beats)


def test_axes_are_what_the_rows_have():
    names = lambda rows: tuple(axis.name for axis in usual_axes(rows))  # noqa: E731
    assert names([row(resources_of=ACCELERATOR)]) == ("fps", "luts")
    assert names([row(macs=1, energy_uj=1.0, luts=3.0)]) == ("macs", "energy_uj")
    assert names([row(macs=1, luts=3.0)]) == ("macs", "luts")
    assert names([row(macs=1, area_um2=3.0)]) == ("macs", "area_um2")
    assert names([row(macs=1)]) == ("macs", "multiplications")
    with pytest.raises(abcost.AbcostError, match="no axis of a sweep 'energy'; did you mean 'energy_uj'"):
        quantity("energy")


def test_every_axis_is_a_column_with_a_unit():
    assert set(QUANTITIES) <= set(abcost.sweep(nn.Conv2d(1, 1, 1), input_shape=(1, 1, 1, 1)).to_frame())
    assert all(one.title and one.unit for one in QUANTITIES.values())


def test_luts_of_two_fabrics_are_not_alike():
    six, four = row(fps=1.0, luts=1.0), row(target="fpga-ecp5", fps=1.0, luts=2.0)
    assert front([six, four], AXES) == (four, six)  # the least LUTs last
    spent = row(fps=1.0, energy_uj=1.0), row(target="fpga-ecp5", fps=1.0, energy_uj=2.0)
    assert front(spent, (QUANTITIES["fps"], QUANTITIES["energy_uj"])) == spent[:1]


# forms


def test_a_sweep_is_short_where_it_is_shown(priced, sized):
    for found in (priced, sized):
        assert re.fullmatch(r"<Sweep of 2 models: 8 combinations, \d on the front, 0 impossible; \.summary\(\)>",
                            repr(found))  # fmt: skip
        assert len(found.summary().splitlines()) <= 12
        assert found._repr_html_().count("<tr>") == 1 + 8
    assert sized.summary().startswith(
        "8 combinations: 4 yes, 4 no.\nNot beaten by a design of the same model and target in "
    )
    assert priced.summary().startswith(
        "8 combinations: 8 priced.\nNot beaten in multiply-accumulates per inference"
    )


def test_names_are_text_in_html():
    found = abcost.sweep(type("<b>", (nn.ReLU,), {})(), TARGETS, input_shape=(1, 1))
    assert "<b>" not in found._repr_html_() + found.to_html()


def test_csv_is_the_frame_and_json_knows_null(priced, capsys):
    rows = list(csv.DictReader(io.StringIO(priced.to_csv())))
    frame = priced.to_frame()
    assert list(rows[0]) == list(frame)
    assert [r["macs"] for r in rows] == [str(r.macs) for r in priced.rows]  # whole numbers stay whole
    assert {r["fps"] for r in rows} == {""}
    assert list(frame["front"]) == [r in priced.front for r in priced.rows]
    status, out, err = command(
        capsys, *NETS, *OPTIONS, "-t", TARGETS[0], "-t", TARGETS[1], "--widths", "12,16", "--format", "json"
    )
    assert status == 0
    assert json.loads(out) == priced.to_dict()
    assert json.loads(out)["rows"][0]["fps"] is None
    assert err.splitlines() == [f"sweep: {NETS[0]}, row 1 of 8", f"sweep: {NETS[1]}, row 5 of 8"]


@pytest.mark.parametrize("columns", [60, 80, 100, 200])
def test_the_table_breaks_no_name_and_no_number(sized, columns):
    from abcost.report.format import View

    text = SWEEP_FORMATS.get("console")(sized, View(width=columns))
    table = text.partition("\n(1)")[0]
    assert max(map(len, text.splitlines())) <= columns
    assert "xc7z020" in table
    assert "LFE5U-85F" in table
    assert f"{sized.rows[0].fps:,.0f}" in table
    assert "no (1)" in table
    assert f"(1) {sized.rows[1].why}" in " ".join(text.split())
    if columns <= 80:
        assert f"left out at {columns} columns: " in table


def test_files_are_what_their_suffix_says(priced, tmp_path):
    starts = {
        "csv": b"model,", "json": b"{", "html": b"<!DOCTYPE", "txt": b"8 combinations", "svg": b"<?xml",
        "png": b"\x89PNG", "pdf": b"%PDF",
    }  # fmt: skip
    for suffix, start in starts.items():
        priced.save(tmp_path / f"sweep.{suffix}")
        assert (tmp_path / f"sweep.{suffix}").read_bytes().startswith(start)
    with pytest.raises(abcost.AbcostError, match=r"sweep\.doc: name a file that ends in \.csv"):
        priced.save(tmp_path / "sweep.doc")


def test_the_chart_has_units_and_a_step_for_each_network(sized):
    chart = pareto(sized.rows, sized.front, sized.axes)
    assert chart.layout["xaxis"]["title"]["text"] == "frames/s (more is better)"
    assert chart.layout["yaxis"]["title"]["text"] == "LUTs (less is better)"
    drawn = [trace for trace in chart.data if trace["mode"] == "markers"]
    assert sum(len(trace["x"]) for trace in drawn) == len(sized.rows)
    kept = [trace for trace in drawn if not trace["marker"]["symbol"].endswith("-open")]
    assert sum(len(trace["x"]) for trace in kept) == sum(row.answer == "yes" for row in sized.rows)
    assert still([chart], "two networks", "svg").startswith(b"<?xml")


def test_an_axis_over_decades_is_a_logarithm():
    rows = [row(fps=1.0, luts=100.0), row(fps=10.0, luts=200.0)]
    layout = pareto(rows, rows, AXES).layout
    assert layout["xaxis"]["type"] == "log"
    assert "type" not in layout["yaxis"]
    line = pareto(rows, rows, AXES).data[0]
    assert (line["x"], line["y"], line["line"]["shape"]) == ([1.0, 10.0], [100.0, 200.0], "vh")


# the command


def test_the_command_writes_the_file_and_the_picture(capsys, tmp_path):
    page, picture = tmp_path / "sweep.html", tmp_path / "sweep.svg"
    options = (*OPTIONS, "--device", "xc7z020", "--device", "ice40up5k", "-t", "fpga-lut6", "--fps", "1000")
    status, out, err = command(capsys, NETS[0], *options, "-o", page, "--plot", picture, "--size", "3.5x2.5")
    assert (status, out) == (0, "")  # what is impossible is an answer
    assert "device iCE40UP5K is iCE40, whose target is fpga-ice40, not fpga-lut6" in page.read_text()
    assert picture.read_bytes().startswith(b"<?xml")
    assert err.splitlines()[-1] == "1 of 2 combinations are impossible; the column why says why"


def test_axes_and_clock(capsys):
    options = (*OPTIONS, "--device", "xc7z020", "--clock-mhz", "max", "--axes", "latency_ms,energy_uj")
    status, out, _ = command(capsys, NETS[0], *options, "--format", "json")
    found = json.loads(out)
    assert status == 0
    assert [axis["name"] for axis in found["axes"]] == ["latency_ms", "energy_uj"]
    (only,) = found["rows"]
    assert only["clock_met"] is True
    assert only["clock_mhz"] > 100  # as slow a clock is met by any part of 7-series


WRONG = [
    (["reactnet_19"], "no model 'reactnet_19'; did you mean 'reactnet_18'?"),
    ([NETS[0], "-t", "fpga-lut7"], "no target 'fpga-lut7'; did you mean 'fpga-lut6'?"),
    ([NETS[0], "--device", "xc7z02"], "no device 'xc7z02'; did you mean 'xc7z020'?"),
    ([NETS[0], "--widths", "12,x"], "--widths '12,x' is not a list of whole numbers such as 12,16"),
    ([NETS[0], "--widths", "1"], "--widths 1 is not between 2 and 64 bits"),
    ([NETS[0], "--fps", "fast"], "--fps 'fast' is not a list of numbers such as 30,100"),
    ([NETS[0], "--fps", "0"], "--fps must be at least 1e-06"),
    ([NETS[0], "--clock-mhz", "50"], "size an accelerator: add --device or --fps"),
    ([NETS[0], "--folding", "none.json"], "size an accelerator: add --device or --fps"),
    ([NETS[0], "--device", "xc7z020", "--folding", "none.json"], "none.json"),
    ([NETS[0], "--axes", "fps"], "--axes takes two different quantities, such as fps,luts; got fps"),
    ([NETS[0], "--axes", "fps,lots"], "no axis of a sweep 'lots'; did you mean 'luts'?"),
    ([NETS[0], "--size", "2x2"], "--size does nothing without --plot: leave it out"),
    ([NETS[0], "--plot", "a.doc"], "name a file that ends in .svg, .png, .pdf"),
    ([NETS[0], "--format", "xml"], "no format of sweeps 'xml'"),
    ([f"{NETS[0]},width=12"], "reactnet_18: width is swept: say --widths instead of width=…"),
    ([f"{NETS[0]},weights=external"], "reactnet_18: weights is of all models of a sweep: leave it out"),
    ([f"{NETS[0]},depth=3"], "no option of 'reactnet_18' 'depth'"),
    (["reactnet_18,base_width=two"], "reactnet_18: base_width=two is not a number"),
    ([], "Missing argument"),
]


@pytest.mark.parametrize(("arguments", "reason"), WRONG)
def test_wrong_use_is_status_2(capsys, monkeypatch, tmp_path, arguments, reason):
    monkeypatch.chdir(tmp_path)
    assert reason in error_of(capsys, *arguments)
    assert list(tmp_path.iterdir()) == []
