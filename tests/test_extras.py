"""Packages of extras: what a missing or broken one says."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest

from abcost.errors import MissingExtra
from abcost.extras import require


def test_a_module_that_is_there():
    assert require("math", "train", "training") is math


def test_a_missing_module_names_the_extra():
    with pytest.raises(MissingExtra) as caught:
        require("surely_not_installed.deep", "train", "the data set digits")
    assert str(caught.value) == (
        "the data set digits needs surely_not_installed, which is not installed; pip install 'abcost[train]'"
    )


def test_a_module_that_misses_another_names_that(tmp_path, monkeypatch):
    (tmp_path / "half_installed.py").write_text("import surely_not_installed\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingExtra, match=r"^training needs surely_not_installed, which is not installed; "):
        require("half_installed", "train", "training")


def test_a_broken_module_says_why(tmp_path, monkeypatch):
    (tmp_path / "built_for_another.py").write_text("raise RuntimeError('operator nms\\n  does not exist')\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingExtra) as caught:
        require("built_for_another", "vision", "the data set cifar10")
    assert str(caught.value) == (
        "the data set cifar10 needs built_for_another, which does not work here (operator nms does not exist); "
        "install one that goes with this torch: pip install 'abcost[vision]'"
    )


WITHOUT = """
import sys
for name in ("lightning_fabric", "mlxtend", "scipy", "sklearn", "tensorboardX", "torchvision"):
    sys.modules[name] = None  # what Python takes as: cannot be imported
from abcost.cli import run
small = ["reactnet_18", "--preset", "digits", "--base-width", "2", "--blocks", "1"]
statuses = [run(["analyze", *small, "--format", "csv"]), run(["verify", *small]), run(["models"])]
print(statuses, file=sys.stderr)
"""


def test_commands_that_do_not_train_need_no_extra():
    found = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=True
    )
    assert found.stderr.endswith("[0, 0, 0]\n")
    assert "error:" not in found.stderr
