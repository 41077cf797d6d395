"""A run folder belongs to the command and the settings that made it: all else is refused, and nothing is lost."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace

import pytest

import killed
from abcost.cli import run
from abcost.errors import UsageError
from abcost.searching import run as searching_run
from abcost.searching.claim import SEARCH
from abcost.training import run as training_run
from abcost.training.files import LOCK
from searching import NETWORK, options, read_json, trained
from training import noise

SMALL = ("reactnet_18", "--preset", "digits", "--base-width", "4", "--blocks", "1,1")
RTL = ("rtl", *SMALL, "--layer", "layer1.0.conv1")


def state(folder):
    """File -> its bytes and when it was written."""
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


def refused(capfd, folder, arguments):
    """The reason of a refusal that leaves the folder as it was."""
    before = state(folder)
    capfd.readouterr()
    status = run([str(argument) for argument in arguments])
    said = capfd.readouterr().err
    assert status == 2, said
    assert state(folder) == before
    (line,) = [line for line in said.splitlines() if line.startswith("error: ")]
    return line


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a finished training."""
    return trained(tmp_path_factory.mktemp("trained")).parent


@pytest.fixture
def begun(finished, tmp_path, monkeypatch):
    """The folder of a search that was stopped when its start was there; the next one stops there too."""

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(searching_run, "_from_start", stop)
    assert run(search(tmp_path / "run", finished)) == 130
    assert (tmp_path / "run" / "start.pt").read_bytes() == (finished / "best.pt").read_bytes()
    return tmp_path / "run"


def search(folder, finished, **changed):
    init = changed.pop("init", finished / "best.pt")
    return [str(x) for x in options(folder, init, **changed)]


# a search and a training


def test_a_search_does_not_touch_a_finished_training(finished, capfd):
    """Its best.pt would be written over."""
    line = refused(capfd, finished, search(finished, finished))
    assert f"--run-dir {finished} holds the run of abcost train, which abcost search would damage" in line
    line = refused(capfd, finished, ["train", *NETWORK, "--epochs", "1", "--run-dir", finished])
    assert "holds a run: continue it with --resume, or name another folder" in line


def test_a_training_does_not_touch_a_search(begun, capfd):
    for more in ((), ("--epochs", "1")):
        line = refused(capfd, begun, ["train", *NETWORK, *more, "--run-dir", begun])
        assert f"--run-dir {begun} holds the run of abcost search, which abcost train would damage" in line


def test_other_settings_are_another_search(begun, finished, capfd, tmp_path):
    other = tmp_path / "other.pt"
    shutil.copy(finished / "step1" / "best.pt", other)
    for changed, reason in [
        ({"seed": 1}, "is a search with recipe seed 0, not 1"),
        ({"budget": "luts=9000"}, "is a search with budget , not luts=9000"),
        ({"granularity": "network"}, "is a search with space groups"),
        ({"study": "second"}, "is a search with --study search, not second"),
        ({"init": other}, "is a search with --init with SHA-256 [0-9a-f]{64}, not [0-9a-f]{64}"),
    ]:
        line = refused(capfd, begun, search(begun, finished, **changed))
        assert re.search(reason, line), line
        assert re.search("repeat its options, or name another .*--run-dir", line)


def test_the_same_search_goes_on_also_with_more_trials(begun, finished):
    start = (begun / "start.pt").stat().st_mtime_ns
    for trials in (6, 9):
        assert run(search(begun, finished, trials=trials)) == 130
        assert read_json(begun / SEARCH)["settings"]["trials"] == trials
        assert (begun / "start.pt").stat().st_mtime_ns == start


def test_a_search_of_an_earlier_version_goes_on(begun, finished):
    """It wrote no search.json."""
    (begun / SEARCH).unlink()
    assert run(search(begun, finished)) == 130
    assert read_json(begun / SEARCH)["command"] == "search"


def test_a_search_that_was_stopped_before_its_start_was_there_is_the_same_search(
    finished, tmp_path, monkeypatch, capfd
):
    """The start would be trained with the settings of one search and used by another."""

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(searching_run, "open_storage", stop)
    folder = tmp_path / "run"
    assert run(search(folder, finished)) == 130
    assert {path.name for path in folder.iterdir()} == {".lock", SEARCH}
    assert "is a search with recipe seed 0, not 1" in refused(capfd, folder, search(folder, finished, seed=1))


def test_a_resumed_training_is_the_same_training(tmp_path, monkeypatch):
    monkeypatch.setattr(training_run, "load", lambda *_, **__: noise(48))
    (one, _) = killed.steps()
    one = replace(one, epochs=1)
    training_run.train([one], tmp_path)
    before = state(tmp_path)
    with pytest.raises(UsageError, match="was started with seed 3, not 4: leave it out, or name another"):
        training_run.train([replace(one, seed=4)], tmp_path, resume=True)
    training_run.train(
        [replace(one, threads=2)], tmp_path, resume=True
    )  # where it runs is not what it computes
    after = state(tmp_path)
    assert before.keys() == after.keys()
    assert {name for name in before if before[name] != after[name]} <= {"config.json", LOCK}


@pytest.mark.parametrize("name", ["best.pt", "last.pt", "log.csv", "metrics.json", "confusion.csv"])
def test_foreign_files_are_not_written_over(name, tmp_path, capfd):
    (tmp_path / name).write_text("precious")
    line = refused(capfd, tmp_path, ["train", *NETWORK, "--epochs", "1", "--run-dir", tmp_path])
    assert f"--run-dir {tmp_path} holds {name}, which abcost train did not write there" in line


def test_files_that_nobody_writes_over_may_be_there(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    assert run(["train", *NETWORK, "--epochs", "1", "--step", "2", "--run-dir", str(tmp_path)]) == 0
    assert (tmp_path / "notes.txt").read_text() == "mine"


# Verilog and cost tables


def test_verilog_is_written_again_by_the_same_command_only(tmp_path, capfd):
    out = tmp_path / "layer"
    assert run([*RTL, "--out", str(out)]) == 0
    whole = {name: text for name, (text, _) in state(out).items()}
    for file in sorted(out.rglob("*"))[::2]:  # as if it had been killed half-way
        file.unlink()
    assert run([*RTL, "--out", str(out)]) == 0
    assert {name: text for name, (text, _) in state(out).items()} == whole
    line = refused(capfd, out, [*RTL, "--out", out, "--pe", "2"])
    assert re.search(r"holds another \S+ than this command writes: name another folder, or remove it", line)


def test_a_table_is_measured_again_by_the_same_command_only(tmp_path, capfd):
    """Refused before Yosys starts."""
    table, points = tmp_path / "mine.toml", tmp_path / "points" / "mine.csv"
    table.write_text(
        "# Written by `abcost calibrate fpga-ice40 --quick`; do not edit, measure again.\nschema = 1\n"
    )
    command = ["calibrate", "fpga-ice40", "--yosys", "none", "-o", table]
    reason = "is not a table that this abcost calibrate command has written"
    assert reason in refused(capfd, tmp_path, command)
    assert reason in refused(capfd, tmp_path, ["calibrate", "fpga-ecp5", *command[2:], "--quick"])
    assert "no way to run Yosys" in refused(
        capfd, tmp_path, [*command, "--quick"]
    )  # the same command: it starts
    points.parent.mkdir()
    points.write_text("precious\n")
    assert "mine.csv is not a file of points" in refused(capfd, tmp_path, [*command, "--quick"])
