"""`abcost train` as a user calls it."""

from __future__ import annotations

import csv
import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from abcost.cli import run
from abcost.models import build, load_checkpoint
from abcost.models.subject import Request, resolve
from abcost.nn import Scale
from searching import WAIT_S

SMALL = ["--base-width", "4", "--blocks", "1,1", "--seed", "1", "--batch-size", "64"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A short training of both steps on real digits."""
    folder = tmp_path_factory.mktemp("cli") / "run"
    assert (
        run(["train", "reactnet_18", "--data", "digits", *SMALL, "--epochs", "2", "--run-dir", str(folder)])
        == 0
    )
    return folder


def refusal(capfd, *arguments):
    assert run(["train", *arguments]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("error: ")
    return line


def rows(path):
    with path.open() as file:
        return list(csv.reader(file))


def test_files_of_a_run(trained):
    names = {"best.pt", "last.pt", "log.csv", "metrics.json", "confusion.csv", "tensorboard"}
    assert {path.name for path in trained.iterdir()} == names | {"config.json", "step1", ".lock"}
    assert {path.name for path in (trained / "step1").iterdir()} == names
    assert any(path.name.startswith("events.out.tfevents") for path in (trained / "tensorboard").iterdir())


def test_metrics_are_those_of_the_confusion_matrix(trained):
    metrics = json.loads((trained / "metrics.json").read_text())
    header, *confusion = rows(trained / "confusion.csv")
    assert header == ["true", *map(str, range(10))]
    assert [row[0] for row in confusion] == [str(digit) for digit in range(10)]
    counts = [[int(n) for n in row[1:]] for row in confusion]
    images, right = sum(map(sum, counts)), sum(counts[i][i] for i in range(10))
    assert (metrics["test_images"], metrics["test_top1"]) == (images, right / images)
    # Wilson: centre and half width for z = 1.96
    z, p = 1.959963984540054, right / images
    centre = (p + z**2 / (2 * images)) / (1 + z**2 / images)
    half = z / (1 + z**2 / images) * math.sqrt(p * (1 - p) / images + z**2 / (4 * images**2))
    assert metrics["test_top1_ci95"] == pytest.approx([centre - half, centre + half], rel=1e-9)
    assert (metrics["epochs"], metrics["step"], metrics["selected_on"]) == (2, 2, "validation")
    assert sum(metrics["slope_exponents"].values()) == 4 + 8  # one block of 4 channels, one of 8


def test_log(trained):
    header, *log = rows(trained / "log.csv")
    assert header == [
        "step", "epoch", "lr", "train_loss", "train_top1", "train_top5",
        "validation_loss", "validation_top1", "validation_top5", "images_per_second", "seconds",
    ]  # fmt: skip
    assert [row[:3] for row in log] == [["2", "1", "0.01"], ["2", "2", "0.005"]]  # lr * (1 - epoch/2)


def test_the_best_epoch_is_kept_and_loads(trained):
    metrics = json.loads((trained / "metrics.json").read_text())
    content = torch.load(trained / "best.pt", weights_only=True)
    assert (content["epoch"], content["optimizer"]) == (metrics["best_epoch"], None)
    model = build("reactnet_18", stem="cifar", num_classes=10, base_width=4, blocks=(1, 1))
    load_checkpoint(model, trained / "best.pt")
    assert run(["analyze", "reactnet_18", "--checkpoint", str(trained / "best.pt"), "--format", "csv"]) == 0


def test_step_2_starts_from_the_best_of_step_1(trained, tmp_path):
    # once more, from that checkpoint by name: the same training
    command = ["train", "reactnet_18", *SMALL, "--epochs", "2", "--step", "2", "--run-dir", str(tmp_path)]
    assert run([*command, "--init", str(trained / "step1" / "best.pt")]) == 0
    assert [row[:9] for row in rows(tmp_path / "log.csv")] == [row[:9] for row in rows(trained / "log.csv")]


def test_selection_on_the_test_split_is_said(tmp_path, capfd):
    command = ["train", "reactnet_18", *SMALL, "--epochs", "1", "--step", "1", "--select-on", "test"]
    assert run([*command, "--run-dir", str(tmp_path)]) == 0
    assert "chosen on test" in capfd.readouterr().err
    assert "test_top1" in rows(tmp_path / "log.csv")[0]
    assert "validation_top1" not in rows(tmp_path / "log.csv")[0]


def test_a_teacher_from_a_checkpoint(trained, tmp_path, capfd):
    command = ["train", "reactnet_18", *SMALL, "--epochs", "1", "--step", "1", "--distillation", "0.5"]
    assert run([*command, "--teacher", str(trained / "best.pt"), "--run-dir", str(tmp_path / "a")]) == 0
    bare = tmp_path / "bare.pt"
    torch.save(torch.load(trained / "best.pt", weights_only=True)["state_dict"], bare)
    capfd.readouterr()
    assert "does not say which network it is of: add --teacher-model" in refusal(
        capfd, *command[1:], "--teacher", str(bare), "--run-dir", str(tmp_path / "b")
    )


def test_nothing_is_left_to_do(trained, capfd):
    before = (trained / "last.pt").stat().st_mtime_ns
    assert run(["train", "reactnet_18", "--run-dir", str(trained), "--resume"]) == 0
    assert (trained / "last.pt").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["reactnet_19"], "no model 'reactnet_19'; did you mean 'reactnet_18'"),
        (["reactnet_18", "--step", "3"], "no --step choice '3'"),
        (["reactnet_18", "--data", "digit"], "no data set 'digit'; did you mean 'digits'"),
        (["reactnet_18", "--epochs", "0"], "--epochs must be at least 1, got 0"),
        (["reactnet_18", "--lr", "-1"], "--lr must be above 0, got -1"),
        (["reactnet_18", "--precision", "16"], "no --precision '16'"),
        (["reactnet_18", "--batch-size", "5000"], "--batch-size 5000 is larger than the training set of"),
        (["reactnet_18", "--blocks", "2,x"], "--blocks '2,x' is not of the form 2,2,2"),
        (["reactnet_18", "--distillation", "0.5"], "--distillation 0.5 needs a --teacher"),
        (["reactnet_18", "--init", "none.pt", *SMALL], "cannot read checkpoint 'none.pt'"),
        (["reactnet_18", "--slopes", "none.json"], "cannot read --slopes none.json"),
        (["birealnet_18", "--fixed-slope", "-3", *SMALL], "this network has no power-of-two slopes to fix"),
        (["reactnet_18", "--accelerator", "tpu"], "no --accelerator 'tpu'"),
    ],
)
def test_refused(arguments, reason, tmp_path, capfd):
    assert reason in refusal(capfd, *arguments, "--run-dir", str(tmp_path / "run"))


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "holds a run: continue it with --resume, or name another folder"),
        (["--resume", "--lr", "0.5"], "was started with lr 0.01, not 0.5"),
        (["--resume", "--step", "1"], "holds step 1 and 2: leave --step out"),
    ],
)
def test_refused_in_a_folder_with_a_run(arguments, reason, trained, capfd):
    assert reason in refusal(capfd, "reactnet_18", "--run-dir", str(trained), *arguments)
    assert "holds a run of reactnet_18, not of reactnet_a" in refusal(
        capfd, "reactnet_a", "--run-dir", str(trained), "--resume"
    )


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_no_gpu(tmp_path, capfd):
    line = refusal(capfd, "reactnet_18", "--accelerator", "cuda", "--run-dir", str(tmp_path / "run"))
    assert "1 GPUs are asked for, this machine has 0" in line


def test_without_the_extra(tmp_path, capfd, monkeypatch):
    monkeypatch.setitem(sys.modules, "lightning_fabric", None)
    assert "pip install 'abcost[train]'" in refusal(capfd, "reactnet_18", "--run-dir", str(tmp_path / "run"))


def test_ctrl_c_saves_and_says_how_to_go_on(tmp_path):
    abcost = Path(sys.executable).parent / "abcost"
    command = [str(abcost), "train", "reactnet_18", *SMALL, "--run-dir", str(tmp_path), "--epochs", "5000"]
    process = subprocess.Popen(  # noqa: S603 - our own command
        command, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    deadline = time.monotonic() + WAIT_S
    while not (tmp_path / "step1" / "last.pt").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=WAIT_S)
    assert process.returncode == 130
    assert f"stopped; go on with: abcost train reactnet_18 --run-dir {tmp_path} --resume" in told
    assert "Traceback" not in told
    content = torch.load(tmp_path / "step1" / "last.pt", weights_only=True)
    assert content["epoch"] == len(rows(tmp_path / "step1" / "log.csv")) - 1


def test_another_alpha_is_trained_and_found_again_in_the_checkpoint(tmp_path, capfd):
    command = ["train", "reactnet_18", *SMALL, "--epochs", "1", "--step", "2", "--alpha-exponent", "-4"]
    assert run([*command, "--run-dir", str(tmp_path)]) == 0
    model = resolve(Request("reactnet_18", checkpoint=tmp_path / "best.pt")).model
    assert [m.factor for m in model.modules() if isinstance(m, Scale)] == [2.0**-4] * 2
    capfd.readouterr()
    assert "alpha_exponent must be a whole number between -16 and 0, got 1" in refusal(
        capfd, *command[1:-1], "1", "--run-dir", str(tmp_path / "b")
    )
