"""What the tests of searches share: commands, a trained start, and what a study holds."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys

import warm
from abcost.searching.explore import judged
from abcost.searching.storage import sqlite_url
from abcost.searching.studies import join

NETWORK = ("reactnet_18", "--data", "digits", "--base-width", "4", "--blocks", "1,1")
WIDE = os.environ | {"COLUMNS": "100"}
WAIT_S = 900  # a safety net: nothing takes minutes, but on a machine that is busy with other things
FEW_FINALS = {"seeds": 1, "finalists": 1}  # for tests of what comes before them
COMMAND = (sys.executable, "-c", "from abcost.cli import main; main()")


def start(*arguments, command=COMMAND, **environment):
    """A command of abcost in a Python of its own, or one that is forked (warm.ABCOST); its stderr can be read."""
    return subprocess.Popen(  # noqa: S603 - our own command
        [*command, *map(str, arguments)],
        env=(WIDE if command is COMMAND else warm.environment() | {"COLUMNS": "100"}) | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(*arguments):
    """Exit status, stdout and stderr of a command in a process of its own that was forked, its workers too."""
    process = start(*arguments, command=warm.ABCOST)
    out, said = process.communicate(timeout=WAIT_S)
    return process.returncode, out, said


def trained(folder):
    """A checkpoint of the small network, after one epoch of each step."""
    status, _, said = run("train", *NETWORK, "--epochs", "1", "--run-dir", folder)
    assert status == 0, said
    return folder / "best.pt"


def options(folder, init, **changed):
    """Of a search that takes seconds."""
    values = {
        "run-dir": folder, "init": init, "trials": 6, "epochs": "1", "seeds": 2, "finalists": 2,
        "workers": 2, "seed": 0,
    } | changed  # fmt: skip
    given = [x for name, value in values.items() for x in (f"--{name.replace('_', '-')}", str(value))]
    return ["search", *NETWORK, *given]


def judgements(folder, url=None, name="search"):
    """Trial number -> key and values of the candidates that were judged."""
    study = join(url or sqlite_url(folder), name).explore
    trials = study.get_trials(deepcopy=False)
    study._storage._backend.engine.dispose()  # a connection left to the garbage collector is a warning
    return {t.number: (t.user_attrs["key"], tuple(t.values)) for t in judged(trials)}


def rows(path):
    """Of a CSV file."""
    with path.open() as file:
        return list(csv.DictReader(file))


def read_json(path):
    """Of a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))
