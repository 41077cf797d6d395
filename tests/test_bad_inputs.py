"""Further bad inputs, over all commands: status 2, one `error:` line that says why, no traceback, nothing written.

The command lines of data/bad_inputs.txt are given in a folder of good and bad files, which must stay as it is.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import resource
import shlex
import socket
import subprocess
from pathlib import Path

import onnx
import pytest
import torch
from onnx import TensorProto, helper
from torch import nn

import warm
from abcost.cli import LEAST_MEMORY, run
from abcost.models import build
from searching import COMMAND, WAIT_S

TINY = ["reactnet_18", "--preset", "digits", "--base-width", "4", "--blocks", "1,1"]
DIGITS = ["reactnet_18", "--data", "digits", "--base-width", "4", "--blocks", "1,1"]
OWN = ["user_models.py:Small", "--input-size", "1x3x8x8"]
SEARCH = ["search", *DIGITS, "--run-dir", "new"]
TRAIN = ["train", *DIGITS, "--run-dir", "new"]
EVALUATE = ["evaluate", "reactnet_18", "--checkpoint", "good.pt", "--data", "digits"]
DEVICE = {
    "part": "mine", "family": "7-series", "luts": "53200", "ffs": "106400", "dsps": "220", "blocks": "280",
    "uram": "0", "source": "me", "confidence": "derived",
}  # fmt: skip
SETS = '{"schema": 1, "model": "reactnet_18", "layers": {"layer1.0.prelu": [-3, 0]%s}}'
TABLE = """
schema = 1
target = "own"
title = "Own"
technology = "fpga"
node = "none"
[[entry]]
op = "add"
luts = "width"
valid_width = [1, 64]
source = "me"
method = "cited"
confidence = "verified"
[source.me]
title = "me"
where = "here"
"""


def described(path, more_names=(), more_values=(), **changed):
    values = {**DEVICE, **changed}
    lines = (",".join([*values, *more_names]), ",".join([*values.values(), *more_values]))
    path.write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Good and bad files of every sort."""
    d = tmp_path_factory.mktemp("inputs")
    data = Path(__file__).parent / "data"
    for name in ("user_models.py", "hostile_models.py"):
        (d / name).write_text((data / name).read_text())
    (d / "raising.py").write_text("raise GeneratorExit\n")
    (d / "folder").mkdir()
    for name in ("fifo", "fifo.json", "fifo.toml", "fifo.csv", "fifo.onnx", "fifo.pt2"):
        os.mkfifo(d / name)
    for name in ("zero", "zero.json", "zero.toml", "zero.csv", "zero.onnx", "zero.pt2"):
        (d / name).symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(d / "socket"))
    with (d / "large.json").open("wb") as file:
        file.truncate(1 << 40)  # holds nothing and takes no room
    (d / "good.json").write_text(SETS % "")
    (d / "twice.json").write_text(SETS % ', "layer1.0.prelu": [-1]')
    (d / "nan.json").write_text(SETS % ', "x": [NaN]')
    (d / "latin.json").write_bytes(SETS.encode() % b', "\xe9": [0]')
    (d / "own.toml").write_text(TABLE)
    _reports(d)
    _devices(d)
    _foldings(d)
    _folders(d)
    network = build("reactnet_18", stem="cifar", num_classes=10, base_width=4, blocks=(1, 1))
    torch.save(network.state_dict(), d / "good.pt")
    os.link(d / "good.pt", d / "linked.pt")
    torch.export.save(torch.export.export(nn.Linear(4, 2).eval(), (torch.zeros(1, 4),)), d / "good.pt2")
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "one", values[:1], values[1:])
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), d / "good.onnx")
    return d


def _reports(d):
    """Two good ones; one with a key twice, one with a number that JSON does not have."""
    before = Path.cwd()
    os.chdir(d)
    try:
        for name, width in (("a.json", "16"), ("b.json", "12")):
            assert run(["analyze", *TINY, "--width", width, "--format", "json", "-o", name]) == 0
    finally:
        os.chdir(before)
    text = (d / "a.json").read_text()
    (d / "a-twice.json").write_text(text.replace('"schema": 1,', '"schema": 1, "width_bits": 16,', 1))
    (d / "a-nan.json").write_text(re.sub(r'"width_bits": 16', '"width_bits": NaN', text, count=1))


def _devices(d):
    described(d / "good.csv")
    described(d / "hundreds.csv", luts="9" * 300)
    described(d / "fraction.csv", dsps="220.5")
    described(d / "nan.csv", ffs="nan")
    described(d / "negative.csv", blocks="-280")
    described(d / "columns.csv", ("luts",), ("5",))
    described(d / "values.csv", (), ("one too many",))
    described(d / "underscore.csv", luts="53_200")
    described(d / "lutram.csv", lutram="1.5")
    described(d / "unsourced.csv", bandwidth_gb_s="2")
    memory = {"memory_source": "me", "memory_confidence": "derived"}
    described(d / "nan-memory.csv", bandwidth_gb_s="nan", **memory)
    described(d / "no-memory.csv", bandwidth_gb_s="0", **memory)


def _foldings(d):
    (d / "cnv.json").write_text('{"MVAU_hls_0": {"PE": 1, "SIMD": 1}}')
    for name, layer, pe in (("unknown-layer", "layer1.0.conv", 1), ("indivisible", "layer1.0.conv1", 3)):
        layers = {layer: {"pe": pe, "simd": 1}}
        (d / f"{name}.json").write_text(json.dumps({"schema": 1, "layers": layers}))


def _folders(d):
    """A finished training, a search, projects of Verilog, and files of somebody else."""
    for name in ("trained", "searched", "foreign", "verilog"):
        (d / name).mkdir()
    (d / "trained" / "config.json").write_text(
        '{"schema": 1, "steps": [{"model": "reactnet_18", "step": 2}]}'
    )
    (d / "trained" / "best.pt").write_bytes(b"precious")
    (d / "searched" / "search.json").write_text("{}")
    (d / "searched" / "start.pt").write_bytes(b"precious")
    (d / "foreign" / "best.pt").write_bytes(b"precious")
    (d / "foreign" / "log.csv").write_text("precious\n")
    (d / "verilog" / "Makefile").write_text("all:\n")


WORDS = {"TINY": TINY, "DIGITS": DIGITS, "OWN": OWN, "SEARCH": SEARCH, "TRAIN": TRAIN, "EVALUATE": EVALUATE}
"""Of the command lines in data/bad_inputs.txt."""


def words_of(line):
    """A command line as arguments."""
    for word in shlex.split(line):
        nines = re.fullmatch(r"\{(\d+)\}", word)
        yield from ["9" * int(nines[1])] if nines else WORDS.get(word, [word])


def cases():
    """Name -> arguments and reason."""
    text = (Path(__file__).parent / "data" / "bad_inputs.txt").read_text()
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    triples = list(zip(lines[::3], lines[1::3], lines[2::3], strict=True))
    found = {name: (list(words_of(command)), reason) for name, command, reason in triples}
    assert len(found) == len(triples)
    return found


CASES = cases()


def state(folder):
    """Every file with its kind, size, time and text, but for what Python compiles."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if "__pycache__" in path.parts:
            continue
        at = path.lstat()
        small = path.is_file() and not path.is_symlink() and at.st_size < 10_000_000
        digest = hashlib.sha256(path.read_bytes()).hexdigest() if small else ""
        found[str(path.relative_to(folder))] = (
            at.st_mode,
            at.st_size,
            0 if path.is_dir() else at.st_mtime_ns,
            digest,
        )
    return found


@pytest.fixture
def unchanged(folder, monkeypatch):
    """The working folder; nothing in it may change."""
    monkeypatch.chdir(folder)
    before = state(folder)
    yield folder
    assert state(folder) == before


def check(said, reason):
    assert "Traceback" not in said
    assert "internal error" not in said
    (line,) = [line for line in said.splitlines() if not line.startswith("verifying ")]
    assert line.startswith("error: ")
    assert re.search(reason, line), line


@pytest.mark.parametrize(("arguments", "reason"), CASES.values(), ids=CASES)
def test_bad_inputs(capfd, unchanged, arguments, reason):
    status = run(arguments)
    out, said = capfd.readouterr()
    assert (status, out) == (2, ""), said
    check(said, reason)


def test_there_are_sixty_and_more():
    assert len(CASES) >= 60
    commands = {arguments[0] for arguments, _ in CASES.values()}
    assert commands == {
        "analyze", "build", "calibrate", "compare", "evaluate", "export", "graph", "rtl", "search", "targets", "train",
        "verify",
    }  # fmt: skip


# what only a process of its own can have


def process(arguments, streams="", *, command=COMMAND, **options):
    """Status and stderr of a command whose streams a shell has redirected."""
    command = [*command, *arguments]
    done = subprocess.run(  # noqa: S603 - our own command
        ["/bin/sh", "-c", f'exec "$@" {streams}', "sh", *command], stderr=subprocess.PIPE, text=True, check=False,
        timeout=WAIT_S, **options,
    )  # fmt: skip
    return done.returncode, done.stderr


PRINTING = {
    "analyze": ["analyze", *TINY, "-t", "fpga-lut6", "--format", "json"],
    "graph": ["graph", *TINY],
    "compare": ["compare", "a.json", "b.json", "--format", "csv"],
    "targets": ["targets", "show", "fpga-lut6", "--sources"],
    "models": ["models"],
    "help": ["analyze", "--help"],
    "version": ["--version"],
}


@pytest.mark.parametrize("arguments", PRINTING.values(), ids=PRINTING)
def test_stdout_that_is_full(unchanged, arguments):
    status, said = process(arguments, ">/dev/full", command=warm.ABCOST, env=warm.environment())
    assert status == 2, said
    check(said, "cannot write .*: No space left on device; redirect it to a place that can be written")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(x, marks=[] if x in ("graph", "targets", "version") else pytest.mark.slow)
        for x in PRINTING
    ],
)
def test_stdout_that_is_closed(unchanged, name):
    """It has to be when Python starts, which takes seconds with torch."""
    status, said = process(PRINTING[name], ">&-")
    assert status == 2, said
    check(said, "cannot write .*: Bad file descriptor; redirect it to a place that can be written")


@pytest.mark.parametrize(
    "streams", [pytest.param("2>&-", marks=pytest.mark.slow), "2>/dev/full", ">&- 2>&- <&-"]
)
def test_stderr_that_takes_nothing_changes_no_status(unchanged, streams):
    assert process(["analyze", "vgg"], streams)[0] == 2
    assert process(["models"], streams)[0] == (2 if ">&-" in streams.split() else 0)


def test_a_closed_stdout_is_no_place_for_the_next_file(folder, tmp_path):
    """The system gives the lowest free number to the next file: what a library prints would land in it."""
    report = tmp_path / "report.json"
    status, said = process(
        ["analyze", str(folder / "user_models.py:Talkative"), "--input-size", "1x3x8x8", "-t", "fpga-lut6",
         "--format", "json", "-o", str(report)], ">&-",
    )  # fmt: skip
    assert status == 0, said
    assert json.loads(report.read_text())["schema"] == 1


@pytest.mark.parametrize("megabytes", [64, 256, 900])
def test_too_little_memory_to_load_anything(unchanged, megabytes):
    assert megabytes << 20 < LEAST_MEMORY
    limit = (megabytes << 20, megabytes << 20)
    status, said = process(
        ["analyze", *TINY], preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, limit)
    )
    assert status == 2, said
    check(said, rf"not enough memory: the limit is {megabytes} MiB \(ulimit -v\), .* \d+; raise it")


def test_a_preset_of_all_models_is_for_those_that_take_one(capfd, unchanged):
    """The ONNX file says its input size itself."""
    network = "reactnet_18,base_width=4,blocks=1x1"
    assert (
        run(["compare", "good.onnx", network, "--preset", "digits", "-t", "fpga-lut6", "--format", "json"])
        == 0
    )
    assert json.loads(capfd.readouterr().out)
