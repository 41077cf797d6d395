"""Settings that the whole suite shares."""

from __future__ import annotations

import gc
import os
import signal
import sys
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from hypothesis import settings

from browser import CHROME
from tables_once import read_tables_once

collect_ignore = ["sample_plugin"]  # its tests run where it is installed, see test_plugins.py

settings.register_profile("abcost", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("abcost")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # a shell starts what runs in its background deaf to Ctrl-C, and so would be the commands that tests interrupt
    signal.signal(signal.SIGINT, signal.default_int_handler)

# with a test process per core, threads mostly wait for each other: here, and in the commands that tests start
torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"

read_tables_once()

COMPILED = Path(__file__).parent / "__pycache__"
LAST = max(Path(__file__).parent.glob("test_*.py")).stem


def _compiled():
    """Whether tests have been collected before, all of them: pytest keeps what it makes of each file."""
    return sys.dont_write_bytecode or any(COMPILED.glob(f"{LAST}.*-pytest-*.pyc"))


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """In a fresh clone one process compiles all that tests import, and the others wait: else each would, all of it."""
    if "PYTEST_XDIST_WORKER" not in os.environ or _compiled():
        return (yield)
    with FileLock(COMPILED / "lock"):
        if not _compiled():
            return (yield)
    return (yield)


def pytest_collection_finish():
    """What has been imported stays: collections of garbage need not look through all of torch again and again.

    Nor after every few hundred objects: that alone is a tenth of the time of tests that make large graphs.
    """
    gc.freeze()
    gc.set_threshold(50_000)


@pytest.fixture(autouse=True)
def _plain_terminal(monkeypatch):
    """pytest-xdist sets COLUMNS in its workers; reports would follow it."""
    for name in ("COLUMNS", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module", autouse=True)
def _one_browser_for_a_file():
    """Nothing is started where no page is opened."""
    yield
    CHROME.end()
