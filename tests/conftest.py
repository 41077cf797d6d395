"""Settings that the whole suite shares."""

from __future__ import annotations

import pytest
import torch
from hypothesis import settings

settings.register_profile("abcost", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("abcost")

torch.set_num_threads(1)  # on two cores with two test processes, threads mostly wait for each other


@pytest.fixture(autouse=True)
def _plain_terminal(monkeypatch):
    """pytest-xdist sets COLUMNS in its workers; reports would follow it."""
    for name in ("COLUMNS", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
