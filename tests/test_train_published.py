"""Where the published recipe and abcost's short ones differ, and what an older run goes on with."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

from abcost.cli import run
from abcost.errors import UnknownName
from abcost.models import build
from abcost.searching.settings import Settings
from abcost.training import loop
from abcost.training.config import Config
from abcost.training.context import RunContext
from abcost.training.recipes import configs
from abcost.training.run import resumed, stored
from abcost.training.runtime import start
from training import Losses, noise

SMALL = {"base_width": 4, "blocks": (1, 1), "batch_size": 8, "threads": 1}


# values


@pytest.mark.parametrize(
    ("data", "lighting", "ties"),
    [
        ("imagenet", "8-bit", "later"),
        ("my/images", "8-bit", "later"),
        ("cifar10", None, "later"),
        ("cifar100", None, "later"),
        ("stripes.py:stripes", None, "later"),
        ("digits", None, "loss"),
        ("mnist5k", None, "loss"),
    ],
)
def test_lighting_and_ties_of_the_recipes(data, lighting, ties):
    for found in configs("reactnet_18", (1, 2), given={"data": data}):
        assert (found.lighting, found.ties) == (lighting, ties)
    (found,) = configs("reactnet_18", (2,), given={"data": "imagenet", "lighting": "float", "ties": "loss"})
    assert (found.lighting, found.ties) == ("float", "loss")


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"lighting": "8bit"}, "no --lighting '8bit'; did you mean '8-bit'"),
        ({"ties": "first"}, "no --ties 'first'"),
    ],
)
def test_refused_values(values, reason):
    with pytest.raises(UnknownName) as caught:
        Config(model="reactnet_18", **values)
    assert reason in str(caught.value)


def test_lighting_of_images_in_memory_is_refused(tmp_path, capsys):
    assert run(["train", "reactnet_18", "--lighting", "8-bit", "--run-dir", str(tmp_path / "run")]) == 2
    assert capsys.readouterr().err == (
        "error: lighting 8-bit is for image files; a data set in memory has none: leave it out\n"
    )


# older runs


def older(config):
    """What an abcost wrote down that knew neither lighting nor ties."""
    return {name: value for name, value in config.to_dict().items() if name not in {"lighting", "ties"}}


def test_an_older_run_goes_on_as_it_was_started(tmp_path):
    steps = configs("reactnet_18", (1, 2), given={"data": "imagenet"})
    written = {"schema": 1, "steps": [older(config) for config in steps]}
    (tmp_path / "config.json").write_text(json.dumps(written))
    found = resumed(stored(tmp_path), tmp_path, [])
    assert [(config.lighting, config.ties) for config in found] == [(None, "loss")] * 2  # None: floats


def test_an_older_search_goes_on():
    (config,) = configs("reactnet_18", (2,))
    plain = {
        "schema": 1, "model": "reactnet_18", "recipe": older(config), "space": {}, "target": "fpga-lut6", "table": "",
        "width": 16, "fraction_bits": 12, "device": None, "clock_mhz": 100.0, "budget": "", "epochs": [4], "keep": 0.5,
        "finalists": 2, "seeds": 1, "sampler": "nsga2", "seed": 0, "trials": 1, "images": 1, "start": "",
    }  # fmt: skip
    held = Settings.from_dict(json.loads(json.dumps(plain)), "study 'x'")
    mine = Settings.from_dict({**plain, "recipe": config.to_dict()}, "study 'x'")
    mine.check_same(held, "study 'x'")


# equal epochs


class Scores:
    """Stands in for `evaluate`: top-1 and loss of one epoch after the other."""

    def __init__(self, *epochs):
        self.left = list(epochs)

    def __call__(self, *_, **__):
        return self

    def means(self):
        top1, loss = self.left.pop(0)
        return loss, top1, 1.0


@pytest.mark.parametrize(
    ("ties", "scores", "best"),
    [
        ("later", [(0.5, 1.0), (0.75, 0.4), (0.75, 0.6), (0.6, 0.3)], 3),
        ("loss", [(0.5, 1.0), (0.75, 0.4), (0.75, 0.6), (0.6, 0.3)], 2),
        ("loss", [(0.5, 1.0), (0.75, 0.6), (0.75, 0.4), (0.6, 0.3)], 3),
        ("loss", [(0.5, 1.0), (0.75, 0.4), (0.75, 0.4), (0.6, 0.3)], 2),  # equal in both: the first
        ("later", [(0.75, 0.4), (0.75, 0.4), (0.75, 0.4), (0.75, 0.4)], 4),
        ("later", [(0.0, 9.0), (0.0, 9.1), (0.1, 9.0), (0.0, 1.0)], 3),
    ],
)
def test_which_of_equal_epochs_is_kept(ties, scores, best, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "evaluate", Scores(*scores))
    config = Config(model="reactnet_18", step=1, epochs=4, ties=ties, **SMALL)
    found = loop.train_step(config, RunContext(start(config), noise(16), tmp_path, Losses(), lambda: False))
    assert found["best_epoch"] == best
    assert found["selected_top1"] == scores[best - 1][0]
    assert torch.load(tmp_path / "best.pt", weights_only=True)["epoch"] == best


# random numbers


def test_convolutions_on_gpus_are_deterministic(monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", False)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    start(Config(model="reactnet_18", accelerator="cpu", threads=1))
    assert torch.backends.cudnn.deterministic
    assert not torch.backends.cudnn.benchmark


def test_the_teacher_is_made_before_the_network(tmp_path, monkeypatch):
    """Making ResNet-34 draws weights, which those of a checkpoint then replace: the network's come afterwards."""

    def teacher():
        return nn.Sequential(nn.Flatten(), nn.Linear(3 * 64, 4))

    fresh = []
    monkeypatch.setattr(loop, "load_teacher", lambda *_: teacher())
    monkeypatch.setattr(
        loop,
        "restrict_slopes",
        lambda model, _: fresh.append({name: t.clone() for name, t in model.state_dict().items()}),
    )
    config = Config(
        model="reactnet_18", step=1, seed=7, epochs=1, teacher="resnet34", distillation=1.0, **SMALL
    )
    loop.train_step(config, RunContext(start(config), noise(16), tmp_path, Losses(), lambda: False))
    torch.manual_seed(7)
    teacher()
    wanted = build("reactnet_18", step=1, stem="cifar", num_classes=4, base_width=4, blocks=(1, 1))
    assert list(fresh[0]) == list(wanted.state_dict())
    for name, tensor in wanted.state_dict().items():
        assert torch.equal(fresh[0][name], tensor), name
