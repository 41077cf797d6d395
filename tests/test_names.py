"""Names that are known before torch is loaded: completed by shells, and answered at once where they are wrong."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from abcost.accelerator.devices import boards, devices
from abcost.cli import names, run
from abcost.core.zoo import zoo_names
from abcost.cost import bundled_targets
from abcost.errors import AbcostError, ModelError, UnknownName
from abcost.models.registry import MODELS
from abcost.models.subject import Request, resolve


def test_the_zoo_is_what_its_files_add():
    assert list(zoo_names()) == MODELS.names()


WRONG = [
    "reactnet_19", "", "react net", "none.py:make", "folder/none.py:make", "none.onnx", "none.pt2", "\0.onnx",
    "x" * 5000 + ".py:f",
]  # fmt: skip


@pytest.mark.parametrize("text", WRONG, ids=range(len(WRONG)))
def test_what_is_answered_at_once_is_what_would_be_answered_later(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AbcostError) as later:
        resolve(Request(text))
    with pytest.raises(AbcostError) as at_once:
        names.check_model(text)
    assert str(at_once.value) == str(later.value)
    assert type(at_once.value) is type(later.value)


@pytest.mark.parametrize("text", ["reactnet_18", "package.module:factory", "C:none", None])
def test_what_may_be_right_is_left_to_the_command(text):
    assert names.check_model(text) == text


def test_sides_are_models_with_options_or_reports(tmp_path):
    sides = ["a.json", "b.csv", "reactnet_18,width=12"]
    assert names.check_sides(sides) == sides
    with pytest.raises(UnknownName, match="no model 'reactnet_19'"):
        names.check_sides([*sides, "reactnet_19,width=12"])


def test_models_of_other_packages_are_not_refused(monkeypatch):
    monkeypatch.setattr(names, "more_may_be_known", lambda: True)
    assert names.check_model("theirs") == "theirs"
    with pytest.raises(ModelError):  # a file is there or not, whoever adds models
        names.check_model("none.onnx")


def completed(*words):
    """What a shell offers for the last word."""
    asked = {
        "_ABCOST_COMPLETE": "complete_bash",
        "COMP_WORDS": " ".join(words),
        "COMP_CWORD": str(len(words) - 1),
    }
    done = subprocess.run(
        [sys.executable, "-c", "from abcost.cli import main; main()"],
        env={**os.environ, **asked}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.split()


def test_shells_complete_models_targets_and_devices():
    assert completed("abcost", "analyze", "reactnet") == [n for n in zoo_names() if n.startswith("reactnet")]
    targets = [name for name in bundled_targets() if name.startswith("fpga")]
    assert completed("abcost", "sweep", "reactnet_18", "--target", "fpga") == targets
    found = completed("abcost", "build", "reactnet_18", "--device", "xc7")
    assert found == [name for name in devices() if name.startswith("xc7")]
    assert completed("abcost", "compare", "bnn") == ["bnn_18"]
    assert completed("abcost", "targets", "show", "asic-4") == ["asic-45nm"]
    assert set(completed("abcost", "export", "reactnet_18", "--device", "pynq")) == {
        board for board in boards() if board.startswith("pynq")
    }


def test_a_wrong_model_is_told_before_a_wrong_folder(capsys):
    assert run(["train", "reactnet_19", "--run-dir", "/dev/null/x"]) == 2
    assert "did you mean 'reactnet_18'" in capsys.readouterr().err
