"""Comparisons: hand-made sides with known differences, conditions, and the command on real and on broken reports."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import math
import operator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import abcost
from abcost.cli import run
from abcost.comparing.condition import parse_condition
from abcost.comparing.delta import Delta, compare, deltas
from abcost.comparing.saved import ComparedSide, side_of
from abcost.errors import UnknownName, UsageError

SMALL = ("--preset", "digits", "--base-width", "4", "--blocks", "1,1", "--target", "fpga-lut6")
MODEL = "reactnet_18,preset=digits,base_width=4,blocks=1x1"


def side(name="a", luts=100.0, dsps=4.0, energy=None, **layers):
    """One stage, and layers with a number of LUTs."""
    total = {"ops.multiply": 12.0, "cost.luts": luts, "cost.dsps": dsps, "cost.energy_pj": energy}
    return ComparedSide(
        name, {"as_written": total}, {layer: {"cost.luts": n} for layer, n in layers.items()}, {"width_bits": "16"}
    )  # fmt: skip


def error_of(capsys, *arguments):
    assert run(["compare", *arguments]) == 2
    (line,) = [text for text in capsys.readouterr().err.splitlines() if text.startswith("error: ")]
    return line


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Reports of one network at 16 and at 12 bits."""
    found = {}
    for width in (16, 12):
        found[width] = tmp_path_factory.mktemp("reports") / f"{width}.json"
        options = ["--width", str(width), "--format", "json", "--output", str(found[width])]
        assert run(["analyze", "reactnet_18", *SMALL, *options]) == 0
    return found


# --- what differs


def test_deltas_by_hand():
    found = compare(side(luts=100, conv=60, prelu=40), side("b", luts=105, conv=60, max=45))
    assert found.last["cost.luts"] == Delta(100, 105)
    assert (found.last["cost.luts"].absolute, found.last["cost.luts"].relative) == (5, 0.05)
    assert not found.layers["conv"]["cost.luts"].changed
    assert (found.only_before, found.only_after) == (("prelu",), ("max",))
    assert found.settings == {}


def test_unknown_is_no_difference_and_no_zero():
    found = compare(side(energy=None), side("b", energy=3.0)).last["cost.energy_pj"]
    assert (found.absolute, found.relative, found.changed) == (None, None, True)
    both = compare(side(), side("b")).last["cost.energy_pj"]
    assert (both.changed, both.known) == (False, False)


def test_the_largest_changes_come_first_and_unknown_ones_last():
    before = ComparedSide(
        "a", {"s": {}}, {"x": {"luts": 100, "ffs": None}, "y": {"luts": 100}, "z": {"luts": 0}}, {}
    )
    after = ComparedSide(
        "b", {"s": {}}, {"x": {"luts": 110, "ffs": 3}, "y": {"luts": 50}, "z": {"luts": 7}}, {}
    )
    assert [(layer, name) for layer, name, _ in compare(before, after).changes] == [
        ("z", "luts"),  # from nothing
        ("y", "luts"),  # -50 %
        ("x", "luts"),  # +10 %
        ("x", "ffs"),
    ]


numbers = st.floats(0, 1e12)


@given(numbers, numbers)
def test_a_comparison_the_other_way_round_has_the_opposite_sign(before, after):
    there, back = Delta(before, after), Delta(after, before)
    assert there.absolute == -back.absolute
    if before and there.relative is not None:
        assert math.isclose(before * (1 + there.relative), after, rel_tol=1e-9, abs_tol=1e-9 * before)


# --- conditions

OPS = {">": operator.gt, "<": operator.lt, ">=": operator.ge, "<=": operator.le}
percents = st.integers(0, 500)


@given(
    st.sampled_from(sorted(OPS)),
    st.integers(1, 10**6),
    st.integers(0, 10**6),
    st.sampled_from("+-"),
    percents,
)
def test_relative_conditions_are_changes_in_percent(op, before, after, sign, percent):
    """luts>+5% breaks if and only if 100 * (after - before) is above 5 * before, in whole numbers."""
    limit = percent if sign == "+" else -percent
    expected = OPS[op](100 * (after - before), limit * before)
    close = 100 * (after - before) == limit * before  # the quotient may round either way
    broken = parse_condition(f"luts{op}{sign}{percent}%").broken({"cost.luts": Delta(before, after)})
    assert close or (broken is not None) == expected


@given(st.sampled_from(sorted(OPS)), st.integers(0, 999), st.integers(0, 999), st.integers(0, 999))
def test_values_and_differences(op, before, after, limit):
    last = {"cost.luts": Delta(before, after)}
    assert (parse_condition(f"luts {op} {limit}").broken(last) is not None) == OPS[op](after, limit)
    assert (parse_condition(f"luts{op}+{limit}").broken(last) is not None) == OPS[op](after - before, limit)
    assert (parse_condition(f"luts{op}-{limit}").broken(last) is not None) == OPS[op](after - before, -limit)


def test_conditions_say_what_broke_them():
    last = compare(side(luts=200), side("b", luts=212, energy=1.0)).last
    assert parse_condition("luts>+5%").broken(last) == "luts>+5%: cost.luts +6 % (200 to 212)"
    assert parse_condition("luts>+6%").broken(last) is None
    assert parse_condition("energy_pj>+1").broken(last) == "energy_pj>+1: cost.energy_pj is unknown"
    assert parse_condition("energy_pj>2").broken(last) is None
    assert (
        parse_condition("multiplications>0").broken(last) == "multiplications>0: ops.multiply 12 (12 to 12)"
    )


def test_from_nothing_every_growth_is_too_much():
    last = {"cost.dsps": Delta(0, 1)}
    assert parse_condition("dsps>+500%").broken(last) == "dsps>+500%: cost.dsps +inf % (0 to 1)"
    assert parse_condition("dsps>+0%").broken({"cost.dsps": Delta(0, 0)}) is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("luts", "is not of the form"),
        ("luts>", "is not of the form"),
        ("luts==5", "is not of the form"),
        ("luts>5%", r"a percentage is a change and needs a sign: luts>\+5%"),
        ("luts>+5%%", "is not of the form"),
        ("luts>nan", "is not of the form"),
    ],
)
def test_conditions_that_are_none(text, reason):
    with pytest.raises(UsageError, match=reason):
        parse_condition(text)


def test_a_misspelt_quantity_suggests_the_right_one():
    with pytest.raises(UnknownName, match="did you mean 'luts'"):
        parse_condition("lust>+5%").broken(compare(side(), side("b")).last)


@given(st.text(max_size=30))
def test_any_text_is_a_condition_or_refused(text):
    with contextlib.suppress(UsageError, UnknownName):
        parse_condition(text).broken(compare(side(), side("b")).last)


# --- the command


def test_saved_reports(saved, capsys):
    """The totals are those of the two reports; narrower takes fewer LUTs, so +0 % holds and -50 % does not."""
    before, after = (json.loads(saved[width].read_text()) for width in (16, 12))
    assert run(["compare", str(saved[16]), str(saved[12]), "--format", "json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["settings"]["width_bits"] == {"before": "16", "after": "12"}
    for old, new in zip(before["stages"], after["stages"], strict=True):
        luts = found["stages"][old["name"]]["cost.luts"]
        assert (luts["before"], luts["after"]) == (old["cost"]["luts"], new["cost"]["luts"])
        assert luts["change"] == new["cost"]["luts"] - old["cost"]["luts"]
    assert run(["compare", str(saved[16]), str(saved[12]), "--fail-if", "luts>+0%"]) == 0
    capsys.readouterr()
    assert (
        run(["compare", str(saved[16]), str(saved[12]), "--fail-if", "luts>-50%", "--fail-if", "dsps>+0"])
        == 1
    )
    assert "no: " in (said := capsys.readouterr().err)
    assert "luts>-50%: cost.luts" in said
    assert "dsps" not in said


def test_models_and_reports_mix(saved, capsys):
    """Analysed now, with options of its own, or saved before: the same numbers."""
    assert (
        run(["compare", str(saved[12]), f"{MODEL},width=12", "--target", "fpga-lut6", "--format", "csv"]) == 0
    )
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert len(rows) > 100
    assert all(row["value_before"] == row["value_after"] for row in rows)
    assert {row["layer"] for row in rows} > {"", "layer1.0.prelu"}


def test_every_side_is_compared_with_the_first(saved, capsys, tmp_path):
    out = tmp_path / "compared.txt"
    command = ["compare", str(saved[16]), str(saved[16]), str(saved[12]), "--output", str(out)]
    assert run(command) == 0
    text = out.read_text()
    assert text.count("Totals of stage") == 2
    assert text.count("Settings that differ") == 1


# --- accelerators

WIDER = (*(f"reactnet_18,base_width={width},blocks=1x1x1x1" for width in (8, 32)), "--preset", "digits")


@pytest.fixture(scope="module")
def accelerators(tmp_path_factory):
    """Networks of 8 and of 32 channels, each on the device and fast enough, and their comparison."""
    file = tmp_path_factory.mktemp("accelerators") / "compared.json"
    assert run(["compare", *WIDER, "--device", "xc7z020", "--fps", "1000", "-o", str(file)]) == 0
    (found,) = json.loads(file.read_text())
    return found


def test_luts_are_of_the_accelerator(accelerators, capsys):
    """Four times as wide takes 1 % more with one lane per node, and far more where it has to be as fast."""
    last = accelerators["stages"]["add_and_bit"]
    assert last["cost.luts"]["relative"] < 0.05 < last["organisation.resources.luts"]["relative"]
    gate = ("--device", "xc7z020", "--fps", "1000", "--fail-if", "luts>+5%")
    assert run(["compare", *WIDER, *gate]) == 1
    out, err = capsys.readouterr()
    assert "luts>+5%: organisation.resources.luts +" in err
    assert "cost.luts" not in out
    assert out.index("organisation.fps") < out.index("ops.multiply")


def test_rate_latency_and_energy_are_those_of_the_report(accelerators):
    report = abcost.analyze(
        "reactnet_18", preset="digits", base_width=8, blocks=(1, 1, 1, 1), device="xc7z020", fps=1000
    )
    accelerator = report.to_dict()["stages"][-1]["organisation"]
    last = {name: delta["before"] for name, delta in accelerators["stages"]["add_and_bit"].items()}
    assert last["organisation.fps"] == accelerator["fps"] >= 1000
    assert last["organisation.latency_ms"] == accelerator["latency_ms"]
    assert last["organisation.energy_uj"] == accelerator["energy_uj"]["value"]
    assert last["organisation.fmax_mhz"] == accelerator["fmax_mhz"]["value"]
    assert last["organisation.fits"] == 1
    engines = {row["name"]: row for row in accelerator["layers"]}
    for name, engine in engines.items():
        assert accelerators["layers"][name]["organisation.cycles"]["before"] == engine["cycles"]


@pytest.mark.parametrize(
    "condition", ["fps<-10%", "latency_ms>+10%", "energy_uj>+10%", "fits<1", "blocks>+0"]
)
def test_gates_of_accelerators(condition):
    """Of two that differ by a fifth in everything, for the worse."""
    good = {"fps": 100.0, "latency_ms": 10.0, "energy_uj": 5.0, "fits": 1.0, "resources.blocks": 5.0}
    bad = {"fps": 80.0, "latency_ms": 12.0, "energy_uj": 6.0, "fits": 0.0, "resources.blocks": 6.0}
    before, after = ({f"organisation.{name}": n for name, n in of.items()} for of in (good, bad))
    assert parse_condition(condition).broken(deltas(before, after)) is not None
    assert parse_condition(condition).broken(deltas(after, before)) is None
    assert parse_condition(condition).broken(deltas(before, before)) is None


def test_energy_has_one_name_with_and_without_an_accelerator():
    """2 and 3 microjoule of units are 2,000,000 and 3,000,000 pJ."""
    last = compare(side(energy=2e6), side("b", energy=3e6)).last
    assert parse_condition("energy_uj>2.9").broken(last) == "energy_uj>2.9: energy_uj 3 (2 to 3)"
    assert parse_condition("energy_uj>+1").broken(last) is None
    assert parse_condition("energy_uj>+40%").broken(last) is not None
    assert (
        parse_condition("energy_uj<9").broken(compare(side(), side("b")).last)
        == "energy_uj<9: energy_uj is unknown"
    )


def test_gates_of_accelerators_need_one():
    with pytest.raises(UsageError, match="fps is of an accelerator, and neither side has one: give --device"):
        parse_condition("fps<60").broken(compare(side(), side("b")).last)


def test_sides_say_how_they_are_built(tmp_path, capsys):
    """Blocks with commas as on the command line, or with x; a clock as high as it gets; engines of one's own."""
    folding = tmp_path / "own.json"
    folding.write_text('{"schema": 1, "layers": {"layer1.0.conv1": {"pe": 2, "simd": 4}}}')
    small = "bnn_18,preset=digits,base_width=4,device=xc7z020"
    sides = (f"{small},blocks=1,1,clock_mhz=max", f"{small},blocks=1x1,folding={folding},weights=on-chip")
    (found,) = abcost.compare(*sides).comparisons
    assert "blocks" not in found.settings
    assert found.after.layers["layer1.0.conv1"]["organisation.simd"] == 4
    assert found.last["organisation.fmax_mhz"].known


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (
            ["{saved}", f"{MODEL},clock_mhz=200"],
            "--clock-mhz and --organisation size an accelerator: add --device",
        ),
        (["{saved}", f"{MODEL},device=xc7z020,clock_mhz=fast"], "--clock-mhz takes a number of MHz, or max"),
        (["{saved}", "{saved}", "--clock-mhz", "200"], "--clock-mhz does nothing to saved reports"),
        (["{saved}"], "compare needs two or more reports or models"),
        (["{saved}", "missing.json"], "cannot read missing.json: No such file"),
        (["{saved}", "{saved},width=12"], "a saved report takes no options"),
        (["{saved}", "{other}"], "is not a report of abcost analyze --format json"),
        (["{saved}", "{text}"], "is not JSON"),
        (["{saved}", "{part}"], "is no whole report"),
        (["{saved}", f"{MODEL},widht=12"], "did you mean 'width'"),
        (["{saved}", f"{MODEL},width=x"], "width=x is not a number"),
        (["{saved}", f"{MODEL},width"], "is not of the form option=value"),
        (["{saved}", f"{MODEL},width=8,width=9"], "width is given twice"),
        (["{saved}", "{saved}", "--fail-if", "lots>+5%"], "no quantity of --fail-if 'lots'"),
        (["{saved}", "{saved}", "--format", "xml"], "no format of comparisons 'xml'"),
    ],
)
def test_refusals(saved, tmp_path, capsys, arguments, reason):
    places = {name: tmp_path / f"{name}.json" for name in ("other", "text", "part")}
    places["other"].write_text('{"schema": 99}')
    places["text"].write_text("[" * 100_000)
    report = json.loads(saved[16].read_text())
    del report["stages"][0]["cost"]
    places["part"].write_text(json.dumps(report))
    assert reason in error_of(capsys, *(a.format(saved=saved[16], **places) for a in arguments))


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda x: st.lists(x) | st.dictionaries(st.text(), x),
    )
)
def test_any_json_is_a_report_or_refused(content):
    with pytest.raises(UsageError):
        side_of({"stages": content, "layers": content, "settings": content}, "x")


# --- reports of several targets, short ones, and CSV


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    """Reports on two targets in one file, as JSON and as CSV."""
    folder = tmp_path_factory.mktemp("several")
    for form in ("json", "csv"):
        command = ["analyze", "reactnet_18", *SMALL, "--target", "asic-45nm", "--format", form]
        assert run([*command, "-o", str(folder / f"two.{form}")]) == 0
    return folder


def compared(capsys, *sides):
    assert run(["compare", *map(str, sides), "--format", "json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    return found


@pytest.mark.parametrize("target", ["fpga-lut6", "asic-45nm"])
@pytest.mark.parametrize("form", ["json", "csv"])
def test_one_of_several_targets(several, capsys, form, target):
    whole = json.loads((several / "two.json").read_text())
    (mine,) = [report for report in whole["reports"] if report["target"] == target]
    found = compared(capsys, f"{several}/two.{form},target={target}", f"{several}/two.json,target={target}")
    assert "target" not in found["settings"]
    for stage in mine["stages"]:
        of = found["stages"][stage["name"]]
        for name, count in stage["ops"].items():
            assert of[f"ops.{name}"]["before"] == of[f"ops.{name}"]["after"] == count
        for name in ("energy_pj", "luts", "area_um2"):
            assert of[f"cost.{name}"]["before"] == pytest.approx(stage["cost"][name])
    last = {row["name"] or "(model)": row for row in mine["layers"] if row["stage"] == "add_and_bit"}
    counted = {name for name, row in last.items() if sum(row["ops"].values())}
    assert counted <= set(found["layers"]) <= set(last)
    for name in counted:
        assert found["layers"][name]["ops.add"]["before"] == last[name]["ops"]["add"]


def test_a_layers_energy_in_a_csv_has_no_memory_traffic_and_is_no_total(several, capsys):
    found = compared(capsys, *[f"{several}/two.csv,target=asic-45nm"] * 2)
    assert {row["cost.energy_pj"]["before"] for row in found["layers"].values()} == {None}


@pytest.mark.parametrize("name", ["analyze_reactnet_18_asic-45nm.json", "analyze_reactnet_a_fpga-lut6.json"])
def test_our_own_reports_are_read(capsys, name):
    file = Path(__file__).parents[1] / "reports" / name
    found = compared(capsys, file, file)
    assert found["settings"] == {}
    assert found["stages"]["add_and_bit"]["ops.multiply"]["change"] == 0
    assert found["layers"] == {}


def test_what_was_counted_and_not_found_is_0():
    with_holes = {"unpriced.rom": 3.0, "unpriced.all": 3.0}
    none, old = {"unpriced.all": 0.0}, {}
    assert deltas(with_holes, none)["unpriced.rom"] == Delta(3.0, 0.0)
    assert deltas(none, with_holes)["unpriced.rom"].absolute == 3
    assert deltas(with_holes, old)["unpriced.rom"] == Delta(3.0, None)  # an older report says nothing of it


def test_known_parts_and_macs_by_bits_are_compared(saved, capsys):
    found = compared(capsys, saved[16], saved[12])["stages"]["add_and_bit"]
    known = found["cost_known.luts"]
    assert (known["before"], known["after"]) == (found["cost.luts"]["before"], found["cost.luts"]["after"])
    by_bits = json.loads(saved[16].read_text())["macs"]["by_bits"]
    for bits, count in by_bits.items():
        assert found[f"macs.{bits}"]["before"] == count
    narrow = set(json.loads(saved[12].read_text())["macs"]["by_bits"])
    for bits in set(by_bits) - narrow:
        assert found[f"macs.{bits}"]["after"] == 0


@pytest.mark.parametrize(
    ("side", "reason"),
    [
        ("{several}/two.json", "holds reports on fpga-lut6, asic-45nm: say which, as"),
        ("{several}/two.csv", "holds reports on fpga-lut6, asic-45nm: say which, as"),
        ("{several}/two.json,target=asic-7nm", "no target in"),
        ("{several}/two.csv,target=asic-7nm", "no target in"),
        ("{saved},target=asic-45nm", "is a report on 'fpga-lut6', not on target=asic-45nm"),
        ("{several}/two.csv,width=8", "takes no options but target"),
        ("{several}/none.csv", "No such file"),
        ("{several}/list.csv", "is not a report of abcost analyze --format csv"),
        (
            "{several}/broken.csv",
            "is no whole report of abcost analyze --format csv: 'nan' is no finite number",
        ),
        ("{several}/reproduce.json", "is not a report of abcost analyze --format json"),
    ],
)
def test_refusals_of_saved_reports(saved, several, capsys, side, reason):
    (several / "list.csv").write_text("a,b\n1,2\n")
    (several / "reproduce.json").write_text('{"schema": 1, "tables": []}')
    text = (several / "two.csv").read_text().splitlines()
    cells = text[1].split(",")
    cells[text[0].split(",").index("count")] = "nan"
    (several / "broken.csv").write_text("\n".join([text[0], ",".join(cells)]) + "\n")
    assert reason in error_of(capsys, str(saved[16]), side.format(saved=saved[16], several=several))
