"""Where results of abcost analyze go, and how they look in a terminal."""

from __future__ import annotations

import csv
import errno
import io
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from abcost.cli import run
from abcost.cost import CostTable
from abcost.cost.bundled import bundled_targets
from analyzing import (
    COSTS,
    FAN_IN,
    MODELS,
    OPS,
    SMALL,
    STAGES,
    STEM,
    ZOO,
    N,
    data_of,
    detail_rows,
    frame_of,
    output_of,
)

# stdout is data


def test_warnings_go_to_stderr(capsys):
    out, err = output_of(capsys, *ZOO, "--format", "csv")
    assert err.startswith("warning: weights are untrained (no --checkpoint)")
    assert "warning:" not in out


@pytest.mark.parametrize("form", ["json", "csv", "rich"])
def test_what_a_model_prints_goes_to_stderr(capsys, form, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")  # the path of this file must not decide where a line is broken
    quiet = output_of(capsys, f"{MODELS}:Sequence", "--input-size", "1x3x8x8", "--format", form)[0]
    out, err = output_of(capsys, f"{MODELS}:Talkative", "--input-size", "1x3x8x8", "--format", form)
    assert err.splitlines()[:2] == ["building", "running"]
    # words, for the longer name may wrap a line elsewhere
    assert out.replace("Talkative", "Sequence").split() == quiet.split()


def test_csv_has_one_row_per_layer_stage_and_kind(capsys):
    text = output_of(capsys, *SMALL, "--format", "csv")[0]
    header, *rows = csv.reader(io.StringIO(text))
    assert header[:9] == ["model", "variant", "target", "layer", "block", "stage", "kind", "class", "count"]
    assert {len(row) for row in rows} == {len(header)}
    keys = [tuple(row[header.index(name)] for name in ("layer", "stage", "kind")) for row in rows]
    assert len(set(keys)) == len(keys)
    stem = [row for row in rows if row[header.index("layer")] == "stem"]
    assert [(row[5], row[6], int(row[8])) for row in stem] == [
        (stage, kind, STEM) for stage in STAGES for kind in ("multiply", "add")
    ]


WITH_MEMORY = [name for name in bundled_targets() if CostTable.load(name).memory is not None]


@pytest.mark.parametrize("target", WITH_MEMORY)
def test_memory_traffic_has_a_row_per_stage(capsys, target):
    rows = frame_of(capsys, *SMALL, "-t", target)
    data = data_of(capsys, *SMALL, "-t", target)
    memory = rows[rows["kind"] == "memory"]
    assert list(memory["stage"]) == STAGES
    found = [None if math.isnan(energy) else energy for energy in memory["energy_pj"]]
    assert found == [stage["cost"]["memory_energy_pj"] for stage in data["stages"]]
    assert set(memory["count"]) == {0}


def test_a_target_without_memory_table_has_no_row_of_it(capsys):
    assert "memory" not in set(frame_of(capsys, *SMALL, "-t", "asic-osu018")["kind"])


CSV_CASES = {
    "small": SMALL,
    "small, csd": (*SMALL, "--constant-multiply", "csd"),
    "small, po2": (*SMALL, "--weight-scale", "po2"),
    "zoo": ZOO,
}


def csv_cases():
    """Every command for one target, and every target with one command; the other pairs where there is time."""
    for name, command in CSV_CASES.items():
        for target in WITH_MEMORY:
            few = name == "small" or target == WITH_MEMORY[0]
            yield pytest.param(command, target, id=f"{name}-{target}", marks=[] if few else pytest.mark.slow)


@pytest.mark.parametrize(("command", "target"), list(csv_cases()))
def test_csv_sums_to_the_json(capsys, command, target):
    rows = frame_of(capsys, *command, "-t", target)
    data = data_of(capsys, *command, "-t", target)
    counts = rows.groupby(["stage", "class"])["count"].sum()
    for stage in data["stages"]:
        name = stage["name"]
        assert {op: counts.get((name, op), 0) for op in OPS} == stage["ops"]
        sums = rows[rows["stage"] == name][COSTS].sum(skipna=False)
        assert rows[rows["stage"] == name]["count"].sum() == sum(stage["ops"].values())
        cost = stage["cost"]
        for column in COSTS:
            if cost[column] is not None:
                assert sums[column] == pytest.approx(cost[column], rel=1e-9), (name, column)
            else:
                assert sums[column] != sums[column], (name, column)


@pytest.mark.parametrize("form", ["json", "csv", "rich"])
def test_same_command_same_bytes(capsys, form):
    command = (*SMALL, "-t", "asic-45nm", "-t", "fpga-lut6", "--format", form)
    assert output_of(capsys, *command) == output_of(capsys, *command)


def test_same_bytes_in_another_process_through_a_pipe(capsys):
    command = [*SMALL, "-t", "asic-45nm"]
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR")}
    other = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-c", "from abcost.cli import main; main()", "analyze", *command],
        capture_output=True, text=True, env={**environment, "PYTHONHASHSEED": "7"}, check=True,
    )  # fmt: skip
    assert other.stdout == output_of(capsys, *command)[0]
    assert "\x1b" not in other.stdout
    assert max(map(len, other.stdout.splitlines())) <= 100
    assert other.stderr == ""


# --output


def test_output_is_what_stdout_would_be(capsys, tmp_path):
    file = tmp_path / "report.json"
    out, _ = output_of(capsys, *SMALL, "--format", "json", "--output", file)
    assert out == ""
    assert file.read_text(encoding="utf-8") == output_of(capsys, *SMALL, "--format", "json")[0]
    assert list(tmp_path.iterdir()) == [file]
    assert file.stat().st_mode & 0o777 == 0o666 & ~_umask()


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_old_file_is_whole_until_the_new_one_is(capsys, tmp_path, monkeypatch):
    file = tmp_path / "report.csv"
    file.write_text("old")
    file.chmod(0o640)
    seen = []
    replace = Path.replace

    def spy(source, target):
        seen.append((file.read_text(), source.read_text(), Path(target)))
        return replace(source, target)

    monkeypatch.setattr(Path, "replace", spy)
    output_of(capsys, *SMALL, "--format", "csv", "-o", file)
    assert seen == [("old", file.read_text(), file)]
    assert file.read_text().startswith("model,variant,target")
    assert file.stat().st_mode & 0o777 == 0o640
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    ("fault", "status", "message"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device"),
            2,
            "error: cannot write .*: No space left on device\n",
        ),
        (KeyboardInterrupt(), 130, "interrupted\n"),
    ],
    ids=["full disk", "interrupted"],
)
def test_failed_write_leaves_the_old_file_and_no_other(capsys, tmp_path, monkeypatch, fault, status, message):
    file = tmp_path / "report.json"
    file.write_text("old")

    def fail(*_):
        raise fault

    monkeypatch.setattr(Path, "replace", fail)
    assert run(["analyze", *SMALL, "-o", str(file)]) == status
    assert re.fullmatch(message, capsys.readouterr().err)
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_failing_run_leaves_the_old_file(capsys, tmp_path):
    file = tmp_path / "report.json"
    file.write_text("old")
    assert run(["analyze", f"{MODELS}:Broken", "-o", str(file)]) == 2
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_output_follows_a_link_and_spares_a_device(capsys, tmp_path):
    file, link = tmp_path / "report.csv", tmp_path / "latest.csv"
    file.write_text("old")
    link.symlink_to(file.name)
    output_of(capsys, *SMALL, "--format", "csv", "-o", link)
    assert link.is_symlink()
    assert file.read_text().startswith("model,")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        output_of(capsys, *SMALL, "--format", "csv", "-o", pipe)
        assert pipe.is_fifo()
        assert os.read(reader, 6) == b"model,"
    finally:
        os.close(reader)


def test_output_may_have_the_longest_name_there_is(capsys, tmp_path):
    file = tmp_path / ("n" * 255)
    output_of(capsys, *SMALL, "--format", "csv", "-o", file)
    assert list(tmp_path.iterdir()) == [file]


# drawing


def test_drawing_contains_the_numbers(capsys):
    drawn = output_of(capsys, *ZOO, "--by", "layer")[0]
    stem = 3 * 3 * 3 * 64 * 32 * 32  # taps x channels x positions
    classifier = 512 * 10
    scales = sum(4 * channels * size**2 for channels, size in ((64, 32), (128, 16), (256, 8), (512, 4)))
    for number in (stem, classifier, scales):
        assert f" {number:,} " in drawn
    assert "11,184,074 parameters" in drawn
    assert "reactnet_18 (ab), 1x3x32x32, " in drawn
    assert re.search(r"energy per inference .*[um]J", drawn)
    assert re.search(r"low to high .*-.*[um]J", drawn)


@pytest.mark.parametrize(
    ("by", "names"),
    [
        ("layer", ["stem", "sign", "conv", "alpha", "prelu", "pool", "mean", "fc"]),
        ("kind", ["multiply", "add", "xnor", "popcount", "mask", "mux", "shift_constant"]),
    ],
)
def test_rows_of_the_detail_table(capsys, by, names):
    drawn = output_of(capsys, *SMALL, "--by", by)[0]
    found = detail_rows(drawn, by)
    assert set(names) <= set(found)
    if by == "layer":
        assert found["stem"]["multiply"] == (f"{STEM}", f"{STEM}")
        assert found["stem"]["all ops"] == (f"{2 * STEM}", f"{2 * STEM}")
        assert found["alpha"]["multiply"] == (f"{N}", "0")
        assert found["alpha"]["all ops"] == (f"{N}", f"{N}")
    else:
        assert found["mask"]["all ops"] == (f"{N}", "0")
        assert found["xnor"]["all ops"] == (f"{FAN_IN * N}", f"{FAN_IN * N}")


def test_blocks_are_the_default(capsys):
    drawn = output_of(capsys, *ZOO)[0]
    assert "By block, before -> after" in drawn
    assert "\n layer1.0 " in drawn
    assert "\n layer1.0.conv1 " not in drawn


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_no_line_is_wider_than_the_terminal(capsys, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    model = ZOO if width == 60 else SMALL
    drawn = output_of(capsys, *model, "-t", "fpga-lut6", "-t", "asic-45nm", "--by", "layer")[0]
    assert max(map(len, drawn.splitlines())) <= width
    assert "\x1b" not in drawn


def test_files_do_not_depend_on_the_terminal(capsys, monkeypatch, tmp_path):
    file = tmp_path / "report.txt"
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    output_of(capsys, *SMALL, "-o", file)
    assert "\x1b" not in file.read_text(encoding="utf-8")
    assert max(map(len, file.read_text(encoding="utf-8").splitlines())) <= 100


def test_colour_on_a_terminal_unless_it_is_unwanted(capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[" in output_of(capsys, *SMALL)[0]
    assert "\x1b" not in output_of(capsys, *SMALL, "--format", "json")[0]
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in output_of(capsys, *SMALL)[0]
