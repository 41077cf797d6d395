"""The first screen of `abcost analyze`, and what a report says of itself in Python."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace

import pytest
import torch
from torch import nn

from abcost.accelerator.devices import device
from abcost.accelerator.solve import AcceleratorGoal
from abcost.cli import run
from abcost.cost.organisation import Lanes
from abcost.models import build
from abcost.pipeline import analyze
from abcost.report.drawing import draw, grid
from abcost.report.format import View
from abcost.report.frame import frame
from abcost.report.verdict import MOST_LINES, verdict_text
from analyzing import ZOO

# ReActNet-A by hand: (channels in, channels out, pixels out) of its 13 blocks at 224x224
BLOCKS = [(32, 64, 112), (64, 128, 56), (128, 128, 56), (128, 256, 28), (256, 256, 28), (256, 512, 14),
          *[(512, 512, 14)] * 5, (512, 1024, 7), (1024, 1024, 7)]  # fmt: skip
BINARY = sum(size**2 * (9 * i * i + i * o) for i, o, size in BLOCKS)  # a 3x3 and 1x1 convolutions
STEM, CLASSIFIER = 27 * 32 * 112**2, 1024 * 1000
SCALED = sum(size**2 * (i + o) for i, o, size in BLOCKS)  # outputs of binary convolutions
LEFT = STEM + CLASSIFIER + SCALED
PUBLISHED = 14_651_392  # as the paper prints it
TRACED = PUBLISHED + LEFT + 1024  # and the global average

FORMS = {"target": ("--target", "fpga-lut6"), "device": ("--device", "xcu250", "--fps", "60")}


@pytest.fixture(scope="module")
def screens(tmp_path_factory):
    """What `abcost analyze reactnet_a` writes at 80 columns, in both forms."""
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "80")
        for name, options in FORMS.items():
            file = tmp_path_factory.mktemp("screens") / name
            assert run(["analyze", "reactnet_a", *options, "-o", str(file)]) == 0
            found[name] = file.read_text()
    return found


def first_screen(text):
    """Label -> text of the lines before the first blank one."""
    lines = text.split("\n\n")[0].splitlines()
    assert len(lines) <= MOST_LINES
    assert max(map(len, lines)) <= 80
    fields, label = {}, ""
    for line in lines:
        label = line[:12].strip() or label
        fields[label] = f"{fields.get(label, '')} {line[12:]}".strip()
    return fields


def row(text, label, column=2):
    """A cell of the first row so called: 1, of the first stage; 2, of the last."""
    line = next(line for line in text.splitlines() if line.strip().startswith(label))
    return re.split(r" {2,}", line.strip())[column]


@pytest.mark.parametrize("form", FORMS)
def test_the_first_lines_say_what_is_computed(screens, form):
    said = first_screen(screens[form])
    assert "reactnet_a (ab), 1x3x224x224, 29,332,648 parameters, on fpga-lut6" in said["model"]
    real = STEM + CLASSIFIER
    assert said["MACs"] == f"{BINARY + real:,}: {BINARY:,} of 1x1, {real:,} of 16x16 bits"
    assert said["multiplies"] == f"{TRACED:,} -> {LEFT:,} (-47.0 %), as published {PUBLISHED:,} -> 0"
    assert said["unknown"] == "nothing"
    assert said["warnings"].startswith("2: weights are untrained; 1 binary weight tensors hold exact zeros")


def test_without_a_device_units_are_of_one_lane_and_cycles_stand_beside_them(screens):
    text = screens["target"]
    said = first_screen(text)
    luts, dsps = (f"{row(text, name, 1)} -> {row(text, name)} {name}" for name in ("LUTs", "DSP slices"))
    assert (
        said["area"] == f"{luts}, {dsps}; one lane per node, {STEM:,} cycles an inference (feature.0.conv1)"
    )
    assert row(text, "cycles") == f"{STEM:,}"  # a product a cycle; a binary dot product takes K/64
    assert re.fullmatch(
        rf"\S+ mJ -> {row(text, 'energy per')} an inference \({row(text, 'low to')}\)", said["energy"]
    )
    assert said["frames/s"].startswith("unknown without a device or a wanted rate")


def test_with_a_device_the_resources_are_the_accelerators(screens):
    text = screens["device"]
    said = first_screen(text)
    assert said["answer"] == "yes: it fits"
    luts = int(row(text, "LUTs").split()[0].replace(",", ""))
    assert said["accelerator"].startswith(f"xcu250, pipelined: {luts:,} LUTs ({luts / 1_728_000:.0%}), ")
    for name in ("flip-flops", "DSP slices", "LUTs as RAM", "BRAM18"):
        used, share = row(text, name).split()
        assert f"{used} {name} {share}" in said["accelerator"]
    cycles = int(row(text, "cycles/frame").replace(",", ""))
    fmax, low, high = re.fullmatch(r"(\S+) \((\S+) to (\S+)\)", row(text, "Fmax, MHz")).groups()
    assert float(fmax) > 100
    assert said["frames/s"] == (
        f"{100e6 / cycles:.3g} at 100 MHz, clock met (Fmax {fmax}, {float(low):.3g}-{float(high):.3g}); "
        f"latency {row(text, 'latency, ms')} ms"
    )
    spent = float(row(text, "uJ/frame").replace(",", ""))
    assert said["energy"].startswith(f"{spent / 1000:.4g} mJ a frame (")
    assert "one lane per node" not in text
    assert "Units instantiated" not in text
    assert len(re.findall(r"^ +LUTs {2,}", text, re.MULTILINE)) == 1  # one total


def test_no_stage_and_no_name_is_lost_at_80_columns(screens):
    with torch.device("meta"):
        convolutions = [
            n for n, m in build("reactnet_a").named_modules() if hasattr(m, "weight") and m.weight.ndim == 4
        ]
    text = screens["device"]
    assert "Stages mask_removed and rprelu_quantized stand between these two" in text
    folding = {line.split()[0]: line for line in text[text.index("Folding") :].splitlines() if line.strip()}
    assert len(convolutions) == 1 + sum(2 if i == o else 3 for i, o, _ in BLOCKS)
    assert set(convolutions) <= set(folding)
    assert "left out at 80 columns: FFs" in text
    for rule in ("positive-scale-before-sign", "mask-before-sign", "rprelu_quantized"):
        assert rule in text
    assert max(map(len, text.splitlines())) <= 80


def test_a_clock_that_is_not_met(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert run(["analyze", *ZOO, "--device", "lfe5u-85f", "--brief"]) == 1
    out, err = capsys.readouterr()
    said = first_screen(out)
    assert said["answer"].startswith("no: a clock of 100 MHz is not met")
    assert "100 MHz, clock NOT met (Fmax " in said["frames/s"]
    assert said["energy"].startswith("unknown: no figure for block RAM; what is known is ")
    assert said["unknown"] == "energy of block RAM"
    assert "no: fpga-ecp5: a clock of 100 MHz is not met" in err
    assert out.count("\n") <= MOST_LINES


def test_brief_is_the_verdict_and_full_has_the_conventions(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    command = ["analyze", *ZOO, "--preset", "digits", "--base-width", "8", "--blocks", "1"]
    command = [*command[:2], *command[4:]]
    texts = {}
    for option in ("--brief", "--full"):
        assert run([*command, option]) == 0
        texts[option] = capsys.readouterr().out
    report = analyze("reactnet_18", preset="digits", base_width=8, blocks=(1,))
    assert texts["--brief"] == report.summary() + "\n"
    assert texts["--full"].startswith(report.summary() + "\n\n")
    assert "Conventions\n" in texts["--full"]
    assert "figures measured: " in texts["--full"]


def test_several_targets_have_a_line_each(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    targets = ["fpga-lut6", "asic-45nm", "fpga-ecp5-delay"]
    options = [option for name in targets for option in ("-t", name)]
    assert run(["analyze", *ZOO, *options, "--brief"]) == 0
    said = first_screen(capsys.readouterr().out)
    assert list(said) == ["model", "MACs", "multiplies", "cost", "warnings"]
    costs = re.split(r"(fpga-lut6|asic-45nm|fpga-ecp5-delay): ", said["cost"])[1:]
    assert costs[::2] == targets
    assert "um2" in costs[3]
    assert costs[5].startswith("unknown: no figure for add, compare, multiply")


# what a report says of itself


class Named(nn.Module):
    """A layer whose name is no HTML and no markup."""

    def __init__(self):
        super().__init__()
        self.add_module("<b>[red]&", nn.Conv2d(1, 2, 3, bias=False))

    def forward(self, x):
        return next(iter(self.children()))(x)


@pytest.fixture(scope="module")
def report():
    return analyze(Named(), input_shape=(1, 1, 5, 5))


def test_a_report_is_short_in_a_prompt_and_in_a_notebook(report):
    products = 9 * 2 * 3 * 3
    assert (
        repr(report)
        == f"<Report Named on fpga-lut6: multiplications {products} -> {products}, 0 warnings; .summary()>"
    )
    assert repr(report.stages[0]) == f"<Stage traced: {products} multiplications>"
    page = report._repr_html_()
    assert len(page) < 5000
    assert "&lt;b&gt;[red]&amp;" in page
    assert "<b>" not in page


def test_a_report_of_a_long_name_is_short_too(report, tmp_path):
    place = tmp_path / ("x" * 100) / ("y" * 100)
    place.mkdir(parents=True)
    (place / "net.py").write_text("from torch import nn\n\n\ndef make():\n    return nn.Conv2d(1, 1, 1)\n")
    long = analyze(f"{place}/net.py:make", input_shape=(1, 1, 2, 2))
    assert len(repr(long)) < 200
    assert "net.py:make" in repr(long)
    assert max(map(len, long.summary().splitlines())) <= 80


def test_forms_of_a_report(report):
    assert report.to_frame().equals(frame(report))
    rows = list(csv.DictReader(io.StringIO(report.to_csv())))
    assert (
        sum(int(r["count"]) for r in rows if (r["stage"], r["kind"]) == ("traced", "multiply"))
        == 9 * 2 * 3 * 3
    )
    assert report.to_html().startswith("<!DOCTYPE html>")
    assert json.loads(json.dumps(report.to_dict()))["stages"][0]["lanes"] == {
        "cycles": 9 * 2 * 3 * 3,
        "slowest": "<b>[red]&",
    }


@pytest.mark.parametrize("width", [40, 60, 80, 120])
@pytest.mark.parametrize(
    "goal", [None, AcceleratorGoal(device("xc7z020"), fps=1e9 - 1)], ids=["lanes", "accelerator"]
)
def test_a_verdict_has_at_most_twelve_lines(report, width, goal):
    other = report if goal is None else analyze(Named(), input_shape=(1, 1, 5, 5), accelerator=goal)
    lines = verdict_text([other], width).splitlines()
    assert len(lines) <= MOST_LINES
    assert max(map(len, lines)) <= width


@pytest.mark.parametrize(
    ("lanes", "simd", "binary", "scale"),
    [(1, 64, 2 * 9, 9), (1, 32, 2 * 9 * 2, 9), (2, 64, 9, 5), (1, 128, 9, 9)],
)
def test_cycles_of_lanes_by_hand(lanes, simd, binary, scale):
    """72 bits a dot product, 2 x 9 results: 64 bits a cycle take two cycles each; 9 results of one channel."""

    class Small(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.sign(torch.randn(1, 8, 3, 3)))

        def forward(self, x):
            return nn.functional.conv2d(torch.sign(x), self.weight) * 0.3

    found = analyze(Small(), input_shape=(1, 8, 5, 5), organisation=Lanes(lanes, simd)).stages[0]
    cycles = {node.node.kind.name: node.cycles for node in found.nodes}
    assert (cycles["CONV"], cycles["SCALE"]) == (-(-9 * -(-72 // simd) // lanes), scale)
    assert found.slowest == ("", max(cycles.values()))


def test_a_clock_without_delays_is_unknown():
    found = analyze(
        Named(), input_shape=(1, 1, 5, 5), accelerator=AcceleratorGoal(device("xc7z020"), fps=1000)
    )
    last = found.stages[-1]
    without = replace(last, organisation=replace(last.organisation, fmax=None))
    text = replace(found, stages=(*found.stages[:-1], without)).summary()
    assert "at 100 MHz, clock unknown; " in text
    assert "all delays" in text


# tables


def table():
    drawn = grid("T", "layer", "PE", "cycles", "FFs", "where", spare=[(3,), (1,)])
    drawn.add_row("layer2.0.downsample.1", "16", "1,048,576", "312", "memory outside")
    return drawn


@pytest.mark.parametrize(
    ("width", "left_out"), [(80, None), (64, None), (58, None), (52, "FFs"), (46, "FFs, PE")]
)
def test_a_grid_leaves_columns_out_before_it_breaks_a_name(width, left_out):
    text = draw(table(), View(width=width))
    assert "layer2.0.downsample.1" in text
    assert "1,048,576" in text
    assert max(map(len, text.splitlines())) <= width
    assert re.findall(r"left out at \d+ columns: (.*)", text) == ([] if left_out is None else [left_out])
