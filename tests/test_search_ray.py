"""Searches on a Ray cluster: `make test-ray`, for Ray is large and has an environment of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from searching import WAIT_S, judgements, options, rows, start, trained

pytest.importorskip("ray", reason="Ray is not installed: make test-ray")

TRIALS = 16


@pytest.fixture(scope="module")
def cluster():
    """A cluster of this machine with two processors."""
    command = str(Path(sys.executable).with_name("ray"))
    environment = {**os.environ, "RAY_DISABLE_IMPORT_WARNING": "1"}
    head = [command, "start", "--head", "--num-cpus", "2", "--port", "6399", "--include-dashboard", "false"]
    subprocess.run(head, check=True, env=environment, capture_output=True)  # noqa: S603 - Ray's own command
    yield
    subprocess.run([command, "stop", "--force"], check=False, capture_output=True)  # noqa: S603


def workers():
    """Ray's processes that run a worker of a search."""
    return [p for p in psutil.process_iter(["cmdline"]) if "ray::_work" in " ".join(p.info["cmdline"] or [])]


def test_a_study_survives_the_death_of_a_worker(cluster, tmp_path):
    init = trained(tmp_path / "start")
    folder = tmp_path / "run"
    process = start(*options(folder, init, trials=TRIALS, epochs=2, executor="ray"))
    began = time.monotonic()
    while time.monotonic() < began + WAIT_S and not (len(workers()) == 2 and (folder / "trials").exists()):
        assert process.poll() is None, process.communicate()
        time.sleep(0.2)
    running = workers()
    assert len(running) == 2
    while len(judgements(folder)) < 2:
        time.sleep(0.2)
    running[0].kill()
    _, said = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0, said
    found = judgements(folder)
    assert len(found) == TRIALS
    assert len({key for key, _ in found.values()}) == TRIALS
    assert rows(folder / "front.csv")
