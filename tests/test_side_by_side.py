"""Trainings side by side: the same as alone, the same whatever stands beside them, or refused."""

from __future__ import annotations

import csv
import json
import statistics
from dataclasses import replace

import pytest
import torch
from torch import nn

from abcost.cli import run as cli
from abcost.errors import TrainError
from abcost.models.checkpoint import read_checkpoint
from abcost.nn import QuantizedPReLU
from abcost.training.config import Config
from abcost.training.context import RunContext
from abcost.training.groupable import check_groupable
from abcost.training.grouped import Grouped, NotGroupable
from abcost.training.loop import train_step
from abcost.training.network import network
from abcost.training.runtime import start
from abcost.training.side_by_side import Run, alike, obstacle, train_alone, train_side_by_side
from training import Losses, noise

SMALL = {
    "data": "digits", "base_width": 4, "blocks": (1, 1), "batch_size": 16, "epochs": 1, "lr": 1e-2, "clip": 0.02,
    "threads": 1, "seed": 0, "augment": False,
}  # fmt: skip
DATA = noise(48)  # three batches
SETS = ((-3, 0), (-7,), (-5, -2, 1))
TIMES = {"seconds", "images_per_second"}


def config(**changed):
    return Config(**{"model": "reactnet_18", **SMALL, **changed})


def with_sets(found, data=DATA):
    """The same training with other sets of exponents in all layers."""
    model = network(found, data)
    layers = [name for name, module in model.named_modules() if isinstance(module, QuantizedPReLU)]
    return [replace(found, slopes=dict.fromkeys(layers, exponents)) for exponents in SETS]


def run_of(found, folder, name, *, data=DATA, stop=lambda: False, first=None):
    folder = folder / name
    folder.mkdir(parents=True, exist_ok=True)
    return Run(found, RunContext(start(found), data, folder, Losses(), stop), first)


def state(run):
    return read_checkpoint(run.context.folder / "best.pt").tensors


def log(run):
    """The log without what the clock says."""
    with (run.context.folder / "log.csv").open() as file:
        return [{k: v for k, v in row.items() if k not in TIMES} for row in csv.DictReader(file)]


STRUCTURES = {
    "pooled shortcut, wider stem": {"stem_width": 6, "blocks": (1, 1, 1), "weight_decay": 1e-3},
    "batch norm": {"variant": "bn"},
    "real slopes": {"variant": "bn-free"},
    "bi-real": {"model": "birealnet_18"},
    "bi-real, batch norm": {"model": "birealnet_18", "variant": "bn"},
    "strided shortcut": {"model": "xnornet_18"},
    "no scale": {"model": "bnn_18", "variant": "bn"},
    "two convolutions side by side": {"model": "reactnet_a"},
    "real weights": {"step": 1},
    "imagenet's stem": {"preset": "imagenet"},
    "own": {"model": "own_network.py:two_steps", "variant": None, "base_width": None, "blocks": None},
}


@pytest.mark.parametrize("kind", STRUCTURES)
def test_three_steps_are_those_of_separate_trainings(tmp_path, kind, monkeypatch):
    """In float64, where the order of sums is all that differs: seeds, so that images and initial weights differ."""
    monkeypatch.chdir(tmp_path)
    changed = dict(STRUCTURES[kind])
    if kind == "own":
        changed["model"] = f"{__file__.rpartition('/')[0]}/own_network.py:two_steps"
    side = 32 if kind == "imagenet's stem" else 8
    configs = [config(precision="64", seed=seed, **changed) for seed in range(3)]
    classes = 10 if kind == "own" else 4
    images = [noise(48, side=side, classes=classes, seed=seed) for seed in range(3)]
    alone = [run_of(c, tmp_path, f"alone-{c.seed}", data=d) for c, d in zip(configs, images, strict=True)]
    beside = [run_of(c, tmp_path, f"beside-{c.seed}", data=d) for c, d in zip(configs, images, strict=True)]
    for run in alone:
        train_step(run.config, run.context)
    assert obstacle(configs[0], images[0]) is None
    train_side_by_side(beside)
    for one, other in zip(alone, beside, strict=True):
        assert len(one.context.listener.losses) == 3
        assert other.context.listener.losses == pytest.approx(one.context.listener.losses, rel=1e-9)
        expected, found = state(one), state(other)
        assert expected.keys() == found.keys()
        for name, tensor in expected.items():
            torch.testing.assert_close(found[name], tensor, rtol=1e-9, atol=1e-12)


def test_sets_of_exponents_and_a_teacher(tmp_path):
    """All see the same images; the teacher too."""
    teacher = run_of(config(), tmp_path, "teacher")
    train_step(teacher.config, teacher.context)
    taught = config(
        precision="64",
        distillation=0.5,
        teacher=str(teacher.context.folder / "best.pt"),
        teacher_model="reactnet_18",
    )
    first = teacher.context.folder / "best.pt"
    configs = with_sets(taught)
    assert alike(configs)
    alone = [run_of(c, tmp_path, f"alone-{i}", first=first) for i, c in enumerate(configs)]
    beside = [run_of(c, tmp_path, f"beside-{i}", first=first) for i, c in enumerate(configs)]
    for run in alone:
        train_step(run.config, run.context, start=first)
    train_side_by_side(beside)
    for one, other, exponents in zip(alone, beside, SETS, strict=True):
        assert other.context.listener.losses == pytest.approx(one.context.listener.losses, rel=1e-9)
        found = state(other)["layer1.0.prelu.L_alpha"]
        assert set(found.tolist()) <= set(exponents)
        torch.testing.assert_close(found, state(one)["layer1.0.prelu.L_alpha"])


def test_the_bits_do_not_depend_on_what_stands_beside(tmp_path):
    """In float32: beside two others, beside one and in another place, alone."""
    configs = with_sets(config(epochs=2))
    groups = {"three": (0, 1, 2), "two": (2, 0), "one": (0,)}
    found = {}
    for name, members in groups.items():
        runs = [run_of(configs[number], tmp_path, f"{name}-{number}") for number in members]
        train_side_by_side(runs)
        found |= {(name, number): run for number, run in zip(members, runs, strict=True)}
    for one, other in ((("three", 0), ("two", 0)), (("three", 2), ("two", 2)), (("three", 0), ("one", 0))):
        assert log(found[one]) == log(found[other])
        for name, tensor in state(found[one]).items():
            assert torch.equal(tensor, state(found[other])[name])


def test_stopped_and_gone_on_with_beside_others(tmp_path):
    """Bit for bit what nobody disturbed, although the second half has other neighbours."""
    configs = with_sets(config(epochs=3))
    whole = [run_of(c, tmp_path, f"whole-{i}") for i, c in enumerate(configs)]
    train_side_by_side(whole)
    asked = iter([False] * 4 + [True] * 99)  # in the second epoch
    broken = [run_of(c, tmp_path, f"broken-{i}", stop=lambda: next(asked)) for i, c in enumerate(configs[:2])]
    with pytest.raises(KeyboardInterrupt):
        train_side_by_side(broken)
    assert not (broken[0].context.folder / "metrics.json").exists()
    again = [run_of(c, tmp_path, f"broken-{i}") for i, c in enumerate(configs)]
    train_side_by_side([again[2], again[1], again[0]])
    for one, other in zip(whole, again, strict=True):
        assert log(one) == log(other)
        for name, tensor in state(one).items():
            assert torch.equal(tensor, state(other)[name])


def test_one_that_diverges_leaves_the_others_alone(tmp_path):
    """Its weights start so large that the loss is not finite."""
    first = run_of(config(), tmp_path, "start")
    train_step(first.config, first.context)
    good = first.context.folder / "best.pt"
    content = torch.load(good, weights_only=True)
    signs = torch.tensor([1.0, -1.0, 1.0, -1.0])[:, None]
    content["state_dict"]["fc.weight"] = 3e38 * signs.expand_as(content["state_dict"]["fc.weight"])
    torch.save(content, tmp_path / "huge.pt")
    one, two = with_sets(config())[:2]
    fine = run_of(one, tmp_path, "fine", first=good)
    train_side_by_side([fine, run_of(two, tmp_path, "other", first=good)])
    beside = run_of(one, tmp_path, "beside", first=good)
    found = train_side_by_side([beside, run_of(two, tmp_path, "huge", first=tmp_path / "huge.pt")])
    assert isinstance(found[1], TrainError)
    assert "training diverged" in str(found[1])
    assert isinstance(train_alone(run_of(two, tmp_path, "alone", first=tmp_path / "huge.pt")), TrainError)
    assert log(beside) == log(fine)
    for name, tensor in state(fine).items():
        assert torch.equal(tensor, state(beside)[name])


class Sums(nn.Module):
    """Adds channels of its own network, which side by side are also others'."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)

    def forward(self, x):
        x = self.conv(x).mean((2, 3))
        return x - x.mean(1, keepdim=True)


class Shares(nn.Module):
    def __init__(self):
        super().__init__()
        self.one = nn.Conv2d(3, 3, 1)
        self.two = nn.Conv2d(3, 3, 1)
        self.two.weight = self.one.weight

    def forward(self, x):
        return self.two(self.one(x)).mean((2, 3))


def flat(*layers):
    return nn.Sequential(nn.Conv2d(3, 4, 1), *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 4))


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (flat(nn.Dropout(0.5)), "logits differ"),
        (flat(nn.LayerNorm([4, 8, 8])), "1 is a LayerNorm with parameters"),
        (flat(nn.PReLU()), "Mismatch of parameter numbers"),
        (flat(nn.Softmax(dim=1)), "logits differ"),
        (Sums(), "logits differ"),
        (Shares(), "two modules share a parameter"),
    ],
)
def test_what_cannot_stand_side_by_side_is_refused(model, reason):
    with pytest.raises(NotGroupable, match=reason):
        check_groupable(model, torch.randn(2, 3, 8, 8))


def test_what_can_is_not():
    check_groupable(flat(nn.BatchNorm2d(4), nn.ReLU(), nn.PReLU(4)), torch.randn(2, 3, 8, 8))


def test_networks_of_two_structures_are_refused():
    with pytest.raises(NotGroupable, match="not the same"):
        Grouped([flat(nn.ReLU()), flat(nn.Tanh())])
    one, two = config(alpha_exponent=-2), config(alpha_exponent=-3)
    assert not alike([one, two])
    with pytest.raises(NotGroupable, match="not the same"):
        Grouped([network(one, DATA), network(two, DATA)])


SEEDS = ["train", "reactnet_18", "--data", "digits", "--base-width", "4", "--blocks", "1,1", "--epochs", "1"]


def test_seeds(tmp_path, capfd):
    """Each as it would be alone (in float64), and a report of all."""
    assert cli([*SEEDS, "--precision", "64", "--seeds", "0:3", "--run-dir", str(tmp_path / "all")]) == 0
    said = capfd.readouterr().err
    assert cli([*SEEDS, "--precision", "64", "--seed", "1", "--run-dir", str(tmp_path / "one")]) == 0
    report = json.loads((tmp_path / "all" / "seeds.json").read_text())
    found = [json.loads((tmp_path / "all" / f"seed-{s}" / "metrics.json").read_text()) for s in range(3)]
    top1 = [f["test_top1"] for f in found]
    assert report["seeds"] == [0, 1, 2]
    assert report["test_top1"]["values"] == top1
    assert report["test_top1"]["mean"] == pytest.approx(sum(top1) / 3)
    assert report["test_top1"]["sd"] == pytest.approx(statistics.stdev(top1))
    assert f"3 seeds: test top-1 {sum(top1) / 3:.2%}" in said
    alone = json.loads((tmp_path / "one" / "metrics.json").read_text())
    assert found[1]["test_loss"] == pytest.approx(alone["test_loss"], rel=1e-9)
    names = {path.name for path in (tmp_path / "one").iterdir()} - {".lock"}
    assert {path.name for path in (tmp_path / "all" / "seed-1").iterdir()} == names
    # again: nothing is trained twice, and more seeds go on
    before = (tmp_path / "all" / "seed-1" / "best.pt").stat().st_mtime_ns
    assert (
        cli([*SEEDS, "--precision", "64", "--seeds", "0:4", "--run-dir", str(tmp_path / "all"), "--resume"])
        == 0
    )
    assert (tmp_path / "all" / "seed-1" / "best.pt").stat().st_mtime_ns == before
    assert json.loads((tmp_path / "all" / "seeds.json").read_text())["seeds"] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--seeds", "3"], "--seeds '3' is not of the form 0:8"),
        (["--seeds", "4:4"], "--seeds '4:4' is not of the form 0:8"),
        (["--seeds", "0:2", "--seed", "1"], "--seed does nothing beside --seeds"),
    ],
)
def test_refusals_of_seeds(tmp_path, capfd, options, reason):
    assert cli([*SEEDS, *options, "--run-dir", str(tmp_path / "run")]) == 2
    assert reason in capfd.readouterr().err
    assert not (tmp_path / "run").exists()
