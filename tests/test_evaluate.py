"""`abcost evaluate`: accuracies, agreement of the rewritten network with the trained one, and what is left of it."""

from __future__ import annotations

import csv
import json
import math
import sys
from dataclasses import replace

import pytest
import torch

from abcost.cli import run
from abcost.core.inputs import InputSpec
from abcost.core.interpret import FixedPoint, execute
from abcost.data import load
from abcost.errors import ModelError, UsageError
from abcost.models import build
from abcost.models.subject import Request, Subject, resolve
from abcost.pipeline import double_stages
from abcost.rewrite import RewriteOptions
from abcost.training.assessment import EvaluationForm, assess, trained_network
from training import noise

SMALL = ["--base-width", "8", "--blocks", "1,1"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A short training of both steps on real digits."""
    folder = tmp_path_factory.mktemp("evaluate") / "run"
    assert run(["train", "reactnet_18", *SMALL, "--epochs", "4", "--run-dir", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def evaluated(folder, tmp_path_factory):
    """JSON by further arguments, each made once."""
    made = {}

    def evaluate(*arguments):
        if arguments not in made:
            out = tmp_path_factory.mktemp("json") / "found.json"
            command = ["evaluate", "reactnet_18", "--checkpoint", str(folder / "best.pt"), "--data", "digits"]
            assert run([*command, *arguments, "--format", "json", "-o", str(out)]) == 0
            made[arguments] = json.loads(out.read_text())
        return made[arguments]

    return evaluate


@pytest.fixture(scope="module")
def by_hand(folder):
    """Images, labels and predictions of the trained network on the test split."""
    split = load("digits").test
    images, labels = split.batch(torch.arange(len(split)), epoch=0, augment=False)
    model = resolve(Request("reactnet_18", checkpoint=folder / "best.pt")).model.eval()
    with torch.no_grad():
        return images, labels, model(images)


def bare(path, **recipe):
    """A checkpoint as published: tensors alone, with the prefix of DataParallel."""
    torch.manual_seed(0)
    network = build("reactnet_18", stem="cifar", num_classes=10, base_width=2, blocks=(1,), **recipe)
    torch.save({f"module.{name}": tensor for name, tensor in network.state_dict().items()}, path)
    return [
        "evaluate",
        "reactnet_18",
        "--checkpoint",
        str(path),
        "--data",
        "digits",
        "--base-width",
        "2",
        "--blocks",
        "1",
    ]


def wilson(right, images, z=1.959963984540054):
    p = right / images
    centre = (p + z**2 / (2 * images)) / (1 + z**2 / images)
    half = z / (1 + z**2 / images) * math.sqrt(p * (1 - p) / images + z**2 / (4 * images**2))
    return pytest.approx([centre - half, centre + half], rel=1e-9)


# the trained network


def test_accuracies_of_the_trained_network(evaluated, by_hand, folder):
    found, (_, labels, logits) = evaluated(), by_hand
    right = int((logits.argmax(1) == labels).sum())
    in_five = int((logits.argsort(1, descending=True)[:, :5] == labels[:, None]).sum())
    assert (found["images"], found["top1"], found["top5"]) == (359, right / 359, in_five / 359)
    assert found["top1_ci95"] == wilson(right, 359)
    assert found["top1"] == json.loads((folder / "metrics.json").read_text())["test_top1"]
    assert found["loss"] == pytest.approx(float(torch.nn.functional.cross_entropy(logits, labels)), rel=1e-5)
    for name in ("trained", "agreement", "multiplications", "multiplications_outside", "fixed_point"):
        assert found[name] is None  # nothing was compared or counted
    assert (found["model"], found["variant"], found["step"]) == ("reactnet_18", "ab", 2)


def test_accuracy_of_every_class(evaluated, by_hand):
    _, labels, logits = by_hand
    for digit, row in enumerate(evaluated()["classes"]):
        mine = labels == digit
        right = int((logits.argmax(1)[mine] == digit).sum())
        assert row == {"name": str(digit), "images": int(mine.sum()), "top1": right / int(mine.sum())}


def test_step_1_is_evaluated_as_such(folder, capsys):
    path = folder / "step1" / "best.pt"
    assert (
        run(["evaluate", "reactnet_18", "--checkpoint", str(path), "--data", "digits", "--format", "json"])
        == 0
    )
    found = json.loads(capsys.readouterr().out)
    metrics = json.loads((folder / "step1" / "metrics.json").read_text())
    assert (found["step"], found["top1"]) == (1, metrics["test_top1"])


# as hardware computes it


def one_by_one(folder, images, bits):
    """Classes in fixed point, image by image, on a graph traced at batch size 1."""
    subject = resolve(Request("reactnet_18", checkpoint=folder / "best.pt"))
    assert subject.inputs == (InputSpec((1, 3, 8, 8)),)
    graph = double_stages(subject, RewriteOptions())[1].stages[-1].graph
    outputs = [execute(graph, [image[None]], FixedPoint(bits)) for image in images]
    return torch.cat([next(iter(output.values())) for output in outputs]).argmax(1)


@pytest.mark.parametrize("bits", [3, 12])
def test_agreement_is_that_of_single_images(evaluated, by_hand, folder, bits):
    images, labels, logits = by_hand
    found = evaluated("--as", "fixed-point", "--images", "60", "--fraction-bits", str(bits))
    some = torch.tensor([i * 359 // 60 for i in range(60)])  # evenly spread
    classes = one_by_one(folder, images[some], bits)
    agreeing = int((classes == logits[some].argmax(1)).sum())
    assert (found["images"], found["agreement"]) == (60, agreeing / 60)
    assert found["agreement_ci95"] == wilson(agreeing, 60)
    assert found["top1"] == int((classes == labels[some]).sum()) / 60
    assert found["trained"]["top1"] == int((logits[some].argmax(1) == labels[some]).sum()) / 60
    assert (found["agreement"] < 1) == (bits == 3)  # three bits are too few, and it shows


@pytest.mark.parametrize("form", ["rewritten", "fixed-point"])
def test_the_hardware_network_is_the_trained_network(evaluated, form):
    found = evaluated("--as", form)
    assert found["images"] == 359  # a batch of 256 and one of 103
    assert found["agreement"] >= 0.99
    assert abs(found["top1"] - found["trained"]["top1"]) <= 0.01
    assert found["trained"]["top1"] == evaluated()["top1"]


def test_what_is_left_is_what_analyze_lists(evaluated, folder, tmp_path):
    out = tmp_path / "report.json"
    assert run(
        ["analyze", "reactnet_18", "--checkpoint", str(folder / "best.pt"), "--format", "json", "-o", str(out)]
    ) == 0  # fmt: skip
    found, last = evaluated("--as", "fixed-point"), json.loads(out.read_text())["stages"][-1]
    assert found["multiplications"] == last["multiplications"]
    # widths 8 and 16; 8x8 images, then 4x4: stem of 3x3x3 taps; a scale after the convolution of each block and
    # after that of the one shortcut; 16 features to 10 classes
    wanted = {"stem": 27 * 8 * 64, "weight_scale": 8 * 64 + 2 * 16 * 16, "classifier": 160}
    assert {origin: count for origin, count in found["multiplications"].items() if count} == wanted
    assert found["multiplications_outside"] == 0
    assert found["multiplications_in"]["classifier"] == ["fc"]


def test_batch_norm_is_not_among_the_listed(tmp_path, capsys):
    command = bare(tmp_path / "bn.pt", variant="bn")
    assert run([*command, "--variant", "bn", "--as", "rewritten", "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (
        found["multiplications_outside"] == found["multiplications"]["batch_norm"] == 2 * 64
    )  # 2 channels, 8x8


def test_nothing_is_left_where_that_was_asked_for(evaluated):
    found = evaluated(
        "--as", "fixed-point", "--weight-scale", "po2", "--constant-multiply", "csd", "--images", "20"
    )
    assert set(found["multiplications"].values()) == {0}
    assert found["multiplications_outside"] == 0


def test_registers_that_are_too_narrow_wrap_and_are_counted(evaluated):
    wide = evaluated("--as", "fixed-point", "--fraction-bits", "8")
    needed = wide["fixed_point"]["needed_width_bits"]
    assert wide["fixed_point"] == {
        "fraction_bits": 8, "width_bits": None, "needed_width_bits": needed, "overflows": 0,
    }  # fmt: skip
    just = evaluated("--as", "fixed-point", "--fraction-bits", "8", "--width", str(needed))
    assert just["fixed_point"] == {**wide["fixed_point"], "width_bits": needed}
    assert (just["top1"], just["loss"]) == (wide["top1"], wide["loss"])
    less = evaluated("--as", "fixed-point", "--fraction-bits", "8", "--width", str(needed - 1))
    assert less["fixed_point"]["overflows"] > 0
    narrow = evaluated("--as", "fixed-point", "--fraction-bits", "8", "--width", "10")  # -2 to 2
    assert narrow["agreement"] < 0.9


def test_the_terminal_shows_agreement_and_what_is_left(folder, capsys):
    command = ["evaluate", "reactnet_18", "--checkpoint", str(folder / "best.pt"), "--data", "digits"]
    assert run([*command, "--as", "fixed-point", "--images", "40", "--width", "30"]) == 0
    shown = capsys.readouterr().out
    assert "best.pt: 40 test images of digits, 10 classes" in shown
    assert "Agreement with the trained network: 40 of 40 images, 100.00%" in shown
    assert "outside of weight_scale, stem, classifier and global_pool: 0" in shown
    assert "12 fraction bits, registers of 30 bits" in shown
    assert "0 values wrapped" in shown


# where the network comes from


def test_a_published_checkpoint_takes_its_classes_from_the_data(tmp_path, capsys):
    assert run([*bare(tmp_path / "checkpoint.h5"), "--format", "json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["classes"]) == 10


def test_a_factory_of_ones_own(tmp_path, capsys):
    (tmp_path / "net.py").write_text(
        "from torch import nn\n"
        "def make(classes):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 64, classes))\n"
    )
    torch.save(
        torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 10)).state_dict(), tmp_path / "net.pt"
    )
    command = [
        "evaluate", f"{tmp_path}/net.py:make", "--checkpoint", f"{tmp_path}/net.pt", "--data", "digits",
        "--as", "fixed-point", "--fraction-bits", "16", "--format", "json",
    ]  # fmt: skip
    assert run([*command, "--model-arg", "classes=10"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["variant"], found["published"]) == (None, [])
    assert found["agreement"] > 0.98  # ties of an untrained network may fall either way
    torch.save(
        torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 7)).state_dict(), tmp_path / "net.pt"
    )
    assert run([*command, "--model-arg", "classes=7"]) == 2
    assert "gives [256, 7] for 256 images, not [256, 10]: a logit per class" in capsys.readouterr().err


# the confusion matrix


def test_confusion_matrix_by_hand(evaluated, by_hand, folder, tmp_path, capsys):
    _, labels, logits = by_hand
    wanted = [[0] * 10 for _ in range(10)]
    for label, digit in zip(labels.tolist(), logits.argmax(1).tolist(), strict=True):
        wanted[label][digit] += 1
    found = evaluated()
    assert found["confusion"] == wanted  # rows are the truth
    mistakes = {(t, p): n for t, row in enumerate(wanted) for p, n in enumerate(row) if n and t != p}
    assert {(int(c["true"]), int(c["predicted"])): c["images"] for c in found["confused"]} == mistakes
    counts = [c["images"] for c in found["confused"]]
    assert counts == sorted(counts, reverse=True)
    command = ["evaluate", "reactnet_18", "--checkpoint", str(folder / "best.pt"), "--data", "digits"]
    assert run([*command, "--confusion", str(tmp_path / "matrix.csv")]) == 0
    assert (tmp_path / "matrix.csv").read_text() == (folder / "confusion.csv").read_text()
    shown = capsys.readouterr().out.partition("Confusion matrix")[2].splitlines()
    rows = [line.split() for line in shown if line.split() and line.split()[0].isdigit()][-10:]
    assert rows == [[str(t), str(t), *(str(n) if n else "·" for n in wanted[t])] for t in range(10)]


def test_the_matrix_is_that_of_what_was_executed(evaluated, by_hand, folder):
    images, labels, _ = by_hand
    some = torch.tensor([i * 359 // 60 for i in range(60)])
    classes = one_by_one(folder, images[some], 3)
    wanted = [[0] * 10 for _ in range(10)]
    for label, digit in zip(labels[some].tolist(), classes.tolist(), strict=True):
        wanted[label][digit] += 1
    found = evaluated("--as", "fixed-point", "--images", "60", "--fraction-bits", "3")
    assert found["confusion"] == wanted


MANY = """
import torch
def images():
    labels = torch.arange({classes} * 10) % {classes}
    return torch.rand(len(labels), 1, 8, 8, generator=torch.Generator().manual_seed(0)), labels
def net():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, {classes}))
"""


@pytest.mark.parametrize("classes", [12, 13, 100, 101])
def test_of_many_classes_what_is_confused_most_is_shown(classes, tmp_path, capsys):
    """On the terminal a matrix has up to 12 classes, in JSON up to 100; a CSV file has all."""
    (tmp_path / "many.py").write_text(MANY.format(classes=classes))
    torch.manual_seed(0)
    torch.save(
        torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, classes)).state_dict(), tmp_path / "m.pt"
    )
    many = f"{tmp_path}/many.py"
    command = [
        "evaluate", f"{many}:net", "--checkpoint", f"{tmp_path}/m.pt", "--data", f"{many}:images",
        "--confusion", f"{tmp_path}/all.csv",
    ]  # fmt: skip
    assert run(command) == 0
    shown = capsys.readouterr().out
    assert ("Confusion matrix" in shown) == (classes <= 12)
    assert ("Confused most" in shown) == (classes > 12)
    with (tmp_path / "all.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["true", *map(str, range(classes))]
    assert run([*command, "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    counts = [[int(n) for n in row[1:]] for row in rows]
    assert sum(map(sum, counts)) == found["images"] == 2 * classes  # a fifth of ten images of each class
    assert sum(counts[c][c] for c in range(classes)) / found["images"] == found["top1"]
    if classes > 12:
        assert found["confusion"] == (counts if classes <= 100 else None)
        mistakes = sorted(
            (n for t, row in enumerate(counts) for p, n in enumerate(row) if n and t != p), reverse=True
        )
        assert [pair["images"] for pair in found["confused"]] == mistakes[:100]
        first = found["confused"][0]
        assert counts[int(first["true"])][int(first["predicted"])] == first["images"] == mistakes[0]
        assert f"Confused most: 20 of {len(mistakes):,} pairs" in shown


def test_the_matrix_and_the_result_go_to_two_files(folder, tmp_path, capfd):
    out = str(tmp_path / "same")
    command = ["evaluate", "reactnet_18", "--checkpoint", str(folder / "best.pt"), "--data", "digits"]
    assert run([*command, "--output", out, "--confusion", out]) == 2
    assert capfd.readouterr().err == f"error: --output and --confusion name one file, {out}: name two\n"
    assert run([*command, "--confusion", str(tmp_path / "none" / "m.csv")]) == 2
    assert "error: --confusion " in capfd.readouterr().err
    assert list(tmp_path.iterdir()) == []


# refusals


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--width", "16"], "--width is the width of fixed-point registers: add --as fixed-point"),
        (
            ["--as", "fixed-point", "--width", "12"],
            "--width 12 holds no bit before the point with --fraction-bits 12",
        ),
        (["--as", "fixed-point", "--width", "99"], "--width 99 is not between 2 and 64 bits"),
        (["--as", "fixed_point"], "did you mean 'fixed-point'"),
        (["--images", "360"], "--images 360 is not between 1 and the 359 of the test split"),
        (["--images", "0"], "--images 0 is not between 1 and"),
        (["--variant", "bn"], "--variant bn contradicts checkpoint"),
        (["--base-width", "16"], "--base-width 16 contradicts checkpoint"),
    ],
)
def test_refusals(folder, arguments, reason, capfd):
    command = ["evaluate", "reactnet_18", "--checkpoint", str(folder / "best.pt"), "--data", "digits"]
    assert run([*command, *arguments]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert reason in line


def test_data_of_other_classes_is_refused(folder):
    data = replace(noise(0, classes=7), name="letters")
    with pytest.raises(UsageError, match=r"was trained for 10 classes, --data letters has 7; name the data"):
        trained_network(Request("reactnet_18", checkpoint=folder / "best.pt"), data)


def test_an_exported_program_is_refused():
    with pytest.raises(UsageError, match=r"^net.pt2 holds weights of its own: name a network of the zoo"):
        trained_network(Request("net.pt2", checkpoint="net.pt"), noise(0))


def test_a_model_that_fails_says_why():
    class Fails(torch.nn.Module):
        def forward(self, x):
            raise RuntimeError("no\nsuch thing")

    subject = Subject(Fails(), "fails", None, (InputSpec((1, 3, 8, 8)),), trained=True)
    with pytest.raises(
        ModelError, match=r"^the model fails on images of shape \[13, 3, 8, 8\]: no such thing$"
    ):
        assess(subject, noise(0), EvaluationForm())


def test_a_missing_extra_is_named(folder, monkeypatch, capfd):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    assert run(["evaluate", "reactnet_18", "--checkpoint", str(folder / "best.pt"), "--data", "digits"]) == 2
    assert (
        "the data set digits needs sklearn, which is not installed; pip install 'abcost[train]'"
        in capfd.readouterr().err
    )
