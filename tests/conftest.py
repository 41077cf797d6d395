"""Settings that the whole suite shares."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from functools import cache

import pytest
import torch
from hypothesis import settings

from abcost.cost import CostTable, cost_models_dir
from abcost.cost.table import locate
from browser import CHROME

collect_ignore = ["sample_plugin"]  # its tests run where it is installed, see test_plugins.py

settings.register_profile("abcost", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("abcost")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # a shell starts what runs in its background deaf to Ctrl-C, and so would be the commands that tests interrupt
    signal.signal(signal.SIGINT, signal.default_int_handler)

# with a test process per core, threads mostly wait for each other: here, and in the commands that tests start
torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"

_load = CostTable.load
_read_once = cache(_load)
_bundled = cost_models_dir()


def _load_bundled_once(name_or_path, *, sampled=None):
    """Nearly every test takes a table or two, and each is a tenth of a second; what a table remembers is its own."""
    path = locate(name_or_path)
    if path.parent != _bundled:
        return _load(name_or_path, sampled=sampled)
    return replace(_read_once(path, sampled=sampled), _prices={}, remembered={}, _narrowest={})


CostTable.load = _load_bundled_once


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
