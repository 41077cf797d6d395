"""Reports for papers: Markdown, LaTeX, one chart of a size; endings of files say which."""

from __future__ import annotations

import re
import struct

import pytest
from torch import nn

import abcost
from abcost.cli import run
from abcost.report.format import FORMATS, View
from analyzing import SMALL, STAGES

PRODUCTS = 9 * 2 * 9  # 3x3 taps of one channel, 2 channels of 3x3


class Named(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3, bias=False)

    def forward(self, x):
        return self.conv(x)


@pytest.fixture(scope="module")
def report():
    return abcost.analyze(Named(), input_shape=(1, 1, 5, 5))


def drawn(report, form):
    return FORMATS.get(form)([report], View())


def test_markdown_has_a_row_per_origin_and_a_column_per_stage(report):
    lines = drawn(report, "md").splitlines()
    assert lines[0] == "# Named on fpga-lut6"
    tables = [line for line in lines if line.startswith("|")]
    assert {len(re.split(r"(?<!\\)\|", line)) for line in tables} == {1 + 1 + len(STAGES) + 1}
    assert "| multiplications: stem | 162 | 162 | 162 | 162 |" in lines
    assert f"- **multiplies**: {PRODUCTS} -\\> {PRODUCTS} (0 %), as published 0 -\\> 0" in lines


def test_latex_has_as_many_cells_in_each_row_and_no_bare_sign(report):
    text = drawn(report, "tex")
    rows = [line for line in text.splitlines() if line.endswith(r" \\")]
    assert {line.count(" & ") for line in rows} == {len(STAGES)}
    assert r"multiplications: stem & 162 & 162 & 162 & 162 \\" in rows
    assert rows[0] == r" & traced & mask\_removed & rprelu\_quantized & add\_and\_bit \\"
    assert text.count(r"\begin{tabular}{lrrrr}") == text.count(r"\end{tabular}") == 2
    assert not re.search(r"(?<!\\)[%#_]", "\n".join(rows))


def test_with_a_device_the_resources_of_a_paper_are_the_accelerators():
    report = abcost.analyze(Named(), input_shape=(1, 1, 5, 5), device="xc7z020")
    text = drawn(report, "md")
    last = report.stages[-1].organisation
    assert "Cost on fpga-lut6: accelerator on xc7z020 at 100 MHz" in text
    assert re.search(rf"\| LUTs \|.* {last.resources['luts']:,.0f} \|$", text, re.MULTILINE)
    assert "lanes per node" not in text


@pytest.mark.parametrize(
    ("name", "start"),
    [("r.json", b"{"), ("r.csv", b"model,"), ("r.md", b"# "), ("r.tex", b"% "), ("r.svg", b"<?xml"), ("r.PDF", b"%PDF"),
     ("r.txt", b"model  "), ("noend", b"model  ")],
)  # fmt: skip
def test_the_ending_of_the_output_says_the_format(tmp_path, capsys, name, start):
    assert run(["analyze", *SMALL, "-o", str(tmp_path / name)]) == 0
    assert (tmp_path / name).read_bytes().startswith(start)
    assert capsys.readouterr().out == ""


def test_the_option_wins_over_the_ending(tmp_path):
    assert run(["analyze", *SMALL, "-o", str(tmp_path / "r.csv"), "--format", "json"]) == 0
    assert (tmp_path / "r.csv").read_bytes().startswith(b"{")


def test_one_chart_of_a_size(tmp_path, report):
    file = tmp_path / "chart.png"
    report.save(file, chart="multiplications", size=(3.5, 2.5))
    assert struct.unpack(">II", file.read_bytes()[16:24]) == (3.5 * 300, 2.5 * 300)  # dots per inch
    with pytest.raises(abcost.AbcostError, match="no chart 'multplications'; did you mean 'multiplications'"):
        report.save(file, chart="multplications")
    command = ["analyze", *SMALL, "--plot", str(file), "--chart", "energy", "--size", "2x1.5"]
    assert run([*command, "-o", str(tmp_path / "r.json")]) == 0
    assert struct.unpack(">II", file.read_bytes()[16:24]) == (600, 450)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--chart", "energy"], "--chart does nothing without --plot"),
        (["--plot", "x.svg", "--size", "3"], "--size '3' is not of the form 3.5x2.5"),
        (["--plot", "x.svg", "--size", "0x2"], "--size '0x2' is not of the form 3.5x2.5"),
        (["--plot", "x.svg", "--chart", "lust"], "no chart 'lust'; did you mean 'luts'"),
        (["-o", "x.tex", "--by", "layer"], "--by does nothing with --format tex"),
        (["--brief", "--full"], "--full does nothing with --brief"),
        (["--brief", "--format", "json"], "--brief does nothing with --format json"),
    ],
)
def test_options_that_make_no_sense(options, reason, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(["analyze", *SMALL, *options]) == 2
    assert reason in capsys.readouterr().err
    assert not list(tmp_path.glob("*.svg"))
