"""`abcost rtl`: what it writes, what it refuses, and that what it writes runs."""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess

import pytest
import torch

from abcost.accelerator.design.weights import weight_words
from abcost.cli import run
from layers import USERS
from simulators import need_simulator

MODEL = f"{USERS}/bnn_function.py:factory"
CALL = ["rtl", MODEL, "--input-size", "1x3x8x8"]
LAYER = [*CALL, "--layer"]


def test_the_command_writes_a_folder_that_runs(tmp_path, capsys):
    need_simulator()
    out = tmp_path / "new" / "layer"
    assert run([*LAYER, "conv1", "--pe", "2", "--simd", "9", "--simulate", "--out", str(out)]) == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert "PASS 64 values" in said.err  # 4 windows * 8 channels, of the sum and of its sign
    assert {p.name for p in out.iterdir()} >= {
        "conv1.v", "conv1_tb.v", "conv1_weights.hex", "conv1_a.hex", "conv1_y0.hex", "conv1_y1.hex", "Makefile",
        "conv1.json",
    }  # fmt: skip
    facts = json.loads((out / "conv1.json").read_text())
    values = facts.pop("fraction_bits")
    # clock edges: the weights' two; the products'; a tree of 9, 4 deep; the accumulator's; to one lane; scale,
    # bias; the sign is wiring
    assert facts == {
        "schema": 2, "model": MODEL, "layer": "conv1", "module": "conv1", "arithmetic": "real", "taps": 27,
        "channels": 8, "positions": 64, "pe": 2, "simd": 9, "lanes": 1, "cycles_per_window": 8 // 2 * 27 // 9,
        "width_bits": 16, "latency_cycles": 2 + 1 + 4 + 1 + 1 + 2, "inputs": {},
        "outputs": {"y0": "bn1/add_const", "y1": "sign"},
    }  # fmt: skip
    head = (out / "conv1.v").read_text().split("\nmodule")[0]
    for part in (
        f"// Layer conv1 of {MODEL}: 8 channels, 27 taps each.",
        "a window takes 4 folds x 3 steps = 12 cycles.",
        "takes 1 channels at a time, in rising order.",
        f"// Values: 16 bits, signed, {values} behind the point.",
        "//   y0          16         result: bn1/add_const",
    ):
        assert part in head


def test_what_padding_and_residual_operands_mean_is_said(tmp_path):
    assert run([*LAYER, "conv2", "--pe", "2", "--simd", "24", "--out", str(tmp_path)]) == 0
    head = (tmp_path / "conv2.v").read_text().split("\nmodule")[0]
    # 24 taps are 3 kernel positions of 8 channels
    assert "//   inside      3 x 1      which of them are in the image, 8 together; others count 0" in head
    assert "//   x0          16         bn1/add_const: the next channels, there whenever x0_take is 1" in head
    assert "//   x0_take     1          x0 is read in this cycle" in head


def make_in(folder, *goals):
    call = ["make", "-C", str(folder), *goals]
    return subprocess.run(call, capture_output=True, text=True, check=False)  # noqa: S603


@pytest.mark.parametrize(
    ("goal", "needs"),
    [("simulate", "iverilog"), pytest.param("verilator", "verilator", marks=pytest.mark.slow)],
)
def test_the_commands_of_the_makefile_work(goal, needs, tmp_path):
    if not (shutil.which(needs) and shutil.which("make")):
        pytest.skip(f"needs make and {needs}")
    assert run([*LAYER, "conv1", "--pe", "2", "--simd", "9", "--out", str(tmp_path)]) == 0
    done = make_in(tmp_path, goal)
    assert done.returncode == 0, done.stderr
    assert "PASS 64 values" in done.stdout
    weights = (
        tmp_path / "conv1_weights.hex"
    )  # 2 * 9 weights of 16 bits: 72 digits; the lowest is turned a quarter
    weights.write_text("".join(f"{int(word, 16) ^ 1 << 6:072x}\n" for word in weights.read_text().split()))
    done = make_in(tmp_path, goal)
    assert done.returncode != 0
    assert "FAIL" in done.stdout


def test_the_engine_synthesizes(tmp_path):
    """On ECP5: the product of the scale in a MULT18X18D, the weights in a block RAM or LUTs."""
    if not (shutil.which("yosys") and shutil.which("make")):
        pytest.skip("needs make and yosys")
    assert run([*LAYER, "conv2", "--simd", "8", "--out", str(tmp_path)]) == 0
    done = make_in(tmp_path, "synth")
    assert done.returncode == 0, done.stderr
    assert re.search(r"MULT18X18D +\d|\d +MULT18X18D", done.stdout)
    assert (tmp_path / "synth.txt").exists()


def test_a_failing_simulation_is_status_1(tmp_path, monkeypatch, capsys):
    need_simulator()
    from abcost.emit import project as module

    monkeypatch.setattr(module, "weight_words", lambda design: 1 - weight_words(design))
    assert run([*LAYER, "conv2", "--simulate", "--out", str(tmp_path)]) == 1
    assert "FAIL" in capsys.readouterr().err


def test_the_same_command_writes_the_same_and_another_is_refused(tmp_path, capsys):
    call = [*LAYER, "conv1", "--out", str(tmp_path)]
    assert run([*call, "--pe", "2"]) == 0
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    assert run([*call, "--pe", "2"]) == 0
    assert run([*call, "--pe", "4"]) == 2
    assert "holds another conv1" in " ".join(capsys.readouterr().err.split())
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


# All engines

DEVICE = ["--device", "lfe5u-85f", "--fps", "1000"]


def test_all_engines_as_the_accelerator_is_priced(tmp_path, capsys):
    """A folder each, folded as `analyze` says for the same goal; each is simulated."""
    need_simulator()
    out = tmp_path / "all"
    assert run([*CALL, *DEVICE, "--simulate", "--out", str(out)]) == 0
    said = capsys.readouterr().err
    assert sorted(p.name for p in out.iterdir()) == ["conv1", "conv2", "fc"]
    for top in ("conv1", "conv2", "fc"):
        assert re.search(rf"^{top}_tb: PASS \d+ values$", said, re.MULTILINE)
    facts = {p.name: json.loads((p / f"{p.name}.json").read_text()) for p in out.iterdir()}
    analyze = ["analyze", MODEL, "--input-size", "1x3x8x8", "-t", "fpga-ecp5", *DEVICE, "--format", "json"]
    assert run([*analyze, "--fraction-bits", str(facts["fc"]["fraction_bits"])]) == 0
    layers = json.loads(capsys.readouterr().out)["stages"][-1]["organisation"]["layers"]
    folded = {layer["name"]: (layer["pe"], layer["simd"]) for layer in layers}
    assert folded == {name: (f["pe"], f["simd"]) for name, f in facts.items()}


def test_a_folding_of_the_users_own(tmp_path):
    own = {"schema": 1, "layers": {"conv1": {"pe": 2, "simd": 3}, "conv2": {"pe": 4, "simd": 36}}}
    file = tmp_path / "folding.json"
    file.write_text(json.dumps(own))
    assert run([*CALL, *DEVICE, "--folding", str(file), "--out", str(tmp_path / "all")]) == 0
    for name, wanted in own["layers"].items():
        facts = json.loads((tmp_path / "all" / name / f"{name}.json").read_text())
        assert {"pe": facts["pe"], "simd": facts["simd"]} == wanted


def test_an_engine_without_verilog_is_named_before_anything_is_written(tmp_path, capsys):
    """`where` flattens a map in front of a sign: its order is not the one in which the engine makes it."""
    call = ["rtl", f"{USERS}/bnn_where.py:factory", "--input-size", "1x1x8x8", *DEVICE]
    assert run([*call, "--out", str(tmp_path / "out")]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert said == "error: layer conv has no Verilog: select_3: it reads values in another order"
    assert not (tmp_path / "out").exists()


# Refusals

REFUSED = [
    (["--layer", "conv9"], "no layer 'conv9' with a dot product; there are conv1, conv2, fc"),
    (["--layer", "conv2", "--pe", "3"], "--pe 3 must divide the 8 channels of layer conv2"),
    (["--layer", "conv2", "--simd", "10"], "--simd 10 must divide the 72 taps of layer conv2"),
    (["--layer", "conv2", "--pe", "0"], "--pe must be at least 1, got 0"),
    (["--layer", "conv2", "--simd", "0"], "--simd must be at least 1, got 0"),
    (["--layer", "conv2", "--windows", "0"], "--windows must be at least 1, got 0"),
    (["--layer", "conv2", "--width", "7"], "a dot product over 72 taps needs 8 bits, --width is 7"),
    (["--layer", "conv2", "--width", "33"], "--width 33 is not between 4 and 32 bits"),
    (["--layer", "conv2", "--fraction-bits", "16"], "--fraction-bits 16 is not between 0 and the width 16"),
    (["--layer", "conv2", "--fps", "60"], "with --layer: give --pe and --simd"),
    (["--layer", "conv2", "--device", "lfe5u-85f"], "with --layer: give --pe and --simd"),
    (["--layer", "conv2", "--clock-mhz", "50"], "with --layer: give --pe and --simd"),
    ([], "say which engine: --layer NAME, or --device PART or --fps N for all of them"),
    (["--pe", "2", "--fps", "60"], "without --layer: foldings are found for --device and --fps"),
    (["--device", "nothing"], "nothing"),
    (["--fps", "-1"], "-1"),
    ([*DEVICE[:2], "--fps", "9e8"], "there is no such accelerator: 9e+08 frames per second at 100 MHz are not reached"),
]  # fmt: skip


@pytest.mark.parametrize(("options", "reason"), REFUSED)
def test_refusals_say_why(options, reason, tmp_path, capsys):
    assert run([*CALL, *options, "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr()
    assert said.err.startswith("error: ")
    assert said.err.count("error: ") == 1
    assert reason in " ".join(said.err.split())
    assert said.out == ""
    assert not (tmp_path / "out").exists()


def test_a_file_is_no_folder(tmp_path, capsys):
    (tmp_path / "taken").write_text("mine")
    assert run([*LAYER, "conv2", "--out", str(tmp_path / "taken")]) == 2
    assert "taken is not a folder" in " ".join(capsys.readouterr().err.split())
    assert (tmp_path / "taken").read_text() == "mine"


def test_values_that_do_not_fit_name_the_width_that_does(tmp_path, capsys):
    torch.manual_seed(0)
    call = [*LAYER, "conv2", "--fraction-bits", "8"]
    assert run([*call, "--width", "9", "--out", str(tmp_path / "a")]) == 2
    needed = re.search(
        r"values of layer conv2 reach ([\d.]+): (\d+) bits at 8 fraction bits", capsys.readouterr().err
    )
    assert needed is not None
    # integer bits, sign, fraction
    assert int(needed[2]) == math.floor(math.log2(float(needed[1]))) + 1 + 1 + 8
    assert run([*call, "--width", str(int(needed[2]) - 1), "--out", str(tmp_path / "a")]) == 2
    assert run([*call, "--width", needed[2], "--out", str(tmp_path / "a")]) == 0
