"""`abcost targets scale`: factors computed by hand, what is left out, and every refusal."""

from __future__ import annotations

import csv
import json
import re

import pytest
from typer.testing import CliRunner

from abcost.cli import run as run_cli
from abcost.cli.targets import app
from abcost.cost import CostTable, bundled_targets, cost_models_dir
from abcost.cost import toml_text as toml
from abcost.cost.formula import MAX_LENGTH
from abcost.cost.scaled import scale
from abcost.cost.scaling import Corner, logic_factor, sram_factor
from abcost.errors import CostError, UnknownName, UsageError

# f(V) = a2 V^2 + a1 V + a0
F45_09 = 1.103 * 0.9**2 - 0.362 * 0.9 + 0.2767  # 0.84433
F16_08 = 0.2958 * 0.8**2 - 0.1241 * 0.8 + 0.03024  # 0.120272
F7_07 = 0.1776 * 0.7**2 - 0.09097 * 0.7 + 0.02447  # 0.047815
TO_16 = F16_08 / F45_09  # 0.142447
TO_7 = F7_07 / F45_09  # 0.0566307


def scaled_table(tmp_path, target, *, node, volt, **corner):
    path = tmp_path / "my.toml"
    done = scale(str(target), Corner(node, volt), from_node=None, from_voltage=None, **corner)
    path.write_text(done.text)
    return CostTable.load(path)


def test_logic_factors():
    factor = logic_factor(Corner(45, 0.9), Corner(16, 0.8))
    assert factor.energy == pytest.approx(TO_16, rel=1e-5)
    assert factor.energy == 0.142447  # the six digits that notes state are the ones applied
    assert factor.area == 0.19
    back = logic_factor(Corner(16, 0.8), Corner(45, 0.9))
    assert (back.energy, back.area) == (pytest.approx(1 / TO_16, rel=1e-5), 5.3)
    assert logic_factor(Corner(45, 0.9), Corner(45, 0.9)).energy == 1


def test_voltage_alone_changes_energy_but_no_area():
    factor = logic_factor(Corner(45, 0.9), Corner(45, 0.7))
    assert factor.energy == pytest.approx((1.103 * 0.49 - 0.362 * 0.7 + 0.2767) / F45_09, rel=1e-5)
    assert factor.area == 1


def test_factors_are_those_of_the_reference():
    with (cost_models_dir() / "scaling" / "stillmaker2017.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["node_nm"]) for row in rows] == [130, 90, 65, 45, 32, 20, 16, 14, 10, 7]
    assert all(float(row[f"area_to_{row['node_nm']}nm"]) == 1 for row in rows)
    assert all("Stillmaker" in row["source"] for row in rows)


def test_sram_has_a_factor_from_45_to_7_nm_only():
    megabyte = 8 * 2**20
    assert sram_factor(Corner(45, 0.9), Corner(7, 0.7), megabyte, 64) == 14 / 100
    for source, to, capacity in [
        (Corner(45, 0.9), Corner(16, 0.8), megabyte),
        (Corner(7, 0.7), Corner(45, 0.9), megabyte),
        (Corner(45, 1.0), Corner(7, 0.7), megabyte),
        (Corner(45, 0.9), Corner(7, 0.7), megabyte * 2),
    ]:
        assert sram_factor(source, to, capacity, 64) is None


def test_16nm_table(tmp_path):
    table = scaled_table(tmp_path, "asic-45nm", node=16, volt=0.8)
    assert (table.target, table.node, table.default_width) == ("asic-45nm-16nm-0.8V", "16 nm, 0.8 V", 16)
    assert table.title.endswith("scaled to 16 nm, 0.8 V")
    multiply = table.price("multiply", width=32).details
    assert multiply["energy_pj"].value == pytest.approx(3.1 * TO_16, rel=1e-5)
    assert multiply["energy_pj"].high == pytest.approx(12.68341 * TO_16, rel=1e-5)
    assert multiply["area_um2"].value == pytest.approx(3495 * 0.19)
    xnor = table.price("xnor", width=1).cost
    assert xnor.energy_pj == pytest.approx(0.0180559 / 32 * TO_16, rel=1e-5)
    assert table.price("shift_constant", width=8).cost.energy_pj == 0
    original = CostTable.load("asic-45nm")
    for op in original.units():
        size = {"width": 16, "bits": 288, "exponents": 2}
        before, after = (t.price(op, **size).cost for t in (original, table))
        assert after.energy_pj == pytest.approx(before.energy_pj * TO_16, rel=1e-5), op
        assert after.area_um2 == pytest.approx(before.area_um2 * 0.19), op


def test_every_scaled_figure_is_derived_and_names_factor_and_source(tmp_path):
    table = scaled_table(tmp_path, "asic-45nm", node=16, volt=0.8)
    for figure in (f for found in table.figures.values() for f in found if not f.parts):
        assert (figure.method, figure.confidence) == ("derived", "derived")
        assert "stillmaker2017" in figure.sources
        assert "scaled from 45 nm, 0.9 V to 16 nm, 0.8 V:" in figure.note
        assert {"energy_pj": "energy x 0.142447", "area_um2": "area x 0.19"}[figure.field] in figure.note
    assert "Scaled by abcost, not measured" in table.note


def test_sram_is_left_out_where_it_has_no_factor_and_dram_stays(tmp_path):
    table = scaled_table(tmp_path, "asic-45nm", node=16, volt=0.8)
    original = CostTable.load("asic-45nm")
    assert list(table.memory.levels) == ["dram"]
    dram = table.memory.levels["dram"]
    assert (dram.low_pj, dram.energy_pj, dram.high_pj) == (1280, 1300, 2600)
    assert dram.confidence == original.memory.levels["dram"].confidence
    assert dram.note.startswith("DRAM is not scaled: as cited")
    assert table.memory.weights is dram
    assert table.memory.activations is None  # unknown, and so is memory energy
    assert "left out: sram-8KB, sram-32KB, sram-1MB; a factor for SRAM is published" in table.note


def test_7nm_table_scales_sram_by_its_own_factor(tmp_path):
    table = scaled_table(tmp_path, "asic-45nm", node=7, volt=0.7)
    assert table.price("add", width=32).cost.energy_pj == pytest.approx(0.1 * TO_7, rel=1e-5)
    levels = table.memory.levels
    for name in ("sram-8KB", "sram-32KB", "sram-1MB"):  # by construction those of Jouppi et al.
        assert levels[name].energy_pj == CostTable.load("asic-7nm").memory.levels[name].energy_pj
        assert levels[name].confidence == "derived"
        assert "sram-45nm-7nm" in levels[name].sources
    assert levels["dram"].energy_pj == 1300
    assert table.memory.activations.name == "sram-1MB"


def test_a_figure_from_memory_does_not_become_surer_by_scaling(tmp_path):
    path = tmp_path / "my.toml"
    path.write_text(scale("asic-7nm", Corner(16, 0.8), from_node=None, from_voltage=0.7).text)
    table = CostTable.load(path)
    assert table.price("multiply", width=32).details["energy_pj"].confidence == "from memory"
    assert table.price("multiply", width=8).details["energy_pj"].confidence == "derived"
    assert table.memory.activations is None


def test_a_scaled_table_scales_on(tmp_path):
    first = tmp_path / "first.toml"
    first.write_text(scale("asic-45nm", Corner(16, 0.8), from_node=None, from_voltage=None).text)
    table = scaled_table(tmp_path, first, node=45, volt=0.9)
    assert table.price("multiply", width=32).cost.energy_pj == pytest.approx(3.1, rel=1e-5)


def test_a_table_without_memory(tmp_path):
    mine = tmp_path / "mine.toml"
    mine.write_text(
        'schema = 1\ntarget = "mine"\ntitle = "t"\ntechnology = "asic"\nnode = "65 nm, 1.0 V"\n'
        '[[entry]]\nop = "add"\nenergy_pj = "0.01 * width"\nvalid_width = [2, 32]\nsource = "a b"\n'
        'method = "cited"\nconfidence = "verified"\n[source."a b"]\ntitle = "say \\"x\\""\nwhere = "Table 1"\n'
    )
    table = scaled_table(tmp_path, mine, node=65, volt=1.2)
    f = [3.755 * v**2 - 4.398 * v + 1.975 for v in (1.0, 1.2)]
    assert table.price("add", width=16).cost.energy_pj == pytest.approx(0.16 * f[1] / f[0], rel=1e-5)
    assert table.memory is None
    assert table.sources["a b"].title == 'say "x"'


@pytest.mark.parametrize(
    ("target", "corner", "given", "reason"),
    [
        (
            "asic-45nm",
            Corner(22, 0.8),
            (None, None),
            r"^--node 22: no scaling factors for 22 nm \(known: 130, 90,",
        ),
        (
            "asic-45nm",
            Corner(16, 0.2),
            (None, None),
            r"^--voltage 0.2: the energy fit of 16 nm answers above 0.210 V",
        ),
        ("asic-45nm", Corner(16, 800), (None, None), r"^--voltage 800: .* up to 1.8 V only$"),
        ("asic-45nm", Corner(16, float("nan")), (None, None), r"^--voltage nan: "),
        ("asic-45nm", Corner(16, -0.8), (None, None), r"^--voltage -0.8: "),
        ("asic-45nm", Corner(45, 0.9), (None, None), r"^asic-45nm is at 45 nm, 0.9 V already; name another"),
        (
            "asic-45nm",
            Corner(16, 0.8),
            (None, 1.0),
            r"^--from-voltage 1 contradicts asic-45nm, which is at 45 nm,",
        ),
        ("asic-45nm", Corner(16, 0.8), (65, None), r"^--from-node 65 contradicts asic-45nm"),
        (
            "asic-7nm",
            Corner(16, 0.8),
            (None, None),
            r"^asic-7nm does not state its voltage .*; give --from-voltage$",
        ),
        ("asic-7nm", Corner(16, 0.8), (None, 0.1), r"^--from-voltage 0.1: the energy fit of 7 nm"),
        ("fpga-lut6", Corner(16, 0.8), (None, None), r"^fpga-lut6 is an FPGA table: "),
        ("fpga-zc706-energy", Corner(16, 0.8), (28, 1.0), r"^fpga-zc706-energy is an FPGA table: "),
    ],
)
def test_refusals(target, corner, given, reason):
    with pytest.raises(UsageError, match=reason) as raised:
        scale(target, corner, from_node=given[0], from_voltage=given[1])
    assert "\n" not in str(raised.value)


def test_refuses_what_no_factor_scales(tmp_path):
    mine = tmp_path / "mine.toml"
    text = (cost_models_dir() / "asic-45nm.toml").read_text()
    mine.write_text(text.replace('op = "multiply"\n', 'op = "multiply"\nffs = 32\n', 1))
    with pytest.raises(UsageError, match=r"^multiply prices ffs, which no factor scales"):
        scale(str(mine), Corner(16, 0.8), from_node=None, from_voltage=None)
    mine.write_text(text.replace("0.9 V", "nominal"))
    with pytest.raises(UsageError, match="does not state its node"):
        scale(str(mine), Corner(16, 0.8), from_node=None, from_voltage=None)
    with pytest.raises(UnknownName):
        scale("asic-46nm", Corner(16, 0.8), from_node=None, from_voltage=None)
    formula = " + ".join(["width"] * 119)
    assert len(formula) < MAX_LENGTH  # before it is scaled
    long = f'energy_pj = "{formula}"\nvalid_width = [8, 32]'
    mine.write_text(re.sub(r'(op = "add"\n)(.*\n)*?(source)', rf"\1{long}\n\3", text, count=1))
    with pytest.raises(CostError, match="too long"):
        scale(str(mine), Corner(16, 0.8), from_node=None, from_voltage=None)


def test_command_writes_a_table_that_loads_and_says_what_it_did(tmp_path):
    mine = tmp_path / "my.toml"
    arguments = ["scale", "asic-45nm", "--node", "16", "--voltage", "0.8"]
    result = CliRunner().invoke(app, [*arguments, "-o", str(mine)])
    assert (result.exit_code, result.stdout) == (0, "")
    assert "note: asic-45nm from 45 nm, 0.9 V to 16 nm, 0.8 V: logic energy x 0.142447" in result.stderr
    assert "note: left out: sram-8KB" in result.stderr
    assert "note: DRAM stays as cited: dram" in result.stderr
    assert CostTable.load(mine).target == "asic-45nm-16nm-0.8V"
    assert (
        CliRunner().invoke(app, arguments).stdout == mine.read_text()
    )  # same bytes, and only data on stdout
    shown = CliRunner().invoke(app, ["show", str(mine), "--format", "json"]).stdout
    assert json.loads(shown)["memory"]["activations"] is None


def test_command_refuses_in_one_line_with_status_2(capsys):
    assert run_cli(["targets", "scale", "asic-45nm", "--node", "22", "--voltage", "0.8"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert re.fullmatch(r"error: --node 22: .*\n", captured.err)


def test_factors_are_no_targets():
    assert not {"stillmaker2017", "scaling"} & set(bundled_targets())


@pytest.mark.parametrize(
    ("item", "text"),
    [
        ("a\n b", '"a b"'),
        (True, "true"),
        (2, "2"),
        (0.5, "0.5"),
        ([1, [2]], "[1, [2]]"),
        ({"a b": 1}, '{ "a b" = 1 }'),
    ],
)
def test_toml_text(item, text):
    assert toml.value(item) == text


def test_toml_text_refuses_what_toml_has_not():
    with pytest.raises(TypeError, match="no TOML for NoneType"):
        toml.value(None)
