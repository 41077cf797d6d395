"""`abcost calibrate` with a synthesizer that only pretends, and the laws it fits, on points with known answers."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

import fake_yosys
from abcost.calibrate.fit import Box, Boxes, Interpolated, Pieces, Terms
from abcost.calibrate.measure import measure
from abcost.calibrate.plan import plan
from abcost.calibrate.point import Measured, Point
from abcost.calibrate.points import points_csv
from abcost.calibrate.residual import residual
from abcost.calibrate.rising import isotonic
from abcost.calibrate.run import calibrate, jobs_count, load_text
from abcost.calibrate.table import Provenance
from abcost.calibrate.targets import TARGETS
from abcost.cli import run
from abcost.cost.formula import Formula
from abcost.cost.table import CostTable
from abcost.errors import ToolError
from abcost.synth import tools
from abcost.synth.flows import flow
from abcost.synth.runner import Synthesizer
from abcost.synth.tools import Yosys

TINY = Path(__file__).parent / "data" / "tiny.lib"
PROVENANCE = Provenance("fake 1", "a flow", "abcost calibrate somewhere", "points/somewhere.csv")


@dataclass(frozen=True)
class Fake(Yosys):
    """The pretender without a process. `edit` may change a module's statistics, or raise."""

    edit: Callable[[str, dict[str, int]], None] = lambda _module, _cells: None
    started: list[str] = field(default_factory=list)

    def run(self, script, folder):
        verilog = (folder / "unit.v").read_text()
        module, cells = fake_yosys.top_of(verilog), fake_yosys.cells_of(verilog)
        self.started.append(module)
        self.edit(module, cells)
        (folder / "stat.json").write_text(fake_yosys.statistics(verilog, cells))


def fake(edit=lambda _module, _cells: None) -> Fake:
    return Fake("yosys", (), "9.9", edit)


def failing(*modules: str):
    """An edit that crashes on some modules."""

    def edit(module, _cells):
        if module in modules:
            raise ToolError("Yosys failed with status 1: ERROR: too hard")

    return edit


def small(*ops: str):
    """A target with these units only."""
    return replace(TARGETS["fpga-ice40"], ops=ops)


# --- the command


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """Runs `abcost calibrate` with a pretender and a cache of its own -> status, stdout, stderr."""

    def start(*arguments, yosys=None, cache="cache"):
        monkeypatch.setattr(tools, "find_yosys", lambda _kind=None: yosys or fake())
        status = run(["calibrate", *arguments, "--cache", str(tmp_path / cache)])
        said = capsys.readouterr()
        return status, said.out, said.err

    monkeypatch.chdir(tmp_path)
    return start


def errors_of(err: str) -> list[str]:
    return [line for line in err.splitlines() if line.startswith("error: ")]


def test_second_run_starts_nothing_and_changes_nothing(command, tmp_path):
    yosys = fake()
    arguments = ("fpga-ice40", "--quick", "--output", "mine.toml")
    first = command(*arguments, yosys=yosys)
    assert first[0] == 0
    files = [tmp_path / "mine.toml", tmp_path / "points" / "mine.csv"]  # the points beside the table
    before = [file.read_bytes() for file in files]
    assert len(yosys.started) == len(set(yosys.started)) == jobs_count(TARGETS["fpga-ice40"], quick=True)
    second = command(*arguments, yosys=yosys)
    assert second == first
    assert [file.read_bytes() for file in files] == before
    assert len(yosys.started) == jobs_count(TARGETS["fpga-ice40"], quick=True)
    # nor does it matter where answers are kept and how many are made at once
    assert command(*arguments, "--jobs", "1", cache="other")[0] == 0
    assert [file.read_bytes() for file in files] == before


def test_table_says_where_it_is_from(command, tmp_path):
    status, out, err = command("fpga-ice40", "--quick")
    assert status == 0
    assert "using yosys 9.9" in err
    assert "wrote fpga-ice40-quick.toml and points/fpga-ice40-quick.csv" in err
    file = (
        tmp_path / "fpga-ice40-quick.toml"
    )  # where --quick writes, so that it does not replace the full table
    text = file.read_text()
    table = CostTable.load(file)
    (source,) = table.sources.values()
    assert "iCE40" in source.title
    assert source.title.endswith("yosys 9.9")
    assert source.where == "abcost calibrate fpga-ice40 --quick; raw points points/fpga-ice40-quick.csv"
    assert not re.search(r"20\d\d|\d\d:\d\d|Nov|Dec", text)  # no date, no time
    assert str(tmp_path) not in text
    # the pretender gives an adder one LUT per bit of its ports: two inputs of w, sum of w or w + 1 bits
    bits = {w: fake_yosys.cells_of(Point("add", {}, {"width": w}).unit.source)["SB_LUT4"] for w in (8, 22)}
    for width, luts in bits.items():
        assert table.price("add", width=width).cost.luts == pytest.approx(luts)
        assert table.price("add", width=width).cost.dsps == 0
    assert "held out" in out
    assert "xnor_popcount" in out


def test_points_are_the_raw_measurements(command, tmp_path):
    command("fpga-ice40", "--quick", "--output", "t.toml")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "points" / "t.csv").read_text())))
    assert len(rows) == jobs_count(TARGETS["fpga-ice40"], quick=True)
    found = {row["module"]: row for row in rows}
    unit = Point("signed_sum", {}, {"width": 8, "bits": 9}).unit
    row = found[unit.name]
    assert (row["unit"], row["width"], row["bits"], row["depth"], row["role"]) == (
        "signed_sum", "8", "9", "", "fit",
    )  # fmt: skip
    assert float(row["luts"]) == sum(port.bits for port in (*unit.inputs, *unit.outputs))
    assert {row["role"] for row in rows if row["unit"] == "add" and row["width"] == "10"} == {"held out"}


def test_failed_points_are_named_and_the_others_kept(command, tmp_path):
    """Of adders the widest point fails, so that a held-out one lies beyond what is left."""
    yosys = fake(failing("add_w32", "mux_w8"))
    status, _, err = command("fpga-ice40", "--quick", "--output", "t.toml", yosys=yosys)
    assert status == 1
    assert errors_of(err) == []
    assert [line for line in err.splitlines() if line.startswith("failed: ")] == [
        "failed: add_w32: Yosys failed with status 1: ERROR: too hard",
        "failed: mux_w8: Yosys failed with status 1: ERROR: too hard",
    ]
    table = CostTable.load(tmp_path / "t.toml")
    assert table.price("mux", width=8).cost.luts == pytest.approx(3 * 8 + 1)  # by the law of the others
    assert "1 beyond the range" in (tmp_path / "t.toml").read_text()
    rows = (tmp_path / "points" / "t.csv").read_text().splitlines()
    assert len(rows) == 1 + jobs_count(TARGETS["fpga-ice40"], quick=True) - 2
    # the next run tries these two again, and only these
    mended = fake()
    status, _, _ = command("fpga-ice40", "--quick", "--output", "t.toml", yosys=mended)
    assert status == 0
    assert sorted(mended.started) == ["add_w32", "mux_w8"]


def test_a_synthesizer_that_always_crashes(command, tmp_path):
    def crash(_module, _cells):
        raise ToolError("Yosys failed with status 139: Segmentation fault")

    status, out, err = command("fpga-ice40", "--quick", "--output", "t.toml", yosys=fake(crash))
    points = len(plan(["multiply"], quick=True)[0].points)
    assert (status, out) == (2, "")
    assert errors_of(err) == [
        "error: multiply: 0 points are too few to fit a law "
        f"(multiply_w2: Yosys failed with status 139: Segmentation fault; {points - 1} more failed)"
    ]
    assert not (tmp_path / "t.toml").exists()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["asic-osu018"], "asic-osu018 needs the standard cells: --liberty FILE.lib"),
        (["asic-osu018", "--liberty", "none.lib", "--output", "t.toml"], "none.lib"),
        (
            ["asic-osu018", "--liberty", str(TINY)],
            f"{TINY.name} is not the library of asic-osu018 (osu018_stdcells.lib); name a table of its own",
        ),
        (["fpga-ice40", "--liberty", str(TINY)], "fpga-ice40 has no standard cells"),
        (["fpga-ice40", "--jobs", "0"], "--jobs must be at least 1, got 0"),
        (["fpga-ice4"], "did you mean 'fpga-ice40'"),
        (["fpga-ice40", "--output", "nowhere/t.toml"], "there is no folder nowhere"),
        (["fpga-ice40", "--output", "taken/t.toml"], "taken/points must be a folder"),
    ],
)
def test_refused_before_the_long_part(command, tmp_path, arguments, reason):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "points").touch()
    yosys = fake()
    status, out, err = command(*arguments, "--quick", yosys=yosys)
    (error,) = errors_of(err)
    assert (status, out, yosys.started) == (2, "", [])
    assert reason in error
    assert "starting Yosys" not in err


@pytest.mark.parametrize("part", [0.1, 0.3, 0.5, 0.7, 0.97])
def test_truncated_liberty_file(command, tmp_path, part):
    text = TINY.read_text()
    cut = text[: int(part * len(text))]
    (tmp_path / "cut.lib").write_text(cut)
    yosys = fake()
    status, _, err = command(
        "asic-osu018", "--quick", "--liberty", "cut.lib", "--output", "t.toml", yosys=yosys
    )
    (error,) = errors_of(err)
    assert (status, yosys.started) == (2, [])
    found = re.fullmatch(
        r"error: cut\.lib:(\d+): the file ends inside .*: cut off; check the Liberty file", error
    )
    assert found, error
    assert int(found[1]) >= cut.count("\n")  # the last line or the one before
    assert "starting Yosys" not in err


def test_a_table_of_other_cells_says_which():
    mine = TARGETS["asic-osu018"].with_cells("mine", "other.lib")
    assert (mine.name, mine.title) == ("mine", "Standard cells of other.lib, measured by synthesis")
    assert "osu018" not in mine.node


def test_missing_tool(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", "")
    status = run(
        ["calibrate", "fpga-ice40", "--quick", "--yosys", "yosys", "--output", str(tmp_path / "t.toml")]
    )
    assert status == 2
    (error,) = errors_of(capsys.readouterr().err)
    assert "no yosys found; install the PyPI package with `pip install 'abcost[synth]'`" in error


# --- the recipe


def test_held_out_points_are_not_fitted(tmp_path):
    """Another answer for a held-out width moves its residual and no law."""
    target = small("add", "mux")
    held = next(p for p in plan(["add"], quick=True)[0].points if p.role == "held out")

    def wrong(module, cells):
        if module == held.unit.name:
            cells["SB_LUT4"] *= 2

    def laws(text):
        entries = text.split("[[entry]]")
        return [re.sub(r"^note = .*$", "", entry, flags=re.MULTILINE) for entry in entries]

    right, moved = (
        calibrate(target, Synthesizer(yosys, tmp_path / name), PROVENANCE, quick=True)
        for name, yosys in (("right", fake()), ("wrong", fake(wrong)))
    )
    assert laws(right.table) == laws(moved.table)
    fitted, heldout = right.residuals["add", "luts"]
    assert (fitted.worst, heldout.worst) == pytest.approx((0, 0), abs=1e-3)
    fitted, heldout = moved.residuals["add", "luts"]
    assert fitted.worst == pytest.approx(0, abs=1e-3)
    assert heldout.worst == pytest.approx(0.5, abs=1e-3)  # half of what was measured
    assert heldout.mean == pytest.approx(0.5 / heldout.points, abs=1e-3)
    assert right.points != moved.points
    assert f"held out {heldout}" in moved.table

    def wrong_everywhere(module, cells):
        cells["SB_LUT4"] *= 2

    other = calibrate(target, Synthesizer(fake(wrong_everywhere), tmp_path / "o"), PROVENANCE, quick=True)
    assert laws(right.table) != laws(other.table)  # fitted points do count


def test_every_unit_has_points_to_fit_and_to_hold_out():
    for quick in (True, False):
        for sweep in plan(TARGETS["fpga-lut6"].ops, quick=quick):
            fitted = {p.unit.name for p in sweep.points if p.role == "fit"}
            held = {p.unit.name for p in sweep.points if p.role == "held out"}
            assert len(fitted) >= 2, sweep.op
            assert held, sweep.op
            assert not fitted & held


def test_exact_laws_are_called_exact(tmp_path):
    found = calibrate(small("mux"), Synthesizer(fake(), tmp_path), PROVENANCE, quick=True)
    assert 'note = "exact at every measured point, held-out ones included"' in found.table
    assert found.failures == ()


def test_too_few_points_say_why(tmp_path):
    widths = [p.unit.name for p in plan(["mux"], quick=True)[0].points if p.role == "fit"]
    yosys = fake(failing(*widths[1:], "add_w2"))  # the adder's failure is not the reason
    with pytest.raises(ToolError) as caught:
        calibrate(small("mux", "add"), Synthesizer(yosys, tmp_path), PROVENANCE, quick=True, workers=1)
    assert str(caught.value) == (
        f"mux: 1 points are too few to fit a law ({widths[1]}: Yosys failed with status 1: ERROR: too hard; "
        f"{len(widths) - 2} more failed)"
    )


def test_measure_reports_progress_and_failures_in_order(tmp_path):
    points = [Point("mux", {"width": w}, {"width": w}) for w in (2, 3, 4)]
    seen = []
    found = measure(
        points,
        flow("ice40"),
        Synthesizer(fake(failing("mux_w3")), tmp_path),
        workers=2,
        done=lambda job: seen.append(job.name),
    )
    assert [(m.point.size["width"], m.values["luts"]) for m in found.measured] == [(2, 7.0), (4, 13.0)]
    assert [f.job.name for f in found.failures] == ["mux_w3"]
    assert sorted(seen) == ["mux_w2", "mux_w3", "mux_w4"]


def test_points_with_bounds_name_both_sides():
    m = Measured(
        Point("mux", {"width": 2}, {"width": 2}, "held out"),
        {"energy_pj": 2.0, "area_um2": 1 / 3},
        {"energy_pj": 1.0},
        {"energy_pj": 4.0},
    )
    (row,) = csv.DictReader(io.StringIO(points_csv([m])))
    assert {k: v for k, v in row.items() if v} == {
        "unit": "mux", "module": "mux_w2", "width": "2", "role": "held out",
        "energy_pj": "2", "area_um2": "0.333333", "low_energy_pj": "1", "high_energy_pj": "4",
    }  # fmt: skip


def test_residual_by_hand():
    """Laws say 2 * width; 10 %, 0 and 100 % off (less than one LUT counts as one), and one point out of range."""
    table = load_text(TABLE)
    measured = [
        Measured(Point("mux", {"width": w}, {}), {"luts": luts})
        for w, luts in ((5, 9.0909090909), (8, 16.0), (1, 0.5), (40, 80.0))
    ]
    found = residual(table, measured, "luts")
    assert (found.points, found.beyond) == (3, 1)
    assert found.worst == pytest.approx(1.5)
    assert found.mean == pytest.approx((0.1 + 0 + 1.5) / 3)
    assert str(found) == "3 points, mean 53.3%, worst 150.0%, 1 beyond the range"
    assert str(residual(table, [], "luts")) == "0 points, mean 0.0%, worst 0.0%"


TABLE = """
schema = 1
target = "t"
title = "t"
technology = "fpga"
node = "n"
default_width = 8
note = "n"

[[entry]]
op = "mux"
luts = "2 * width"
valid_width = [1, 32]
source = "s"
method = "measured"
confidence = "measured"
note = "n"

[source.s]
title = "t"
where = "w"
"""


# --- laws


def points(values, *, op="multiply", name="luts", over="width", low=None, high=None):
    """Measured points from size -> value."""
    return [
        Measured(
            Point(op, {over: size}, {}),
            {name: value},
            {name: low[size]} if low else {},
            {name: high[size]} if high else {},
        )
        for size, value in values.items()
    ]


def law(fitted, name="luts"):
    return fitted.laws[name].value


def at(fitted, size, name="luts", side="value"):
    return Formula.parse(getattr(fitted.laws[name], side)).at(size)


def test_terms_recover_a_line():
    (fitted,) = Terms(("width", "1")).fit(points({w: 2.0 * w + 3 for w in (2, 5, 8, 16)}))
    assert law(fitted) == "2 * width + 3"
    assert fitted.valid == {"width": (2, 16)}
    assert fitted.laws["luts"].low is None


def test_terms_recover_a_sum_over_two_sizes():
    measured = [
        Measured(Point("signed_sum", {"bits": n, "width": w}, {}), {"luts": 1.25 * n * w + 2 * n + 4})
        for n in (2, 9, 27)
        for w in (8, 16, 24)
    ]
    (fitted,) = Terms(("bits * width", "bits", "width", "1")).fit(measured)  # nothing for width alone
    assert law(fitted) == "1.25 * bits * width + 2 * bits + 4"
    assert fitted.valid == {"bits": (2, 27), "width": (8, 24)}


def test_terms_have_a_falling_term_left_out():
    """Falling points give a constant: their mean by relative error, never a law that falls."""
    (fitted,) = Terms(("width", "1")).fit(points({2: 9.0, 4: 8.0, 8: 7.0}))
    assert "width" not in law(fitted)
    assert 7 <= at(fitted, {}) <= 9


def test_negative_intercept_stops_at_zero():
    (fitted,) = Terms(("width", "1")).fit(points({w: w - 3.0 for w in (4, 8, 16)}))
    assert law(fitted) == "max(0, width - 3)"
    assert at(fitted, {"width": 2}) == 0


def test_bounds_are_fitted_like_the_value_and_hold_it():
    widths = (2, 4, 8)
    (fitted,) = Terms(("width",)).fit(
        points(
            {w: 2.0 * w for w in widths}, low={w: 1.0 * w for w in widths}, high={w: 5.0 * w for w in widths}
        )
    )
    assert [at(fitted, {"width": 10}, side=side) for side in ("low", "value", "high")] == [10, 20, 50]


def test_pieces_take_one_law_where_one_is_enough():
    (fitted,) = Pieces("width", (Terms(("width", "1")),)).fit(points({w: 2.0 * w + 3 for w in (2, 5, 8, 16)}))
    assert law(fitted) == "2 * width + 3"


def test_pieces_prefer_the_simpler_form():
    forms = (Terms(("width", "1")), Terms(("width ** 2", "width", "1")))
    (line,) = Pieces("width", forms).fit(points({w: 4.0 * w for w in (2, 5, 8, 16)}))
    assert law(line) == "4 * width"
    (square,) = Pieces("width", forms).fit(points({w: 1.0 * w * w for w in (4, 8, 16, 32)}))
    assert at(square, {"width": 20}) == pytest.approx(400, rel=0.01)


def test_pieces_split_where_dsps_take_over():
    """LUTs grow to width 18, fall to few and grow again as the product moves into DSPs."""
    measured = [
        Measured(
            Point("multiply", {"width": w}, {}),
            {"luts": 10.0 * w if w < 19 else 2.0 * w - 30, "dsps": 0.0 if w < 19 else 4.0},
        )
        for w in (4, 8, 12, 18, 20, 24, 28, 32)
    ]
    small, large = Pieces("width", (Terms(("width", "1")),)).fit(measured)
    assert (small.valid, large.valid) == ({"width": (4, 19)}, {"width": (20, 32)})
    assert (law(small), law(small, "dsps"), law(large, "dsps")) == ("10 * width", "0", "4")
    assert at(small, {"width": 18}) == 180  # not cut off: the points themselves fall
    assert at(large, {"width": 30}) == pytest.approx(30)


def test_a_piece_never_ends_above_the_next():
    """A line through the first points would be above what follows at the last width before it."""
    measured = points({2: 70.0, 4: 80.0, 8: 80.0, 10: 200.0, 12: 320.0})
    pieces = Pieces("width", (Terms(("width", "1")),)).fit(measured)
    assert len(pieces) > 1
    values = [
        at(piece, {"width": w})
        for piece in pieces
        for w in range(piece.valid["width"][0], piece.valid["width"][1] + 1)
    ]
    assert len(values) == 11  # every width from 2 to 12 once
    assert values == sorted(values)
    for m in measured:
        (piece,) = (p for p in pieces if p.valid["width"][0] <= m.point.size["width"] <= p.valid["width"][1])
        assert at(piece, m.point.size) == pytest.approx(m.values["luts"], rel=0.03, abs=1)


def test_boxes_rise_and_hold_their_points():
    """Four choices measured cheaper than two take what two take; bounds hold every point."""
    two, four = Box({"choices": (1, 2)}, ("left",)), Box({"choices": (4, 4)}, ("left",))
    values = {(8, 2): 12.0, (16, 2): 24.0, (8, 4): 8.0, (16, 4): 16.0}
    measured = [
        Measured(Point("qprelu", {"width": w, "choices": c, "span": 3, "left": 0}, {}), {"luts": v})
        for (w, c), v in values.items()
    ]
    boxes = (two, Box({"choices": (3, 3)}, ("left",)), four)
    first, second = Boxes(("width", "max(0, width - span)"), boxes).fit(measured)
    assert first.valid == {"width": (8, 16), **two.ranges}
    assert second.valid == {"width": (8, 16), **four.ranges}
    for width, dearer in ((8, 12), (16, 24)):
        size = {"width": width, "span": 3, "left": 0}
        assert at(first, size) == at(second, size) == pytest.approx(dearer, rel=1e-3)
    size = {"width": 8, "span": 3, "left": 0}
    assert at(second, size, side="low") == pytest.approx(8, rel=2e-3)
    assert at(second, size, side="high") == pytest.approx(12, rel=2e-3)


def test_boxes_that_no_size_has_in_common_do_not_touch_each_other():
    """A barrel shifter over a narrow span may be dearer than one over a wide span: no unit is in both."""
    narrow, wide = (Box({"choices": (5, 64), "span": span}, ("left",)) for span in ((4, 7), (8, 15)))
    measured = [
        Measured(Point("qprelu", {"width": w, "choices": 5, "span": span, "left": 0}, {}), {"luts": v})
        for w, span, v in ((8, 7, 40.0), (16, 7, 80.0), (8, 15, 20.0), (16, 15, 40.0))
    ]
    fitted = Boxes(("width", "max(0, width - span)"), (narrow, wide)).fit(measured)
    assert [at(f, {"width": 16, "span": s, "left": 0}) for f, s in zip(fitted, (7, 15), strict=True)] == [
        pytest.approx(80, rel=1e-3),
        pytest.approx(40, rel=1e-3),
    ]


def test_a_box_has_a_sum_of_its_terms():
    """3 * width + (bits below the sign's copies) + 2 * left - 5 comes back out of points that have them all."""
    box = Box({"choices": (5, 64), "left": (0, 7)}, ("left",))
    measured = [
        Measured(
            Point("shift_select", {"width": w, "choices": 5, "span": span, "left": left}, {}),
            {"luts": 3.0 * w + (w - span) + 2 * left - 5},
        )
        for w in (8, 16, 32)
        for span in (4, 7)
        for left in (0, 2, 4)
    ]
    (fitted,) = Boxes(("width", "max(0, width - span)"), (box,)).fit(measured)
    assert law(fitted) == "max(0, 3 * width + max(0, width - span) + 2 * left - 5)"
    assert fitted.valid == {"width": (8, 32), **box.ranges}


def test_a_range_may_cover_what_lies_below_its_steps():
    """A ROM of 5 words is at most one of 8, not one of 4."""
    measured = [
        Measured(Point("rom", {"width": 4, "depth": depth}, {}), {"luts": v})
        for depth, v in ((4, 4.0), (8, 16.0), (16, 64.0))
    ]
    pieces = Pieces("depth", (Terms(("width",)),), covering=True).fit(measured)
    assert [p.valid["depth"] for p in pieces] == [(4, 4), (5, 8), (9, 16)]
    assert [at(p, {"width": 4}) for p in pieces] == [4, 16, 64]


def test_a_point_counts_no_more_than_a_larger_one_that_could_stand_in():
    """An adder of 4 bits that maps to 14 LUTs, where one of 5 bits takes 6."""
    pieces = Pieces("width", (Terms(("width", "1")),)).fit(
        points({2: 2.0, 4: 14.0, 5: 6.0, 8: 9.0}, op="add")
    )
    values = {w: at(p, {"width": w}) for p in pieces for w in (2, 4, 5, 8) if w in range(*_span(p))}
    assert values == pytest.approx({2: 2, 4: 5, 5: 6, 8: 9}, abs=1)


def _span(fitted):
    low, high = fitted.valid["width"]
    return low, high + 1


def test_whole_pieces_are_the_most_of_any_point_not_a_fraction():
    measured = [
        Measured(Point("prelu", {"width": 20, "fraction_bits": f}, {}), {"luts": 50.0, "dsps": dsps})
        for f, dsps in ((10, 3.0), (15, 3.0), (20, 4.0))
    ]
    (fitted,) = Pieces("width", (Terms(("width", "1")),)).fit(measured)
    assert (law(fitted, "dsps"), fitted.laws["dsps"].low) == ("4", "3")


def test_interpolated_holds_the_points_in_order_of_size():
    (fitted,) = Interpolated("bits").fit(points({8: 9.0, 2: 1.0, 4: 3.0}, op="xnor_popcount", over="bits"))
    assert law(fitted) == ((2, 1.0), (4, 3.0), (8, 9.0))
    assert (fitted.valid, fitted.over) == ({"bits": (2, 8)}, "bits")
    (same,) = Interpolated("bits").fit(points({2: 0.0, 4: 0.0}, name="dsps", over="bits"))
    assert law(same, "dsps") == "0"


def test_interpolated_points_never_fall():
    (fitted,) = Interpolated("bits").fit(points({1: 1.0, 2: 6.0, 3: 4.0, 4: 8.0}, over="bits"))
    assert law(fitted) == ((1, 1.0), (2, 5.0), (3, 5.0), (4, 8.0))


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ([], []),
        ([1, 2, 3], [1, 2, 3]),
        ([3, 2, 1], [2, 2, 2]),
        ([1, 5, 3, 4, 9], [1, 4, 4, 4, 9]),
        ([4, 0, 5], [2, 2, 5]),
        ([2, 3, 1, 0], [1.5, 1.5, 1.5, 1.5]),
    ],
)
def test_isotonic(given, wanted):
    assert isotonic(np.array(given, dtype=float)) == wanted
