"""What the tests of abcost analyze share."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pandas as pd

from abcost.cli import run

MODELS = Path(__file__).parent / "data" / "user_models.py"
SMALL = (f"{MODELS}:Small", "--input-size", "1x3x8x8")
ZOO = ("reactnet_18", "--preset", "cifar10")
STAGES = ["traced", "mask_removed", "rprelu_quantized", "add_and_bit"]
OPS = ["multiply", "add", "bitop", "shift", "compare", "other"]
COSTS = ["energy_pj", "luts", "ffs", "dsps", "area_um2"]


# the small network by hand: 8 channels of 8x8 elements up to the pool
N = 8 * 8 * 8
STEM = (3 * 3 * 3) * N  # taps x outputs
FAN_IN = 3 * 3 * 8  # of the binary convolution


def output_of(capsys, *arguments):
    """Stdout and stderr of a command that has to succeed."""
    status = run(["analyze", *map(str, arguments)])
    out, err = capsys.readouterr()
    assert status == 0, err
    return out, err


def data_of(capsys, *arguments):
    return json.loads(output_of(capsys, *arguments, "--format", "json")[0])


def frame_of(capsys, *arguments):
    return pd.read_csv(io.StringIO(output_of(capsys, *arguments, "--format", "csv")[0]))


def by_stage(data, key):
    return {stage["name"]: stage[key] for stage in data["stages"]}


def detail_rows(drawn, by):
    """The table "By …": name of the row -> heading -> (before, after), without thousands separators."""
    heading, _, *rows = drawn.split(f"By {by}, before -> after")[1].split("\n\n")[1].splitlines()
    names = re.split(r" {2,}", heading.strip())[1::2]
    found = {}
    for row in rows:
        name, *cells = re.split(r" {2,}", row.strip().replace(",", ""))
        found[name] = dict(zip(names, zip(cells[::2], cells[1::2], strict=True), strict=True))
    return found
