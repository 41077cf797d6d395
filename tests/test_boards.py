"""Boards stand for their parts wherever a part is named."""

from __future__ import annotations

import csv
import json

import pytest

from abcost.accelerator.devices import boards, device, devices
from abcost.circuit.route import part_of
from abcost.cli import run
from abcost.cost.bundled import cost_models_dir
from abcost.cost.entry import CONFIDENCES
from abcost.errors import UnknownName

PARTS = [("pynq-z2", "xc7z020"), ("PYNQ-Z2", "xc7z020"), ("ulx3s", "LFE5U-85F"), ("icebreaker", "iCE40UP5K")]


@pytest.mark.parametrize(("board", "part"), PARTS)
def test_a_board_is_its_part(board, part):
    assert device(board) == device(part)


def test_every_board_says_where_it_is_from():
    with (cost_models_dir() / "boards.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["board"] for row in rows] == list(boards())
    for row in rows:
        assert row["part"] in devices()
        assert row["source"]
        assert row["confidence"] in CONFIDENCES
        assert row["board"] == row["board"].lower()
        assert row["board"] not in map(str.lower, devices())


def test_a_board_next_to_it_is_suggested():
    with pytest.raises(UnknownName, match="no device 'pynq-z3'; did you mean 'pynq-z"):
        device("pynq-z3")


def test_the_command_takes_boards(capsys):
    small = ["reactnet_18", "--preset", "digits", "--base-width", "4", "--blocks", "1", "--format", "json"]
    assert run(["analyze", *small, "--device", "ulx3s", "--fps", "10"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["target"] == "fpga-ecp5"
    assert found["stages"][-1]["organisation"]["device"] == "LFE5U-85F"


def test_what_is_placed_and_routed_is_the_part():
    assert part_of("ulx3s") == part_of("LFE5U-85F")
    assert part_of("icebreaker") == part_of("iCE40UP5K")


def test_boards_are_listed(capsys):
    assert run(["targets", "devices"]) == 0
    shown = capsys.readouterr().out
    for board, part in boards().items():
        assert f"{board} ({part})" in " ".join(shown.split())
