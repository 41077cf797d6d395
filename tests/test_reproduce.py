"""`abcost reproduce`: every published figure, derived here from shapes, and the files of `reports/`."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
import typer
from typer.testing import CliRunner

import abcost.reproduce
from abcost.cli.reproduce import reproduce as command
from abcost.core.primitives import PUBLISHED_ORIGINS, Origin
from abcost.errors import OutputError, UnknownName, UsageError
from abcost.reproduce import reference_files, render_json, render_markdown, reproduce
from abcost.reproduce.multiplications import ROWS
from abcost.reproduce.printed import Verdict, millions, percent, two_digits

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")  # by fvcore's import
REPORTS = Path(__file__).parents[1] / "reports"
STATE_DICTS = Path(__file__).parent / "data" / "reference" / "state_dicts.json"

# ResNets at 224x224: (channels, height = width) of the four stages
STAGES = [(64, 56), (128, 28), (256, 14), (512, 7)]
BLOCKS_18 = sum(4 * ch * hw**2 for ch, hw in STAGES)  # output elements of all blocks
BLOCKS_34 = sum(depth * ch * hw**2 for depth, (ch, hw) in zip((6, 8, 12, 6), STAGES, strict=True))
SHORTCUTS = sum(ch * hw**2 for ch, hw in STAGES[1:])  # outputs of the three shortcut convolutions
POOLED = sum(before * hw**2 for (before, _), (_, hw) in pairwise(STAGES))  # outputs of their 2x2 pools
SHORTCUT_CONVS = sum(before * after * hw**2 for (before, _), (after, hw) in pairwise(STAGES))  # 1x1
BETA_18 = BLOCKS_18 + sum(  # a strided block's input is larger than its output
    before * hw_before**2 - after * hw**2 for (before, hw_before), (after, hw) in pairwise(STAGES)
)
K_MAP = sum(4 * hw**2 for _, hw in STAGES)

# ReActNet-A at 224x224: (input channels, output channels, input size, output size) of the 13 blocks
WIDTHS = [32, 64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024]
SIZES = [112, 112, 56, 56, 28, 28, 14, 14, 14, 14, 14, 14, 7, 7]
BLOCKS = [(*chs, *hws) for chs, hws in zip(pairwise(WIDTHS), pairwise(SIZES), strict=True)]
ALPHA_A = sum(i * hw**2 + o * hw**2 for i, o, _, hw in BLOCKS)  # after the 3x3 and the 1x1 convolutions
BETA_A = sum(i * hw_in**2 + i * hw**2 for i, _, hw_in, hw in BLOCKS)  # before them
POOLED_A = sum(i * hw**2 for i, _, hw_in, hw in BLOCKS if hw_in != hw)

DERIVED = {  # network -> (project's published convention, row's own convention)
    "BNN-ResNet-18": (BLOCKS_18 + SHORTCUTS, BLOCKS_18),
    "XNOR-ResNet-18": (BLOCKS_18 + SHORTCUTS, 2 * BLOCKS_18 + SHORTCUTS + K_MAP),
    "Bi-ResNet-18": (SHORTCUT_CONVS + BLOCKS_18 + SHORTCUTS + POOLED, SHORTCUT_CONVS + BLOCKS_18 + POOLED),
    "ReActNet-18": (
        SHORTCUT_CONVS + 2 * BLOCKS_18 + SHORTCUTS + POOLED,
        SHORTCUT_CONVS + 2 * BLOCKS_18 + POOLED,
    ),
    "ReActNet-18 (BN-free)": (BETA_18 + 2 * BLOCKS_18 + POOLED, 3 * BLOCKS_18 + POOLED),
    "Bi-ResNet-34": (SHORTCUT_CONVS + BLOCKS_34 + SHORTCUTS + POOLED, SHORTCUT_CONVS + BLOCKS_34 + SHORTCUTS),
    "ReActNet-A": (2 * ALPHA_A + POOLED_A, 2 * ALPHA_A + 4 * POOLED_A),
    "ReActNet-A (BN-free)": (BETA_A + 2 * ALPHA_A + POOLED_A, BETA_A + 2 * ALPHA_A + POOLED_A),
    "Bi-ResNet-18 (A&B)": (SHORTCUT_CONVS, 0),
    "ReActNet-18 (A&B)": (0, 0),
    "ReActNet-34 (A&B)": (0, 0),
    "ReActNet-A (A&B)": (0, 0),
}


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    """As the command does: with threads, tests side by side slow each other down fivefold."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def found():
    return reproduce()


@pytest.fixture(scope="module")
def files(found):
    return reference_files(found)


@pytest.fixture
def run(found, monkeypatch):
    """Runs the command on tables computed once, or on those given."""

    def call(*arguments, tables=found):
        monkeypatch.setattr(abcost.reproduce, "reproduce", lambda _progress: tables)
        app = typer.Typer()
        app.command("reproduce")(command)
        return CliRunner().invoke(app, list(map(str, arguments)))

    return call


def test_the_sizes_that_the_facts_name():
    assert (BLOCKS_18, BETA_18, POOLED) == (1_505_280, 1_680_896, 87_808)
    assert (SHORTCUTS, K_MAP, SHORTCUT_CONVS, BLOCKS_34) == (175_616, 16_660, 19_267_584, 2_759_680)
    assert (ALPHA_A, BETA_A, POOLED_A) == (4_641_280, 4_992_512, 376_320)


def test_every_row_of_the_paper_is_there():
    assert [row.network for row in ROWS] == list(DERIVED)


@pytest.mark.parametrize("network", DERIVED)
def test_multiplications_come_out(found, network):
    row = next(row for row in found.multiplications if row.paper.network == network)
    project, own = DERIVED[network]
    assert (row.counted, row.by_convention) == (project, own)
    assert row.paper.published == (f"{own / 1e6:.2f} M" if own else "0")
    assert row.verdict is (Verdict.EXACT if project == own else Verdict.CONVENTION)
    assert bool(row.paper.convention and row.paper.note) is (row.verdict is Verdict.CONVENTION)


def test_a_formula_adds_up_and_names_its_terms(found):
    formulas = {row.paper.network: row.formula for row in found.multiplications}
    assert formulas["ReActNet-18 (BN-free)"] == (
        "4,779,264 + 1,505,280 (block outputs) - 1,680,896 (beta at block inputs) = 4,603,648"
    )
    assert formulas["ReActNet-A (BN-free)"] == "14,651,392 = 14,651,392"


def test_other_readings_give_the_same_numbers():
    """What the notes of Bi-ResNet-34 and XNOR-ResNet-18 say of their conventions."""
    assert SHORTCUTS == 2 * POOLED  # pooled outputs twice, no shortcut batch norm
    assert DERIVED["Bi-ResNet-34"][1] == SHORTCUT_CONVS + BLOCKS_34 + 2 * POOLED


def test_strict_trace_keeps_what_the_paper_leaves_out(found):
    """A&B networks are free of what the paper counts, not of multiplications."""
    row = next(row for row in found.multiplications if row.paper.network == "ReActNet-A (A&B)")
    assert {origin.value: count for origin, count in row.strict.items() if count} == {
        "weight_scale": ALPHA_A,  # gain*s acts where alpha does
        "stem": 32 * 3 * 9 * 112**2,
        "classifier": 1024 * 1000,
    }
    assert {row.stage for row in found.multiplications if row.paper.variant == "ab"} == {"add_and_bit"}
    assert {row.stage for row in found.multiplications if row.paper.variant != "ab"} == {"traced"}


def test_distribution(found):
    shares = {(s.network, s.origin): s for s in found.distribution}
    whole_18, whole_a = 3 * BLOCKS_18 + POOLED, BETA_A + 2 * ALPHA_A + POOLED_A
    pooling = shares["ReActNet-18 (BN-free)", Origin.AVG_POOL]
    assert (pooling.count, pooling.share) == (POOLED, f"{100 * POOLED / whole_18:.1f}")
    assert all(s.verdict is Verdict.EXACT for s in found.distribution if s.network == "ReActNet-18 (BN-free)")
    beta_18 = shares["ReActNet-18 (BN-free)", Origin.ACTIVATION_SCALE]
    assert beta_18.strict_share == f"{100 * BETA_18 / (BETA_18 + 2 * BLOCKS_18 + POOLED):.1f}"

    # 4,992,512 of 14,651,392 is 34.08 %; the paper prints 34.0 %, so that the four add up to 100.0
    beta_a = shares["ReActNet-A (BN-free)", Origin.ACTIVATION_SCALE]
    assert beta_a.share == f"{100 * BETA_A / whole_a:.1f}" == "34.1"
    assert (beta_a.published_share, beta_a.remainder) == ("34.0", f"{100 - 31.7 - 31.7 - 2.6:.1f}")
    assert beta_a.verdict is Verdict.CONVENTION


def test_units_and_one_layer(found):
    by_name = {unit.name: unit.table for unit in found.units}
    assert by_name == {
        "multiplier": (47, 12, 4),
        "bit-shift": (32, 11, 0),
        "PReLU": (57, 17, 4),
        "quantized PReLU": (32, 9, 0),
    }
    assert [(s.before, s.after, s.saved) for s in found.one_layer] == [
        (47 + 47 + 57, 32 + 32, "57.6"),
        (12 + 12 + 17, 11 + 9, "51.2"),
        (4 + 4 + 4, 0, "100.0"),
    ]


def test_published_units_are_what_synthesis_gives(found):
    """LUT and DSP as published, under readings of which only the PReLU has a parameter chosen to fit."""
    meant = {unit.name: [(s.luts, s.dsps, s.reading.fitted) for s in unit.meant] for unit in found.units}
    assert meant == {
        "multiplier": [(47, 4, 0)],
        "bit-shift": [(32, 0, 0)],
        "PReLU": [(47 + 10, 4, 1)],  # a select per fraction bit behind the multiplier, 10 of them
        "quantized PReLU": [(31, 0, 0), (32, 0, 0)],  # to the right the sign bit needs no select
    }


def test_readings_that_do_not_fit_stand_beside_those_that_do(found):
    others = {s.reading.text: s for unit in found.units for s in unit.readings if not s.reading.meant}
    assert others["constant shift: wiring"].luts == 0
    assert others["multiplier and select, 16 fraction bits"].luts == 47 + 16
    assert (
        others["barrel shifter, arithmetic, 0 to 31 bits"].luts > 3 * 32
    )  # three levels of 4:1 multiplexers
    assert not any(unit.fits(s) for unit in found.units for s in unit.readings if not s.reading.meant)


def test_a_measured_unit_that_is_not_as_published_differs(found):
    unit = found.units[0]
    wrong = replace(unit, readings=(replace(unit.readings[0], luts=48),))
    assert (unit.verdict, wrong.verdict) == (Verdict.EXACT, Verdict.DIFFERS)


def test_parameters_are_those_of_the_reference(found):
    reference = json.loads(STATE_DICTS.read_text())
    for row in found.parameters:
        assert row.ours == reference[row.model][row.preset]["params"], row
        assert row.published == f"{row.ours / 1e6:.2f} M"


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        (millions(1_505_280), "1.51 M"),  # 1.50528
        (millions(22_202_880), "22.20 M"),
        (millions(0), "0"),
        (two_digits(4_641_280), "4.6 M"),
        (two_digits(376_320), "0.38 M"),
        (percent(41 - 20, 41), "51.2"),
    ],
)
def test_rounding_as_printed(text, printed):
    assert text == printed


def test_everything_comes_out(found):
    assert found.failures() == []
    assert json.loads(render_json(found))["reproduced"] is True


def tampered(found):
    """The tables if the paper had printed 4.70 M for ReActNet-18 (BN-free), and one share, unit and size less."""
    row = next(row for row in found.multiplications if row.paper.network == "ReActNet-18 (BN-free)")
    wrong = replace(row, paper=replace(row.paper, published="4.70 M"))
    return replace(
        found,
        multiplications=tuple(wrong if r is row else r for r in found.multiplications),
        distribution=(replace(found.distribution[0], published="1.4 M"),),
        units=(replace(found.units[0], table=(46, 12, 4)),),
        one_layer=(replace(found.one_layer[0], before=150),),
        parameters=(replace(found.parameters[0], ours=11_174_074),),
    )


def test_a_row_that_does_not_come_out_is_named_and_the_status_is_1(run, found):
    tables = tampered(found)
    assert [line.partition(":")[0] for line in tables.failures()] == [
        "multiplications of ReActNet-18 (BN-free)",
        "share of activation_scale in ReActNet-18 (BN-free)",
        "unit multiplier",
        "one layer, luts",
        "parameters of ReActNet-18, cifar10",
    ]
    result = run("--format", "json", tables=tables)
    assert result.exit_code == 1
    assert (
        "does not come out: multiplications of ReActNet-18 (BN-free): published 4.70 M, ours 4,779,264"
        in result.stderr
    )
    assert json.loads(result.stdout)["reproduced"] is False  # the data is there all the same


def test_reports_hold_what_the_command_makes(files):
    """Regenerate with `abcost reproduce --reports reports`; the rest is measured, each by a make target of its own."""
    measured = {
        "slope_ablation.md",
        "slope_ablation.csv",
        "peers.md",
        "peers.csv",
        "growth.md",
        "fixed_work.md",
        "grouped_training.md",
        "bf16_backward.md",
        "search_worth.md",
        "search_scaling.csv",
        "search_scaling.md",
        "search_pricing.md",
        "imagenet_node.md",
    }
    measured |= {"search.md", "search_untrained.csv", "fuzzing.md", "fuzzing.csv", "energy.md", "energy.csv"}
    measured |= {"routed.md", "build.md", "fixed_point.md", "cell_energy.md", "mapped_blocks.md"}
    measured |= {"mapped_blocks.csv"}
    assert {path.name for path in REPORTS.iterdir()} - measured == set(files)
    for name, text in files.items():
        assert text.encode() == (REPORTS / name).read_bytes(), f"{name} has drifted: make reports"


def test_reports_are_small_and_name_no_machine(files):
    assert sum(len(text.encode()) for text in files.values()) < 90_000
    for text in files.values():
        assert str(Path(__file__).parents[1]) not in text
        assert str(Path.home()) + "/" not in text


def test_reference_analyses_agree_with_the_tables(found, files):
    analysis = json.loads(files["analyze_reactnet_a_fpga-lut6.json"])
    lowered = analysis["stages"][-1]
    row = next(row for row in found.multiplications if row.paper.network == "ReActNet-A (A&B)")
    assert lowered["multiplications"] == {origin.value: count for origin, count in row.strict.items()}
    assert analysis["published_convention"]["traced"] == DERIVED["ReActNet-A (BN-free)"][0]


def test_reports_option_writes_every_file(run, files, monkeypatch, tmp_path):
    monkeypatch.setattr(abcost.reproduce, "reference_files", lambda _found: files)
    assert run("--reports", tmp_path).exit_code == 0
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == files


def test_formats(run, found, tmp_path):
    target = tmp_path / "tables.md"
    result = run("--format", "md", "--output", target)
    assert (result.exit_code, result.output) == (0, "")
    assert target.read_text() == render_markdown(found) == run("--format", "md").stdout
    assert run("--format", "json").stdout == render_json(found)
    assert list(tmp_path.iterdir()) == [target]


def test_rich_fits_a_hundred_columns(run, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    lines = run().stdout.splitlines()
    assert max(map(len, lines)) <= 100
    for row in ROWS:
        assert any(line.split()[: len(row.network.split())] == row.network.split() for line in lines)
    assert any("Cited, not measured" in line for line in lines)


def test_markdown_tables_are_rectangular(found):
    blocks = [block for block in render_markdown(found).split("\n\n") if block.startswith("|")]
    assert len(blocks) == 12
    for block in blocks:
        assert len({line.count("|") for line in block.splitlines()}) == 1


def test_published_origins_are_all_shown(found):
    text = render_markdown(found)
    for name in ("beta", "alpha", "RPReLU", "pooling", "batch norm", "shortcut"):
        assert f"| {name} " in text
    assert len(PUBLISHED_ORIGINS) == 6


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        (["--format", "html"], UnknownName, "no --format choice 'html'"),
        (["--output", "nowhere/x.md"], OutputError, "there is no folder nowhere"),
        (["--output", "."], OutputError, "is a folder"),
        (["--reports", "nowhere"], OutputError, "--reports nowhere: there is no such folder; make it first"),
        (["--reports", ".", "--output", "x"], UsageError, "leave --output and --format out"),
        (["--reports", ".", "--format", "md"], UsageError, "leave --output and --format out"),
    ],
)
def test_refusals_come_before_the_work(run, monkeypatch, tmp_path, arguments, error, text):
    monkeypatch.chdir(tmp_path)
    result = run(*arguments, tables=None)
    assert isinstance(result.exception, error)
    assert text in str(result.exception)
    assert "\n" not in str(result.exception)
    assert list(tmp_path.iterdir()) == []


def test_blocks_of_silicon_have_every_stage_and_the_operations_that_fvcore_counts(found):
    targets = {row.target for row in found.blocks}
    assert {"asic-gt2n", "asic-sg13g2"} <= targets
    for target in targets:
        rows = [row for row in found.blocks if row.target == target]
        assert [row.stage for row in rows] == ["traced", "mask_removed", "rprelu_quantized", "add_and_bit"]
        assert all(row.fps >= 1000 for row in rows)
        assert all(earlier.area_mm2 >= later.area_mm2 for earlier, later in pairwise(rows))
        for row in rows:
            if row.energy_uj is not None:  # 555,422,720 multiply-accumulates by fvcore, two operations each
                assert row.tops_per_w == pytest.approx(2 * 555_422_720 / row.energy_uj / 1e6)
                assert row.total_mw == pytest.approx(row.energy_uj * row.fps / 1e3)
