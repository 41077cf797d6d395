"""Searches whose candidates are retrained side by side: the same search as one by one."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
import sqlalchemy
from optuna.trial import TrialState

from abcost.api.search import settings_of
from abcost.cli import run as cli
from abcost.data.sets import digits
from abcost.errors import UsageError
from abcost.searching import heartbeats, storage
from abcost.searching.claim import held_group
from abcost.searching.evaluator import Evaluator
from abcost.searching.explore import Explorer, judged
from abcost.searching.finals import Finals, all_done, enqueue, plan, results
from abcost.searching.problem import Problem
from abcost.searching.proposals import first_proposals, parameters
from abcost.searching.run import exponents_of_start
from abcost.searching.settings import Settings
from abcost.searching.storage import sqlite_url
from abcost.searching.studies import begin
from abcost.searching.worker import digest_of, work
from abcost.training import runtime
from abcost.training.recipes import configs
from searching import options, run, trained


@pytest.fixture(scope="module", autouse=True)
def _few_images():
    """Every fourth digit, in batches of a fourth: as many steps of training."""
    every = digits._rows()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(digits, "_rows", lambda: every[::4])
        yield


@pytest.fixture(scope="module")
def init(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("start"))


def opened(
    folder,
    init,
    *,
    group,
    sampler="nsga2",
    trials=12,
    stop=lambda: False,
    precision="64",
    keep=0.5,
    seeds=2,
    epochs=2,
):
    """Problem, studies and lab of a search with two short rungs, in float64 unless said otherwise."""
    given = {
        "data": "digits",
        "base_width": 4,
        "blocks": (1, 1),
        "seed": 0,
        "precision": precision,
        "batch_size": 128,
        "epochs": epochs,  # of the finals
    }
    (config,) = configs("reactnet_18", (2,), given=given)
    asked = {
        "target": "fpga-lut6", "device": None, "clock_mhz": 100.0, "budget": "luts=400", "width": None,
        "fraction_bits": 12, "keep": keep, "finalists": 2, "seeds": seeds, "sampler": sampler, "seed": 0,
        "trials": trials, "images": 64, "group": group,
    }  # fmt: skip
    space = {"low": -4, "high": 1, "most": 3, "scales": ("none",), "alphas": ()}
    folder.mkdir(exist_ok=True)
    if not (folder / "start.pt").exists():
        shutil.copy(init, folder / "start.pt")
    settings = settings_of(config, asked, space, "layer", (1, 2))
    settings = replace(settings, start=digest_of(folder / "start.pt"))
    problem = Problem(settings, folder / "start.pt")
    studies = begin(sqlite_url(folder), "search", settings, len(problem.objectives), str(folder))
    if not studies.explore.get_trials(deepcopy=False):
        for candidate in first_proposals(problem.space, exponents_of_start(problem.start), trials):
            studies.explore.enqueue_trial(parameters(candidate, problem.space))
    return problem, studies, Evaluator(problem, folder, stop)


def explored(problem, studies, evaluator):
    explorer = Explorer(studies.explore, studies.storage, problem, evaluator, 0)
    while explorer.step():
        pass
    found = [
        (t.user_attrs["key"], t.user_attrs["end"], t.user_attrs.get("rungs", []))
        for t in studies.explore.get_trials(deepcopy=False)
    ]
    studies.storage.engine.dispose()
    return found


def test_transactions_of_a_candidate(init, tmp_path, monkeypatch):
    """What workers wait for each other for: 4 to take it, 1 to end it, and a few of each group."""
    monkeypatch.setattr(heartbeats, "HEARTBEAT_S", 1e6)  # which would add some on a slow machine
    problem, studies, evaluator = opened(tmp_path, init, group=4, sampler="random", trials=8, keep=1.0)
    begun = []
    sqlalchemy.event.listen(studies.storage.engine, "begin", begun.append)
    found = explored(problem, studies, evaluator)
    assert len(found) >= 8
    assert len(begun) <= 10 * len(found)


@pytest.mark.parametrize("sampler", [pytest.param("nsga2", marks=pytest.mark.slow), "random"])
def test_the_same_search_as_one_by_one(init, tmp_path, sampler):
    """The same candidates in the same order, each with the same end and, in float64, the same losses."""
    trials = 12 if sampler == "nsga2" else 5  # more than its first generation
    alone = explored(*opened(tmp_path / "alone", init, group=1, sampler=sampler, trials=trials))
    beside = explored(*opened(tmp_path / "beside", init, group=4, sampler=sampler, trials=trials))
    assert [found[:2] for found in alone] == [found[:2] for found in beside]
    assert len({len(rungs) for _, _, rungs in alone}) > 1  # some were stopped
    for one, other in zip(alone, beside, strict=True):
        assert other[2] == pytest.approx(one[2], rel=1e-9)


def test_an_interrupted_search_judges_as_one_that_is_not(init, tmp_path):
    """In float32 to the bit, though what is gone on with has other neighbours; finals too."""
    asked = {"group": 4, "sampler": "random", "precision": "32", "keep": 1.0, "trials": 5}
    whole = opened(tmp_path / "whole", init, **asked)
    losses = {key: rungs for key, end, rungs in explored(*whole) if end == "evaluated"}
    calls = iter(range(10_000))
    broken = opened(tmp_path / "broken", init, stop=lambda: next(calls) == 3, **asked)
    with pytest.raises(KeyboardInterrupt):
        explored(*broken)
    states = [t.state for t in broken[1].explore.get_trials(deepcopy=False)]
    assert states.count(TrialState.FAIL) == states.count(TrialState.WAITING) > 1  # handed back
    assert TrialState.RUNNING not in states
    again = opened(tmp_path / "broken", init, **asked)
    found = {key: rungs for key, end, rungs in _ended(explored_again(*again)) if end == "evaluated"}
    assert len(found) == 5
    common = found.keys() & losses.keys()
    assert len(common) >= 4  # those that had been proposed
    assert all(found[key] == losses[key] for key in common)


def test_gradients_in_bfloat16_and_a_worker_that_has_none(init, tmp_path, monkeypatch):
    """Side by side as in float32; a worker on another processor is refused before it takes a trial."""
    monkeypatch.setattr(runtime, "MULTIPLIES_BFLOAT16", True)
    asked = {"group": 4, "sampler": "random", "keep": 1.0, "trials": 4, "precision": "bf16-backward"}
    problem, studies, evaluator = opened(tmp_path, init, **asked)
    monkeypatch.setattr(runtime, "MULTIPLIES_BFLOAT16", False)
    with pytest.raises(UsageError, match="this processor has no products of bfloat16"):
        work(studies, tmp_path, 0, lambda: False)
    assert not {t.state for t in studies.explore.get_trials(deepcopy=False)} - {TrialState.WAITING}
    monkeypatch.setattr(runtime, "MULTIPLIES_BFLOAT16", True)
    found = explored(problem, studies, evaluator)
    assert [end for _, end, _ in found] == ["evaluated"] * 4
    assert all(0 < loss < 5 for _, _, rungs in found for loss in rungs)  # chance is log(10) = 2.3


def explored_again(problem, studies, evaluator):
    explorer = Explorer(studies.explore, studies.storage, problem, evaluator, 1)
    while explorer.step():
        pass
    trials = studies.explore.get_trials(deepcopy=False)
    studies.storage.engine.dispose()
    return trials


def _ended(trials):
    return [(t.user_attrs["key"], t.user_attrs["end"], t.user_attrs["rungs"]) for t in judged(trials)]


def test_finals_are_those_of_one_by_one(init, tmp_path):
    """All baselines and finalists, in float64."""
    found = {}
    for group in (1, 8):
        asked = {"group": group, "sampler": "random", "trials": 2, "seeds": 1, "epochs": 1}
        problem, studies, evaluator = opened(tmp_path / str(group), init, **asked)
        explored(problem, studies, evaluator)
        enqueue(studies.finals, plan(studies.explore.get_trials(deepcopy=False), problem))
        finals = Finals(studies.finals, studies.storage, problem, evaluator)
        while not all_done(studies.finals):
            assert finals.step()
        found[group] = {name: [j.loss for j in of] for name, of in results(studies.finals).items()}
        studies.storage.engine.dispose()
    assert {"fixed 2^-3", "fixed 2^-7", "quantized RPReLU", "real PReLU"} < found[1].keys()
    assert found[8].keys() == found[1].keys()
    for name, losses in found[1].items():
        assert found[8][name] == pytest.approx(losses, rel=1e-9)


def test_a_trial_is_heard_of_as_soon_as_it_is_taken(tmp_path):
    """A new one and one from the queue: a worker that is killed at any moment afterwards is missed."""
    kept = storage.open_storage(sqlite_url(tmp_path))
    study = optuna.create_study(storage=kept, study_name="beats")
    heard = []
    kept.record_heartbeat = heard.append
    storage.ask(study, kept)
    assert len(heard) == 1
    study.enqueue_trial({})
    storage.ask(study, kept)
    assert len(set(heard)) == 2
    kept.engine.dispose()


def test_trials_of_a_group_are_heard_of(tmp_path):
    """Every one that runs, and none that has ended; Optuna hands on what it does not hear of."""
    kept = storage.open_storage(sqlite_url(tmp_path))
    study = optuna.create_study(storage=kept, study_name="beats")
    trials = [storage.ask(study, kept) for _ in range(3)]
    heard = []
    kept.beat = heard.extend
    beats = heartbeats.Heartbeats(kept)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(heartbeats, "HEARTBEAT_S", 0.01)
        with beats:
            for trial in trials:
                beats.add(trial)
            beats.remove(trials[1])
            heard.clear()
            while len(heard) < 6:
                pass
    study_id = kept.get_study_id_from_name("beats")
    ids = [kept.get_trial_id_from_study_id_trial_number(study_id, t.number) for t in trials]
    assert set(heard) == {ids[0], ids[2]}
    kept.engine.dispose()


def test_a_search_goes_on_with_the_group_that_it_was_started_with(init, tmp_path, capfd):
    arguments = options(tmp_path, init, epochs="1", trials=2, finalists=1, seeds=1, workers=1)
    assert run(*arguments, "--group", "3")[0] == 0
    assert held_group(tmp_path) == 3
    assert run(*arguments)[0] == 0  # which says nothing of it
    assert held_group(tmp_path) == 3
    assert cli([*arguments, "--group", "2"]) == 2
    assert "is a search with group 3, not 2" in capfd.readouterr().err


def test_studies_of_before_were_searched_one_by_one(init, tmp_path):
    problem, _, _ = opened(tmp_path, init, group=4)
    held = problem.settings.to_dict()
    del held["group"]
    assert Settings.from_dict(held, "an old study").group == 1
    (tmp_path / "search.json").write_text(json.dumps({"settings": held}))
    assert held_group(tmp_path) == 1
    assert held_group(tmp_path / "nowhere") is None


MIXING = """
from own_network import Net
from abcost.nn import QuantizedPReLU

class Mixing(Net):
    def forward(self, x):
        x = super().forward(x)
        return x - x.mean(1, keepdim=True)

def net():
    return Mixing(4, 2, QuantizedPReLU)
"""


def test_what_cannot_stand_side_by_side_is_retrained_one_by_one(tmp_path, monkeypatch):
    """Its logits would be moved by the mean over all networks; a line says so, and the search goes on."""
    (tmp_path / "mixing.py").write_text(MIXING)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    network = [f"{tmp_path}/mixing.py:net", "--data", "digits"]
    status, _, said = run("train", *network, "--epochs", "1", "--run-dir", tmp_path / "start")
    assert status == 0, said
    asked = [
        "--init",
        str(tmp_path / "start" / "best.pt"),
        "--run-dir",
        str(tmp_path / "run"),
        "--trials",
        "2",
    ]
    asked += ["--epochs", "1", "--finalists", "1", "--seeds", "1", "--workers", "1", "--group", "2"]
    status, _, said = run("search", *network, *asked)
    assert status == 0, said
    assert "candidates are retrained one by one, not 2 side by side: logits differ by" in said
    assert len(list((tmp_path / "run" / "trials").glob("*/metrics.json"))) >= 1
