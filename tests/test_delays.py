"""Delay laws: how they are fitted, what a table answers, and whether the bundled ones hold what was routed."""

from __future__ import annotations

import json
import random
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from abcost.calibrate.delay_fit import FittedDelay, fit
from abcost.calibrate.delay_plan import DELAYS, SEEDS, delay_plan
from abcost.calibrate.delay_point import MeasuredDelay
from abcost.calibrate.delay_table import (
    DELAY_HEAD,
    TimingSource,
    delays_csv,
    read_delays_csv,
    timing_of,
    timing_text,
    with_timing,
    without_timing,
)
from abcost.calibrate.delays import DelayErrors, delay_jobs, fit_delays, measure_delays
from abcost.calibrate.run import load_text
from abcost.calibrate.shares import Share, derive_delays, shares, sta_job
from abcost.calibrate.targets import TARGETS
from abcost.cli import app
from abcost.cost import CostTable, bundled_targets, cost_models_dir
from abcost.cost.organisation import Unit
from abcost.cost.timing import read_timing
from abcost.errors import CostError, ToolError
from abcost.rtl.forms import Curve, Factors, Split
from abcost.synth.flows import flow
from abcost.synth.route import Routed, Step
from abcost.synth.sta import PreRoute
from refitted import same_fit

TIMED = [name for name in bundled_targets() if CostTable.load(name).timing is not None]


def kept_rows(name):
    """The rows of a table: those of the target that is measured, where another mapping shares its delays."""
    base = TARGETS[name].base or name
    return read_delays_csv((cost_models_dir() / "points" / f"{base}-timing.csv").read_text())


def row(delay, *, op="add", role="fit", mapping="area", seed=1, left_out=0.0, **size):
    return MeasuredDelay(
        op,
        f"{op}_{size}",
        size,
        role,
        mapping,
        seed,
        1000 / (delay - left_out),
        1.0,
        left_out,
        1.0,
        1,
        "unit",
    )


# --- fitting


def test_a_curve_is_the_mean_over_seeds():
    (law,) = fit(Curve("width"), [row(2.0, width=4), row(3.0, width=4), row(4.0, width=8), row(5.0, width=8)])
    assert law.valid == {"width": (4, 8)}
    assert law.value == ((4, 2.5), (8, 4.5))
    assert law.at({"width": 6}) == 3.5


def test_a_curve_never_falls():
    """Means of 3, 2 and 4: the first two become their mean."""
    (law,) = fit(Curve("width"), [row(3.0, width=1), row(2.0, width=2), row(4.0, width=3)])
    assert law.value == ((1, 2.5), (2, 2.5), (3, 4.0))


def test_factors_are_found_again():
    """2 + 0.5 * levels + 0.25 * width, without noise."""
    rows = [
        row(2 + 0.5 * levels + 0.25 * width, op="signed_sum", bits=2**levels, width=width)
        for levels in (1, 2, 3, 4)
        for width in (4, 8, 16)
    ]
    (law,) = fit(Factors(("log2(bits)", "width", "1")), rows)
    assert law.value == "0.5 * log2(bits) + 0.25 * width + 2"
    assert law.valid == {"bits": (2, 16), "width": (4, 16)}


def test_no_factor_pulls_down():
    """A delay that falls with the width is a constant: its mean in relative least squares, between 3 and 4."""
    (law,) = fit(Factors(("width", "1")), [row(4.0, width=2), row(3.0, width=20)])
    assert law.value == "3.36"  # sum(1 / d) / sum(1 / d**2) = (7 / 12) / (25 / 144)


def test_ends_hold_every_row():
    rows = [row(2.0, width=4), row(2.2, width=4), row(4.0, width=8)]
    (law,) = fit(Curve("width"), rows)
    law = law.with_ends([*rows, row(2.7, width=6, role="held out")])
    # the law says 2.1 at 4 and 3.05 at 6
    assert law.least == pytest.approx(2.7 / 3.05, abs=1e-3)
    assert law.most == pytest.approx(2.2 / 2.1, abs=1e-3)
    assert law.side(law.least)[0][1] <= 2.0
    assert FittedDelay({}, "width + 1", most=1.5).side(1.5) == "1.5 * (width + 1)"


def test_a_split_has_two_laws_that_meet():
    rows = [row(d, op="multiply", width=w) for w, d in ((4, 6.0), (18, 7.0), (19, 11.0), (32, 12.0))]
    low, high = fit(Split("width", 18, Curve("width")), rows)
    assert (low.valid, high.valid) == ({"width": (4, 18)}, {"width": (19, 32)})
    assert low.at({"width": 18}) == 7.0
    assert high.at({"width": 19}) == 11.0


def test_what_the_tool_left_out_counts():
    assert row(20.0, left_out=13.5, width=4).delay_ns == pytest.approx(20.0)
    assert row(20.0, left_out=13.5, width=4).fmax_mhz == pytest.approx(1000 / 6.5)


# --- measuring


class Rig:
    """A router that answers 2 + width / 10 + seed / 100 ns, and fails at the width of 12."""

    part = None
    versions = ("yosys 1", "nextpnr 1")

    def __init__(self):
        self.asked = []

    def key(self, job):
        return job

    def run_all(self, jobs, *, workers=None, done=lambda job: None):
        self.asked += jobs
        found = {}
        for job in jobs:
            width = int(job.name.split("_w")[1])
            delay = 2 + width / 10 + job.seed / 100 + (job.mapping == "delay") * -0.5
            steps = (
                Step("clk-to-q", 0.5, "in", ""),
                Step("logic", 0.25, "unit", ""),
                Step("routing", 1, "out", "n"),
            )
            found[job] = (
                ToolError("no BELs remaining") if width == 12
                else Routed(width, width, 3 * width, 0, 0, 1000 / delay, steps, self.versions)
            )  # fmt: skip
            done(job)
        return found


@pytest.fixture
def rig(monkeypatch):
    from abcost.calibrate import delays

    monkeypatch.setattr(delays, "left_out_ns", lambda routed: 0.0)
    return Rig()


def test_every_seed_and_mapping_is_measured(rig):
    sweeps = delay_plan(["add"], dsp=18, quick=True)  # widths 4, 16, 32; 12 held out
    said = []
    found = measure_delays(sweeps, rig, done=said.append)
    assert len(rig.asked) == len(said) == 4 * len(SEEDS) * 2
    assert len(found.rows) == 3 * len(SEEDS) * 2
    area, delay = found.units
    # means over seeds 1, 2, 3
    assert area.laws[0].value == ((4, 2.42), (16, 3.62), (32, 5.22))
    assert delay.laws[0].value == ((4, 1.92), (16, 3.12), (32, 4.72))
    assert area.fitted == DelayErrors(3, pytest.approx(0, abs=1e-4), pytest.approx(0, abs=1e-4))
    assert area.held_out.points == 0
    assert {reason for _, reason in found.failures} == {"no BELs remaining"}
    assert {module for module, _ in found.failures} == {
        f"add_w12 ({mapping}, seed {seed})" for mapping in ("area", "delay") for seed in SEEDS
    }


def test_too_few_points_are_no_law():
    with pytest.raises(ToolError, match="add: the routed points mapped for area are too few for a law"):
        fit_delays(delay_plan(["add"], dsp=18, quick=True), [row(2.0, width=4)])


def test_every_unit_has_points_to_fit_and_to_hold_out():
    for sweep in delay_plan(DELAYS, dsp=18, quick=False):
        roles = {point.role for point in sweep.points}
        assert roles == {"fit", "held out"}, sweep.op
        for point in sweep.points:
            assert point.unit.verilog.startswith("module "), point.unit.name


def test_the_first_seed_of_a_netlist_comes_first():
    jobs = [job for _, job in delay_jobs(delay_plan(["add"], dsp=18, quick=True))]
    assert [(job.seed, job.mapping) for job in jobs[:3]] == [(1, "area"), (1, "delay"), (2, "area")]


# --- where nothing can be placed


def with_logic(delay, logic, **more):
    return replace(row(delay, **more), logic_ns=logic)


def test_shares_are_routed_delay_over_cells():
    rows = [
        with_logic(2.0, 1.0, mapping="delay", width=4),
        with_logic(6.0, 2.0, mapping="delay", width=8),
        with_logic(9.0, 1.0, mapping="area", width=8),  # of another mapping
        with_logic(20.0, 1.0, op="multiply", mapping="delay", left_out=13.5, width=8),  # half of a path
    ]
    assert shares(rows) == {"add": Share(2.0, 2.5, 3.0)}


class Stopwatch:
    """A timer that answers 1 + width / 10 ns."""

    def run_all(self, jobs, *, workers=None, done):
        return {key: PreRoute(1 + int(key.split("_w")[1]) / 10, 7.0) for key in jobs}


def test_cells_times_what_routing_adds():
    """Widths 4, 16 and 32: 1.4, 2.6 and 4.2 ns of cells; times 2.5, and 2 to 3 at its ends."""
    routed = [with_logic(d, 1.0, mapping="delay", width=4) for d in (2.0, 3.0)]
    sweeps = delay_plan(["add", "mux"], dsp=18, quick=True)
    found = derive_delays(sweeps, Stopwatch(), flow("xc7"), routed)
    (unit,) = found.units  # of the mux no share is known
    assert (unit.op, unit.mapping, unit.confidence) == ("add", "delay", "derived")
    assert unit.note == "cells times 2.50 (2.00 to 3.00)"
    (law,) = unit.laws
    assert law.value == ((4, 3.5), (16, 6.5), (32, 10.5))
    assert law.least == pytest.approx(2 / 2.5, abs=2e-3)
    assert law.most == pytest.approx(3 / 2.5, abs=2e-3)
    assert {r.logic_ns for r in found.rows if r.size["width"] == 16} == {2.6}


def test_only_registers_behind_a_multiplier_have_a_clear():
    """A block of a multiplier would take them in, and with them its own time."""
    sources = {}
    for op in ("add", "multiply"):
        point = delay_plan([op], dsp=18, quick=True)[0].points[0]
        sources[op] = sta_job(point, flow("xc7")).verilog
    assert "clear" not in sources["add"]
    assert "posedge clear" in sources["multiply"]
    (read,) = delay_plan(["block_read"], dsp=18, quick=True)
    job = sta_job(read.points[0], flow("xc7"))
    assert job.flow.name == "xc7-blocks"
    assert job.files[0][0].endswith(".hex")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (
            ("asic-osu018", "--timing"),
            "the delays of asic-osu018 are measured with its table: abcost calibrate asic-osu018",
        ),
        (
            ("fpga-ecp5-delay", "--timing"),
            "are measured with those of fpga-ecp5: abcost calibrate fpga-ecp5 --timing",
        ),
        (("fpga-ecp5", "--timing", "--jobs", "0"), "--jobs must be at least 1, got 0"),
        (("fpga-ecp5", "--timing", "--yosys", "yosys"), "--yosys does nothing with --timing"),
        (("fpga-ecp5", "--timing", "--energy"), "--energy does nothing with --timing"),
    ],
)
def test_refused_before_the_long_part(arguments, reason):
    found = CliRunner().invoke(app, ["calibrate", *arguments])
    assert reason in str(found.exception)


def test_a_foreign_file_of_points_is_not_overwritten(tmp_path):
    (tmp_path / "points").mkdir()
    (tmp_path / "points" / "mine-timing.csv").write_text("a,b\n1,2\n")
    arguments = ["calibrate", "fpga-ecp5", "--timing", "--output", str(tmp_path / "mine.toml")]
    assert "was not written by abcost calibrate --timing" in str(CliRunner().invoke(app, arguments).exception)


ONE_OF_A_KIND = {
    "fpga-ecp5",
    "asic-sg13g2",
}  # a second table of a technology takes as long, and is fitted as the first


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in ONE_OF_A_KIND else pytest.mark.slow)
        for name in TIMED
        if not TARGETS[name].base
    ],
)
def test_fitting_the_kept_points_again_changes_nothing(name, tmp_path):
    (tmp_path / "points").mkdir()
    for file in (f"{name}.toml", f"points/{name}.csv", f"points/{name}-timing.csv"):
        (tmp_path / file).write_bytes((cost_models_dir() / file).read_bytes())
    table = tmp_path / f"{name}.toml"
    before = table.read_text()
    apart = (
        () if TARGETS[name].technology == "asic" else ("--timing",)
    )  # of cells, delays come with the table
    found = cli("calibrate", name, *apart, "--from-points", "--output", str(table))
    assert found.exit_code == 0, found.output
    assert same_fit(table.read_text(), before)


# --- the text


def made(**sizes):
    rows = [
        replace(row(d + seed / 100, mapping=mapping, seed=seed, width=w), role=role)
        for mapping in ("area", "delay")
        for seed in SEEDS
        for w, d, role in ((4, 2.0, "fit"), (16, 3.0, "fit"), (32, 4.0, "fit"), (12, 2.7, "held out"))
    ]
    sweeps = delay_plan(["add"], dsp=18, quick=True)
    source = TimingSource(
        "a part", "abcost calibrate fpga-ecp5 --timing", ("yosys 1",), "points/x.csv", "how", "what"
    )
    return rows, timing_text(fit_delays(sweeps, rows), source)


def bare():
    return without_timing((cost_models_dir() / "fpga-ecp5.toml").read_text())


def test_rows_are_read_back():
    rows, _ = made()
    text = delays_csv(rows, ("yosys 1", "nextpnr 2"))
    assert text.startswith(DELAY_HEAD)
    assert ",12,,,,,,,,,,held out,area,1," in text
    back = read_delays_csv(text)
    assert [(r.op, r.size, r.role, r.mapping, r.seed) for r in back] == [
        (r.op, r.size, r.role, r.mapping, r.seed) for r in rows
    ]
    assert [r.delay_ns for r in back] == pytest.approx([r.delay_ns for r in rows], rel=1e-4)


def test_a_table_keeps_everything_but_its_timing():
    _, timing = made()
    once = with_timing(bare(), timing)
    assert with_timing(once, timing) == once
    assert without_timing(once).strip() == bare().strip()
    assert timing_of(once) == timing
    assert timing_of(bare()) == ""


def test_a_table_answers_from_the_part():
    _, timing = made()
    table = load_text(with_timing(bare(), timing))
    found = table.delay(Unit("add", 7, 16), "area")
    assert found.value == pytest.approx(3.02)  # 3 + mean of 0.01, 0.02, 0.03
    assert found.low <= 3.01 <= found.high
    assert found.fmax_mhz == pytest.approx(1000 / 3.02)
    assert found.confidence == "measured"
    assert "held out 1 points, mean" in found.note
    assert table.delay(Unit("mux", 1, 16), "area") is None
    assert table.delay(Unit("add", 1, 16)) == table.delay(Unit("add", 1, 16), table.mapping)


def test_below_and_beyond_the_measured_range():
    _, timing = made()
    table = load_text(with_timing(bare(), timing))
    least = table.delay(Unit("add", 1, 4), "area")
    below = table.delay(Unit("add", 1, 2), "area")
    assert (below.value, below.high) == (least.value, least.high)  # no more than the least measured
    assert below.low == 0
    assert below.beyond
    assert below.confidence == "derived"
    with pytest.raises(
        CostError, match=r"the delay of add was not measured at width 40 \(measured: width 4 to 32\)"
    ):
        table.delay(Unit("add", 1, 40), "area")


def test_the_largest_unit_within_a_delay():
    _, timing = made()
    timing = load_text(with_timing(bare(), timing)).timing
    # from 3.02 at 16 to 4.02 at 32: 1 / 16 ns a bit
    assert timing.largest("add", "width", "area", 3.3) == 16 + 4
    assert timing.largest("add", "width", "area", 100.0) == 32
    assert timing.largest("add", "width", "area", 1.0) is None
    assert timing.largest("add", "width", "area", 3.3, side="high") < 20
    with pytest.raises(CostError, match="no delay of mux mapped for area is known"):
        timing.largest("mux", "width", "area", 3.3)
    with pytest.raises(CostError, match="does not depend on bits"):
        timing.largest("add", "bits", "area", 3.3)


LAW = {
    "op": "add",
    "mapping": "area",
    "ns": "2 + 0.1 * width",
    "low": "1.9",
    "high": "3 + 0.1 * width",
    "valid_width": [4, 32],
    "confidence": "measured",
}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"ns": "3 - 0.01 * width", "low": "1"}, "the delay falls from 2.96 to .* as width grows"),
        ({"low": "3"}, r"needs 0 < low <= ns <= high, got 3, 2\.4"),
        ({"high": "2.3"}, "needs 0 < low <= ns <= high"),
        ({"ns": "0.1 * bits"}, "add: the law depends on bits; say where it holds: valid_bits"),
        ({"mapping": "speed"}, "mapping = 'speed' is unknown"),
        ({"op": "addd"}, "did you mean 'add'"),
        ({"high": None}, "add: high is missing"),
        ({"more": 1}, "unknown key 'more'"),
    ],
)
def test_a_wrong_law_is_named(change, reason):
    law = {key: value for key, value in {**LAW, **change}.items() if value is not None}
    with pytest.raises(CostError, match=f"timing: delay 1: .*{reason}"):
        read_timing({"timing": {"part": "p", "source": "s", "delay": [law]}})


def test_a_law_that_is_given_twice():
    with pytest.raises(CostError, match="the delay of add mapped for area is given twice"):
        read_timing(
            {"timing": {"part": "p", "source": "s", "delay": [LAW, {**LAW, "valid_width": [32, 64]}]}}
        )
    with pytest.raises(CostError, match=r"no \[\[timing.delay\]\] gives a law"):
        read_timing({"timing": {"part": "p", "source": "s"}})


def test_the_source_of_delays_must_be_given():
    _, timing = made()
    with pytest.raises(CostError, match="timing: source 'route' is not given"):
        load_text(with_timing(bare(), timing.split("[source.route]")[0]))


# --- the bundled tables


@pytest.mark.parametrize("name", TIMED)
def test_laws_and_kept_rows_agree(name):
    """Every row lies between low and high of its law, and the note says how far the value is from the means."""
    table = CostTable.load(name)
    rows = kept_rows(name)
    by_size = {}
    for found in rows:
        said = table.timing.at(found.op, found.mapping, found.size)
        assert said is not None, found
        if not said.beyond:
            assert said.low * 0.998 <= found.delay_ns <= said.high * 1.002, found
        key = (found.op, found.mapping, found.role, tuple(found.size.items()))
        by_size.setdefault(key, []).append(found.delay_ns)
    assert {(r.op, r.mapping) for r in rows} == set(table.timing.laws)
    for (op, mapping), laws in table.timing.laws.items():
        errors = {
            key: abs(table.timing.at(op, mapping, dict(key[3])).value / (sum(d) / len(d)) - 1)
            for key, d in by_size.items()
            if key[:2] == (op, mapping)
        }
        fitted = [error for key, error in errors.items() if key[2] == "fit"]
        assert f"fitted {len(fitted)} points" in laws[0].note
        told = float(laws[0].note.split("worst ")[1].split("%")[0])  # of the fitted ones, which come first
        assert max(fitted) * 100 == pytest.approx(told, abs=0.16)


@pytest.mark.parametrize("name", TIMED)
def test_the_text_is_made_from_the_kept_rows(name):
    """The rows that are kept give the laws that are in the table, to the digits that are kept."""
    table = CostTable.load(name)
    target = TARGETS[TARGETS[name].base or name]
    rows = kept_rows(name)
    measured = {r.op for r in rows}
    cells = target.technology == "asic"
    plan = delay_plan(target.delays, dsp=target.dsp, quick=False, cells=cells)
    sweeps = [s for s in plan if s.op in measured]
    for unit in fit_delays(sweeps, rows):
        laws = table.timing.laws[unit.op, unit.mapping]
        assert len(laws) == len(unit.laws)
        for law, fitted in zip(laws, unit.laws, strict=True):
            for size in (
                {n: low for n, (low, _) in fitted.valid.items()},
                {n: h for n, (_, h) in fitted.valid.items()},
            ):
                assert law.value.at(size) == pytest.approx(fitted.at(size), rel=2e-3)


@pytest.mark.parametrize("name", TIMED)
def test_no_larger_unit_is_faster(name):
    timing = CostTable.load(name).timing
    random_sizes = random.Random(name)
    for (op, mapping), laws in timing.laws.items():
        ranges = {
            n: (min(law.valid[n].low for law in laws), max(law.valid[n].high for law in laws))
            for n in laws[0].valid
        }
        for _ in range(60):
            small = {n: random_sizes.randint(*ends) for n, ends in ranges.items()}
            large = {n: random_sizes.randint(small[n], ends[1]) for n, ends in ranges.items()}
            a, b = (timing.at(op, mapping, size) for size in (small, large))
            # two laws of one unit meet to the four digits that a law has
            assert a.value <= b.value * 1.001, (op, mapping, small, large)


def test_ecp5_as_others_have_measured_it():
    """A registered 16-bit adder: 318 to 334 MHz; XNOR-popcounts of 36 and 144 bits: 9.2 and 12.7 ns mapped for
    delay, 13 and 18.6 for area; clock to output of a block RAM: 5.6 ns. Measured apart, with the same tools."""
    table = CostTable.load("fpga-ecp5")
    assert 300 < table.delay(Unit("add", 1, 16), "area").fmax_mhz < 350
    for bits, area, delay in ((36, 13, 9.2), (144, 18.6, 12.7)):
        unit = Unit("xnor_popcount", 1, 16, bits=bits)
        assert table.delay(unit, "area").value == pytest.approx(area, rel=0.1)
        assert table.delay(unit, "delay").value == pytest.approx(delay, rel=0.1)
    assert 5.6 < table.delay(Unit("block_read", 1, 8, depth=512), "area").value < 8


@pytest.mark.parametrize(
    ("bits", "mapping", "mhz"),
    [
        (36, "area", 76.72),
        (36, "delay", 109.33),
        (72, "area", 66.96),
        (72, "delay", 90.47),
        (128, "area", 56.47),
        (144, "area", 53.68),
        (144, "delay", 78.55),
    ],
)
def test_whole_datapaths_run_as_their_popcount_allows(bits, mapping, mhz):
    """Layers of ReActNet-18 with one popcount of so many bits between registers, routed whole by the same tools."""
    unit = Unit("xnor_popcount", 1, 16, bits=bits)
    assert CostTable.load("fpga-ecp5").delay(unit, mapping).fmax_mhz == pytest.approx(mhz, rel=0.1)


# --- the command line


def cli(*arguments):
    return CliRunner().invoke(app, list(arguments))


def test_cost_of_a_unit_says_its_delay():
    answer = json.loads(
        cli("targets", "cost", "fpga-ecp5", "add", "--width", "16", "--format", "json").stdout
    )
    assert answer["low"]["delay_ns"] <= answer["delay_ns"] <= answer["high"]["delay_ns"]
    assert set(answer["delays"]) == {"area", "delay"}
    area = answer["delays"]["area"]
    assert area["value"] == answer["delay_ns"]
    assert area["fmax_mhz"] == pytest.approx(1000 / area["value"])
    assert "place and route of LFE5U-85F-6CABGA756" in area["source"]
    assert cli("targets", "cost", "fpga-ecp5", "add").stdout.count(" ns ") == 2


def test_a_target_without_delays_says_null():
    answer = json.loads(
        cli("targets", "cost", "asic-45nm", "add", "--width", "32", "--format", "json").stdout
    )
    assert answer["delay_ns"] is None
    assert answer["delays"] == {}


def test_a_size_beyond_the_delays_is_a_note():
    found = cli("targets", "cost", "fpga-ecp5", "add", "--width", "64", "--format", "json")
    assert found.exit_code == 0
    assert json.loads(found.stdout)["delay_ns"] is None
    assert (
        "note: no delay: LFE5U-85F-6CABGA756: the delay of add was not measured at width 64" in found.stderr
    )


def test_show_lists_the_laws():
    content = json.loads(cli("targets", "show", "fpga-ecp5", "--format", "json").stdout)
    assert content["timing"]["part"] == "LFE5U-85F-6CABGA756"
    assert {"add", "register", "xnor_popcount"} <= {law["unit"] for law in content["timing"]["delays"]}
    assert "Delays on LFE5U-85F-6CABGA756, in ns" in cli("targets", "show", "fpga-ecp5").stdout
