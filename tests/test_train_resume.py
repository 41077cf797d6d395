"""Interrupted trainings: killed, stopped, and gone on with bit for bit."""

from __future__ import annotations

import csv
import json
import math
import multiprocessing
import shutil
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch

import killed
from abcost.errors import CheckpointError, OutputError, TrainError, UsageError
from abcost.training import run
from abcost.training.files import PREFIX, write_tensors
from abcost.training.run import resumed, stored
from training import Losses, noise

WAIT_S = 600  # a safety net: nothing here takes a minute
TIMES = {"seconds", "images_per_second"}  # of the clock, not of the training


@pytest.fixture(scope="module")
def processes():
    """Starts processes that have everything imported already, and have not yet computed anything."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["killed", "lightning_fabric", "tensorboardX", "scipy.stats", "torch._dynamo"]
    )
    return context


@pytest.fixture(scope="module")
def whole(processes, tmp_path_factory):
    """The folder of a training that nobody disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    assert launch(processes, folder) == 0
    return folder


@pytest.fixture
def calls(processes, whole, tmp_path_factory):
    """How many functions a training calls and leaves: its length, however fast the machine is."""
    folder = tmp_path_factory.mktemp("counted")
    assert launch(processes, folder, counted=str(folder / "calls")) == 0
    return int((folder / "calls").read_text())


def launch(processes, folder, **ways_to_die):
    """Exit code of a training in a process of its own; minus the signal if it was killed."""
    process = processes.Process(target=killed.train, args=(str(folder),), kwargs=ways_to_die)
    process.start()
    process.join(WAIT_S)
    return process.exitcode


def log(folder):
    with (folder / "log.csv").open() as file:
        return [
            {name: value for name, value in row.items() if name not in TIMES} for row in csv.DictReader(file)
        ]


def same(one, other):
    """Whether two things from a checkpoint are equal bit for bit, but for times."""
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[k], other[k]) for k in one if k not in TIMES)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def assert_same_runs(one, other):
    for place in ("step1", "."):
        assert log(one / place) == log(other / place)
        assert len(log(one / place)) == killed.EPOCHS
        for name in ("best.pt", "last.pt"):
            contents = [torch.load(folder / place / name, weights_only=True) for folder in (one, other)]
            for content in contents:
                content.get("resume", {}).pop("random", None)  # drawn before the run; nothing in it draws
            assert same(*contents), f"{place}/{name}"
        metrics = [json.loads((folder / place / "metrics.json").read_text()) for folder in (one, other)]
        assert same(*metrics)
        assert (one / place / "confusion.csv").read_text() == (other / place / "confusion.csv").read_text()


def leftovers(folder):
    return [path.name for path in folder.rglob(f"{PREFIX}*")]


def reached(folder):
    """Epochs saved so far, of both steps."""
    return sum(len(log(place)) for place in (folder / "step1", folder) if (place / "log.csv").exists())


@pytest.mark.parametrize("times", [4, pytest.param(10, marks=pytest.mark.slow)])
def test_killed_at_random_moments(processes, whole, calls, tmp_path, times):
    rng = np.random.default_rng(0)
    deaths = []
    while (
        len(deaths) < times or len(set(deaths)) < 3
    ):  # at different moments, and trainings went on in between
        assert len(deaths) < 40
        exit_code = launch(processes, tmp_path, after=int(rng.uniform(0, 1) * calls))
        if exit_code == 0:  # done before it was killed: once more from the start
            assert_same_runs(whole, tmp_path)
            shutil.rmtree(tmp_path)
            tmp_path.mkdir()
            continue
        assert exit_code == -signal.SIGKILL
        deaths.append(reached(tmp_path))
    assert launch(processes, tmp_path) == 0
    assert_same_runs(whole, tmp_path)
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("times", [2, pytest.param(5, marks=pytest.mark.slow)])  # twice each
def test_killed_while_writing_a_checkpoint(processes, whole, tmp_path, times):
    # every epoch writes last.pt, and before it best.pt if it is the best so far: a process that dies in its
    # third file has saved one or two epochs, one that dies in its first has saved none
    for _ in range(times):
        assert launch(processes, tmp_path, writing=1) == -signal.SIGKILL
        assert leftovers(tmp_path)
        assert launch(processes, tmp_path, writing=3) == -signal.SIGKILL
    assert times <= reached(tmp_path) < 2 * killed.EPOCHS
    assert launch(processes, tmp_path) == 0
    assert_same_runs(whole, tmp_path)
    assert leftovers(tmp_path) == []


class StopAfter(Losses):
    """Asks to stop when so many batches are done."""

    def __init__(self, batches):
        super().__init__()
        self.limit = batches

    def stop(self):
        return len(self.losses) >= self.limit


@pytest.mark.parametrize(
    "batches", [1, 4, 6, 8]
)  # 6 of 48/8 batches are an epoch: between, at its end, after it
def test_stopped_by_the_user_and_continued(batches, whole, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "load", lambda *_, **__: noise(48))
    undisturbed = Losses()
    run.train(killed.steps()[:1], tmp_path / "whole", listener=undisturbed)
    first, second = StopAfter(batches), Losses()
    with pytest.raises(KeyboardInterrupt):
        run.train(killed.steps()[:1], tmp_path / "stopped", listener=first, stop=first.stop)
    assert len(first.losses) == batches
    run.train(killed.steps()[:1], tmp_path / "stopped", resume=True, listener=second)
    assert first.losses + second.losses == undisturbed.losses  # every batch once, every loss to the bit
    assert log(tmp_path / "stopped") == log(tmp_path / "whole")


def test_a_restricted_network_is_saved_as_it_computes(whole):
    # latent exponents are kept for resuming only
    content = torch.load(whole / "last.pt", weights_only=True)
    name = "layer1.0.prelu"
    latent, plain = content["resume"]["latent"][name], content["state_dict"][f"{name}.L_alpha"]
    assert set(plain.tolist()) <= {-4.0, -2.0, -1.0}
    assert not torch.equal(latent, latent.round())
    nearest = [min((-4.0, -2.0, -1.0), key=lambda e: abs(e - x)) for x in latent.tolist()]
    assert plain.tolist() == nearest
    assert content["config"]["slopes"] == {name: [-4, -2, -1]}
    assert (content["model"], content["variant"], content["step"]) == ("reactnet_18", "ab", 2)
    assert (content["schema"], content["epoch"]) == (1, killed.EPOCHS)
    config = content["config"]
    assert (config["base_width"], config["blocks"], config["num_classes"]) == (4, [1, 1], 4)
    assert (config["preset"], config["input_shape"]) == ("digits", [3, 8, 8])


# refused


def test_a_folder_with_a_run_is_not_overwritten(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "load", lambda *_, **__: noise(48))
    (one, _) = killed.steps()
    run.train([replace(one, epochs=1)], tmp_path)
    with pytest.raises(UsageError, match="holds a run: continue it with --resume, or name another folder"):
        run.train([replace(one, epochs=1)], tmp_path)


def test_a_resumed_run_is_the_same_run(tmp_path):
    one, two = killed.steps()
    with pytest.raises(UsageError, match=r"was started with lr 0\.01, not 0\.5: leave it out"):
        resumed((one, two), tmp_path, [(1, {"lr": 0.5}), (2, {})])
    with pytest.raises(UsageError, match=r"holds step 1 and 2: leave --step out"):
        resumed((one, two), tmp_path, [(2, {})])
    assert resumed((one, two), tmp_path, [(1, {"lr": 0.01}), (2, {"lr": 0.01})]) == (one, two)
    assert [c.threads for c in resumed((one, two), tmp_path, [(1, {"threads": 2}), (2, {"threads": 2})])] == [
        2,
        2,
    ]


def begun(folder):
    """Write down that the second step is trained in the folder, as a training does before all else."""
    (config,) = killed.steps()[1:]
    (folder / "config.json").write_text(json.dumps({"schema": 1, "steps": [config.to_dict()]}))


def test_what_was_started_is_read_back(whole, tmp_path):
    assert stored(whole) == killed.steps()
    assert stored(tmp_path) is None


@pytest.mark.parametrize("text", ["{", "[]", '{"steps": [{"model": 3}]}', '{"steps": [{"lr": -1}]}'])
def test_damaged_config(text, tmp_path):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"cannot resume: .*config\.json is damaged"):
        stored(tmp_path)


@pytest.mark.parametrize("damage", ["empty", "foreign", "cut"])
def test_damaged_checkpoint(damage, whole, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "load", lambda *_, **__: noise(48))
    content = (whole / "last.pt").read_bytes()
    bytes_of = {"empty": b"", "foreign": b"text", "cut": content[: len(content) // 2]}
    begun(tmp_path)
    (tmp_path / "last.pt").write_bytes(bytes_of[damage])
    with pytest.raises(CheckpointError, match=r"'.*last\.pt' is (empty, )?damaged"):
        run.train(killed.steps()[1:], tmp_path, resume=True)


def test_a_checkpoint_of_another_step(whole, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "load", lambda *_, **__: noise(48))
    begun(tmp_path)
    (tmp_path / "last.pt").write_bytes((whole / "step1" / "last.pt").read_bytes())
    with pytest.raises(CheckpointError, match="it is step 1 of reactnet_18, not step 2 of reactnet_18"):
        run.train(killed.steps()[1:], tmp_path, resume=True)


def test_files_that_cannot_be_written(tmp_path):
    with pytest.raises(OutputError, match=r"cannot write .*none/a\.pt: No such file or directory"):
        write_tensors(tmp_path / "none" / "a.pt", {})
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"--run-dir .*file/run: Not a directory"):
        run.train(killed.steps(), tmp_path / "file" / "run")


def test_a_diverged_training_keeps_the_last_good_checkpoint(tmp_path, monkeypatch):
    data = noise(48)
    monkeypatch.setattr(run, "load", lambda *_, **__: data)
    (one, _) = killed.steps()
    listener = Losses()

    def spoil():  # asked after every batch: the images of the second epoch are no numbers
        if len(listener.losses) == 6:
            data.train.images = data.train.images * math.nan
        return False

    with pytest.raises(
        TrainError, match=r"the loss is nan in epoch 2 of step 1: training diverged; lower --lr"
    ):
        run.train([one], tmp_path, listener=listener, stop=spoil)
    assert torch.load(tmp_path / "last.pt", weights_only=True)["epoch"] == 1
