"""Whole searches of a tiny network on digits: results, continuing, and refusals."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import threading
import time

import optuna
import pytest
import torch
from optuna.trial import TrialState

import warm
from abcost.cli import run as cli
from abcost.models.slope_sets import read_slope_sets
from abcost.searching.explore import Explorer, judged
from searching import FEW_FINALS, WAIT_S, judgements, options, read_json, rows, run, start, trained


@pytest.fixture(scope="module")
def init(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("start"))


@pytest.fixture(scope="module")
def searched(init, tmp_path_factory):
    """A finished search, and what it printed."""
    folder = tmp_path_factory.mktemp("searched")
    status, out, said = run(*options(folder, init, budget="luts=700"))
    assert status == 0, said
    return folder, out, said


def json_of(capsys, command):
    assert cli([*shlex.split(command)[1:], "--format", "json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_run_folder_is_as_the_contract_says(searched):
    folder, out, _ = searched
    front, trials = rows(folder / "front.csv"), rows(folder / "trials.csv")
    assert front
    assert sum(row["end"] == "evaluated" for row in trials) == 6
    assert len({row["candidate"] for row in trials if row["end"] == "evaluated"}) == 6
    assert {row["point"] for row in front} <= {row["candidate"] for row in trials}
    assert all(float(row["luts"]) <= 700 for row in front)
    found = read_json(folder / "front.json")
    assert found["schema"] == 1
    assert [p["name"] for p in found["front"]] == [row["point"] for row in front]
    assert {p["name"] for p in found["baselines"]} == {
        "fixed 2^-3",
        "fixed 2^-7",
        "quantized RPReLU",
        "real PReLU",
    }
    assert all(len(p["trainings"]) == 2 for p in (*found["front"], *found["baselines"]))
    # The area of an FPGA's design is not a figure that its table has; its energy is, with an interval.
    assert all(p["cost"]["area_um2"] is None for p in found["front"])
    assert all(p["cost"]["energy_uj"] > 0 for p in found["front"])
    for row in front:
        sets = read_slope_sets(folder / row["slopes"], "reactnet_18")
        assert sets.keys() == {"layer1.0.prelu", "layer2.0.prelu"}
    for picture in ("front.svg", "front.png"):
        assert (folder / picture).stat().st_size > 1000
    assert torch.load(folder / "best.pt", weights_only=True)["model"] == "reactnet_18"
    assert found["chosen"] in out
    assert "quantized RPReLU" in out
    sets = read_slope_sets(folder / "slopes" / f"{found['chosen']}.json", "reactnet_18")
    lines = [line for line in out.splitlines() if line.startswith("Exponents ")]
    for layer, exponents in sets.items():
        told = f"Exponents {', '.join(map(str, sorted(exponents)))}: "
        assert any(line.startswith(told) and layer in line for line in lines)


def test_costs_and_accuracies_can_be_had_again(searched, capsys):
    folder, _, _ = searched
    for point in read_json(folder / "front.json")["front"]:
        stage = json_of(capsys, point["commands"]["analyze"])["stages"][-1]
        assert stage["cost"]["luts"] == pytest.approx(point["cost"]["luts"], rel=1e-12)
        assert stage["cost"]["weight_bits"] / 8192 == pytest.approx(point["cost"]["weight_kib"], rel=1e-12)
        found = json_of(capsys, point["commands"]["evaluate"])
        assert found["top1"] == point["checkpoint_test_top1"]
        assert found["top1_ci95"] == pytest.approx(point["checkpoint_test_top1_ci95"])


def trainings(folder):
    """Checkpoint -> when it was written."""
    return {file: file.stat().st_mtime_ns for file in folder.rglob("*.pt") if file.parent != folder}


def test_the_same_command_again_changes_nothing_and_more_trials_go_on(init, searched, monkeypatch):
    folder, out, _ = searched
    before, written = judgements(folder), trainings(folder)
    status, again, said = run(*options(folder, init, budget="luts=700"))
    assert (status, again) == (0, out), said
    assert judgements(folder) == before
    assert trainings(folder) == written  # nothing was trained again
    monkeypatch.chdir(folder.parent)
    status, _, said = run(*options(folder.name, init, budget="luts=700", trials=8))
    assert status == 0, said
    after = judgements(folder)
    assert len(after) == 8
    assert len({key for key, _ in after.values()}) == 8
    assert before.items() <= after.items()
    for point in read_json(folder / "front.json")["front"]:  # its commands can be given in any folder
        words = shlex.split(point["commands"]["analyze"])
        assert words[words.index("--slopes") + 1] == str(folder / "slopes" / f"{point['name']}.json")
        assert words[words.index("--checkpoint") + 1] == point["checkpoint"]
        assert point["checkpoint"].startswith(f"{folder}/finals/")


def test_without_retraining_and_over_whole_accelerators(init, tmp_path, capsys):
    asked = {"budget": "luts=3000,fps>=3000,bram36=10", "granularity": "network"}
    status, _, said = run(*options(tmp_path, init, epochs=0, trials=3, workers=1, **asked, **FEW_FINALS))
    assert status == 0, said
    for point in read_json(tmp_path / "front.json")["front"]:
        assert len({tuple(s) for s in point["slopes"].values()}) == 1
        made = json_of(capsys, point["commands"]["analyze"])["stages"][-1]["organisation"]
        assert made["resources"]["luts"] == pytest.approx(point["cost"]["luts"], rel=1e-12)
        assert made["fps"] == pytest.approx(point["cost"]["fps"])
        assert made["fps"] >= 3000
        assert json_of(capsys, point["commands"]["evaluate"])["top1"] == point["checkpoint_test_top1"]


def test_other_scales_and_alphas_can_be_chosen(init, tmp_path, capsys):
    asked = {"weight_scales": "po2,csd", "alpha_exponents": "-3,-2"}
    status, _, said = run(*options(tmp_path, init, epochs=0, trials=4, workers=1, **asked, **FEW_FINALS))
    assert status == 0, said
    points = read_json(tmp_path / "front.json")["front"]
    for point in points:
        assert point["weight_scale"] in {"po2", "csd"}
        assert point["alpha_exponent"] in {-3, -2}
        stage = json_of(capsys, point["commands"]["analyze"])["stages"][-1]
        assert stage["cost"]["luts"] == pytest.approx(point["cost"]["luts"], rel=1e-12)
        assert json_of(capsys, point["commands"]["evaluate"])["top1"] == point["checkpoint_test_top1"]
    ends = {(row["weight_scale"], row["alpha_exponent"]) for row in rows(tmp_path / "trials.csv")}
    assert len(ends) > 1


def test_a_small_space_ends_by_itself(init, tmp_path):
    """One group, three exponents, one at a time: three candidates."""
    small = {"granularity": "network", "exponents": "-3:-1", "max_exponents": 1}
    status, _, said = run(*options(tmp_path, init, epochs=0, trials=10, workers=1, **small, **FEW_FINALS))
    assert status == 0, said
    assert "no more candidates within the budget: 3 were judged" in said
    assert len(judgements(tmp_path)) == 3


def test_a_trial_whose_end_is_known_but_not_yet_its_state_is_waited_for():
    """Between the two it would be neither judged nor under way, and another worker would judge its candidate again."""
    study = optuna.create_study()
    study.add_trial(
        optuna.create_trial(
            state=TrialState.RUNNING,
            user_attrs={"key": "-3", "end": "evaluated"},
            distributions={},
            params={},
        )
    )
    explorer = Explorer(study, None, None, None, 0)
    teller = threading.Timer(0.3, study.tell, (0, 0.5))
    teller.start()
    try:
        (found,) = explorer._once_said(number=1)
    finally:
        teller.join()
    assert found.state is TrialState.COMPLETE
    assert judged([found]) == [found]


def test_over_budget_is_never_trained(init, tmp_path):
    """Random sets of up to four exponents: some take more than sets of one or two, which the limit lets pass."""
    asked = {"sampler": "random", "budget": "luts=371", "max_exponents": 4}
    status, _, said = run(*options(tmp_path, init, trials=5, workers=1, **asked, **FEW_FINALS))
    assert status == 0, said
    trials = rows(tmp_path / "trials.csv")
    over = [row for row in trials if row["end"] == "over"]
    assert over, [row["luts"] for row in trials]
    assert all(float(row["luts"]) > 371 for row in over)
    there = {place.name.rsplit("-", 1)[0] for place in (tmp_path / "trials").iterdir()}
    assert not there & {row["candidate"] for row in over}
    assert all(row["loss_0_epochs"] == "" for row in over)


def test_ctrl_c_saves_and_says_how_to_go_on(init, tmp_path):
    process = start(*options(tmp_path, init, trials=40, workers=1, **FEW_FINALS), command=warm.ABCOST)
    while process.poll() is None and not (tmp_path / "trials").exists():
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=WAIT_S)
    assert process.returncode == 130, said
    assert "stopped; the same command continues" in said
    before = judgements(tmp_path)
    status, _, said = run(*options(tmp_path, init, trials=len(before) + 1, workers=1, **FEW_FINALS))
    assert status == 0, said
    assert before.items() <= judgements(tmp_path).items()


@pytest.mark.parametrize(
    ("changed", "status", "reason"),
    [
        (
            {"budget": "luts=100"},
            1,
            "no design of reactnet_18 meets --budget luts=100: the cheapest, every slope 2^",
        ),
        ({"budget": "luts=9000", "device": "iCE40UP5K"}, 2, "fpga-lut6"),
        ({"budget": "lutz=100"}, 2, "did you mean 'luts'"),
        ({"budget": "luts=1,luts=2"}, 2, "limits luts twice"),
        ({"budget": "bram36=3"}, 2, "only a whole accelerator has 36 kbit block RAMs; add --device or fps>="),
        ({"budget": "area_um2=1"}, 2, "fpga-lut6 has no figures for silicon area"),
        ({"epochs": "4,2"}, 2, "--epochs 4,2 must rise"),
        ({"epochs": "x"}, 2, "--epochs 'x' is not a list of whole numbers"),
        ({"sampler": "tpee"}, 2, "did you mean 'tpe'"),
        ({"executor": "rays"}, 2, "no executor 'rays'; did you mean 'ray'"),
        ({"keep": "0"}, 2, "--keep must be above 0"),
        ({"storage": "nowhere"}, 2, "is not of the form sqlite:///FILE"),
        (
            {"storage": "sqlite:////nowhere/at/all.db"},
            2,
            "cannot reach --storage sqlite:////nowhere/at/all.db: unable",
        ),
        ({"storage": "postgresql://x@127.0.0.1:1/y"}, 2, "cannot reach --storage postgresql"),
        ({"init": "missing.pt"}, 2, "missing.pt"),
    ],
)
def test_refusals(init, tmp_path, capfd, changed, status, reason):
    init = changed.pop("init", init)
    arguments = options(tmp_path / "run", init, **{"target": "fpga-lut6", "trials": 2, **changed})
    assert cli(arguments) == status
    said = capfd.readouterr().err
    assert reason in said
    assert len([line for line in said.splitlines() if line.startswith(("error:", "no:"))]) == 1
    assert not (tmp_path / "run" / "trials").exists()


def test_a_study_of_another_search_is_refused(init, searched, capfd):
    folder, _, _ = searched
    before = judgements(folder)
    for changed, reason in [
        ({"max_exponents": 3}, "is a search with space most 4, not 3"),
        ({"budget": "luts=699"}, "is a search with budget luts=700, not luts=699"),
        ({"keep": 0.3}, "is a search with keep 0.5, not 0.3"),
    ]:
        assert cli(options(folder, init, **{"budget": "luts=700", **changed})) == 2
        said = capfd.readouterr().err
        assert reason in said
        assert "repeat its options, or name another --study or --run-dir" in said
    assert judgements(folder) == before


def test_joining_needs_the_study_and_its_start(searched, tmp_path, capfd):
    folder, _, _ = searched
    url = f"sqlite:///{folder / 'study.db'}"
    assert cli(["search", "--join", url, "--study", "other"]) == 2
    assert "no study 'other' at" in capfd.readouterr().err
    assert cli(["search", "--join", url, "--run-dir", str(tmp_path)]) == 2
    assert (
        f"no {tmp_path / 'start.pt'}: a worker needs the run folder of the search" in capfd.readouterr().err
    )
    (tmp_path / "start.pt").write_bytes(b"another")
    assert cli(["search", "--join", url, "--run-dir", str(tmp_path)]) == 2
    assert "is not the checkpoint that this study started with" in capfd.readouterr().err
    assert cli(["search", "--join", url]) == 0  # finished: nothing to do
    assert "the study is finished" in capfd.readouterr().err


def test_a_start_of_another_network_is_refused(init, tmp_path, capfd):
    other = [x if x != "4" else "8" for x in options(tmp_path, init)]
    assert cli(other) == 2
    assert "error:" in capfd.readouterr().err


def mount(*arguments):
    return subprocess.run(["mount", *map(str, arguments)], check=False, capture_output=True, text=True)  # noqa: S603, S607


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_a_full_disk_loses_nothing(init, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    mounted = mount("-t", "tmpfs", "-o", "size=1000k", "tmpfs", small)
    if mounted.returncode:
        pytest.skip(f"cannot mount a small file system: {mounted.stderr}")
    try:
        status, _, said = run(*options(small / "run", init, trials=40, workers=1, **FEW_FINALS))
        assert status == 2, said
        assert "No space left" in said or "disk is full" in said
        assert len([line for line in said.splitlines() if line.startswith("error:")]) == 1
        before = judgements(small / "run")
        mount("-o", "remount,size=200m", small)
        asked = {"trials": max(2, len(before)), "workers": 1, **FEW_FINALS}
        status, _, said = run(*options(small / "run", init, **asked))
        assert status == 0, said
        assert before.items() <= judgements(small / "run").items()
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)  # noqa: S603, S607
