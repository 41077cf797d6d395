"""A network of the user's own is trained, evaluated and searched as those of the zoo are."""

from __future__ import annotations

import csv
import json
import shlex
from pathlib import Path

import pytest
import torch

import abcost
import searching
from abcost.cli import run
from abcost.data import load
from abcost.errors import UsageError
from abcost.models import read_checkpoint
from abcost.models.subject import resolve
from abcost.nn import BinaryConv2d, StandardizedConv2d
from abcost.training.config import Config
from abcost.training.network import request_for, steps_for
from searching import read_json

OWN = f"{Path(__file__).parent / 'own_network.py'}"
TWO, ONE = f"{OWN}:two_steps", f"{OWN}:one_step"
SHORT = ("--epochs", "1", "--seed", "1")


def refusal(capfd, *command):
    assert run(list(command)) == 2
    (line,) = capfd.readouterr().err.splitlines()
    return line.removeprefix("error: ")


def described(folder):
    return torch.load(folder / "best.pt", weights_only=True)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Both steps."""
    folder = tmp_path_factory.mktemp("own") / "run"
    abcost.train(TWO, folder, epochs=2, seed=1, model_args={"width": 6})
    return folder


def test_a_factory_that_takes_step_is_trained_in_both(trained):
    steps = json.loads((trained / "config.json").read_text())["steps"]
    assert [(step["step"], step["variant"], step["model_args"]) for step in steps] == [
        (1, None, {"width": 6}),
        (2, None, {"width": 6}),
    ]
    for folder, step in ((trained / "step1", 1), (trained, 2)):
        content = described(folder)
        assert (content["model"], content["variant"], content["step"]) == (TWO, None, step)
        assert content["state_dict"]["fc.weight"].shape == (10, 6)
    metrics = json.loads((trained / "metrics.json").read_text())
    # stem with gains; convolution with gains; two moves and slopes; classifier
    assert metrics["parameters"] == (27 * 6 + 6) + (9 * 36 + 6) + 3 * 6 + (60 + 10)
    assert set(metrics["exponents_by_layer"]) == {"act"}


def test_the_step_is_what_the_factory_is_called_with():
    assert (steps_for("reactnet_18"), steps_for(TWO), steps_for(ONE)) == ((1, 2), (1, 2), (2,))
    data = load("digits")
    for step, kind in ((1, StandardizedConv2d), (2, BinaryConv2d)):
        request = request_for(Config(model=TWO, variant=None, step=step, model_args={"width": 2}), data)
        assert request.arguments == {"width": 2, "step": step}
        assert type(resolve(request).model.conv) is kind


def test_what_was_trained_is_evaluated_and_analysed(trained, capsys):
    checkpoint = ["--checkpoint", str(trained / "best.pt"), "--model-arg", "width=6", "--format", "json"]
    found = []
    for form in ("trained", "fixed-point"):
        assert run(["evaluate", TWO, "--data", "digits", "--as", form, *checkpoint]) == 0
        found.append(json.loads(capsys.readouterr().out))
    metrics = json.loads((trained / "metrics.json").read_text())
    assert found[0]["top1"] == metrics["test_top1"]
    assert found[1]["agreement"] > 0.95
    assert run(["analyze", TWO, "--input-size", "1x3x8x8", *checkpoint]) == 0
    macs = json.loads(capsys.readouterr().out)["macs"]["by_bits"]
    assert macs == {"16x16": 27 * 6 * 16 + 60, "1x1": 9 * 36 * 16}  # maps of 4x4 behind a stem of stride 2


def test_one_step_is_the_second_alone_and_resumes(tmp_path, capfd):
    command = ["train", ONE, *SHORT, "--model-arg", "width=2", "--run-dir", str(tmp_path / "run")]
    assert run(command) == 0
    assert not (tmp_path / "run" / "step1").exists()
    assert described(tmp_path / "run")["step"] == 2
    assert run([*command, "--resume"]) == 0  # nothing is left to do
    capfd.readouterr()
    other = [*command[:-4], "--model-arg", "width=3", *command[-2:], "--resume"]
    assert "was started with model_args {'width': 2}, not {'width': 3}" in refusal(capfd, *other)


@pytest.mark.parametrize(
    ("model", "options", "said"),
    [
        (ONE, ["--step", "both"], "--step both: {} has no parameter step, so that both would train the same network"),
        (TWO, ["--model-arg", "step=1"], "--model-arg step: which step is trained says --step; leave it out"),
        (ONE, ["--variant", "bn"], "--variant is for zoo models; your own factory takes --model-arg name=value"),
        (ONE, ["--base-width", "4"], "--base-width is for zoo models; your own factory takes --model-arg"),
        (ONE, ["--preset", "digits"], "--preset is for zoo models; your own factory takes --model-arg"),
        (ONE, ["--model-arg", "widht=2"], "{} raised TypeError: "),
        (ONE, ["--model-arg", "width=b'2'"], "--model-arg: a run keeps numbers, text, lists and dicts of its factory"),
        ("reactnet_18", ["--model-arg", "width=2"], "--model-arg is for your own factory: leave it out"),
        ("net.onnx", [], "net.onnx holds weights of its own: name a network of the zoo, or file.py:factory"),
        (f"{OWN}:three_classes", [], "the model gives [1, 3] for 1 images, not [1, 10]: a logit per class"),
        (f"{OWN}:still", [], "{} has no parameters that could be trained"),
        (f"{OWN}:nothing", [], f"{OWN} has no 'nothing'; name a function or class that makes the model"),
        (f"{OWN}:without_slopes", ["--fixed-slope", "-3"], "--fixed-slope -3: this network has no power-of-two slopes"),
    ],
)  # fmt: skip
def test_what_does_not_go_is_one_line_before_anything_is_written(
    model, options, said, tmp_path, capfd, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.onnx").touch()
    line = refusal(capfd, "train", model, *SHORT, *options, "--run-dir", str(tmp_path / "run"))
    assert line.startswith(said.format(model))
    assert not (tmp_path / "run").exists()


# search


def test_search_finds_exponents_of_its_layers(trained, tmp_path, capsys):
    folder = tmp_path / "search"
    status, _, said = searching.run(
        "search", TWO, "--run-dir", folder, "--init", trained / "best.pt", "--model-arg", "width=6", "--exponents=-3:0",
        "--max-exponents", "2", "--trials", "3", "--epochs", "1", "--seeds", "1", "--finalists", "1", "--workers", "1",
    )  # fmt: skip
    assert status == 0, said
    content = json.loads(
        (folder / "slopes" / f"{read_json(folder / 'front.json')['chosen']}.json").read_text()
    )
    assert content["model"] == TWO
    assert set(content["layers"]) == {"act"}
    assert set(content["layers"]["act"]) <= {-3, -2, -1, 0}
    front = read_json(folder / "front.json")
    # a network with real slopes would have to be built otherwise
    assert {point["name"] for point in front["baselines"]} == {"fixed 2^-3", "fixed 2^-7", "quantized RPReLU"}
    (chosen,) = [point for point in front["front"] if point["name"] == front["chosen"]]
    capsys.readouterr()
    assert run([*shlex.split(chosen["commands"]["analyze"])[1:], "--format", "json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["stages"][-1]["cost"]["luts"] == chosen["cost"]["luts"]
    assert run([*shlex.split(chosen["commands"]["evaluate"])[1:], "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["top1"] == chosen["checkpoint_test_top1"]
    with (folder / "trials.csv").open() as file:
        assert {row["end"] for row in csv.DictReader(file)} <= {"evaluated", "known", "stopped"}


@pytest.mark.parametrize(
    ("model", "options", "said"),
    [
        (
            f"{OWN}:real_slopes", {},
            "search chooses the exponents that the slopes of RPReLU may take, which are abcost.nn.QuantizedPReLU "
            "layers, and in {} 'act' is an nn.PReLU: build its activations with QuantizedPReLU(channels)",
        ),
        (
            f"{OWN}:without_slopes", {},
            "search chooses the exponents that the slopes of RPReLU may take, which are abcost.nn.QuantizedPReLU "
            "layers, and in {} there is none: build its activations with QuantizedPReLU(channels)",
        ),
        (ONE, {"alpha_exponents": (-3, -2)}, "alpha_exponents is for zoo models: {} has its own residual scales"),
        (ONE, {"base_width": 4}, "base_width is for zoo models; your own factory takes "),
    ],
)  # fmt: skip
def test_what_a_search_needs_is_said(model, options, said, tmp_path):
    with pytest.raises(UsageError) as caught:
        abcost.search(model, tmp_path / "search", **options)
    assert str(caught.value).startswith(said.format(model))
    assert not (tmp_path / "search").exists()


def test_checkpoints_of_own_networks_say_whose_they_are(trained):
    origin = read_checkpoint(trained / "best.pt").origin
    assert (origin.model, origin.variant, origin.input_shape) == (TWO, None, (3, 8, 8))
