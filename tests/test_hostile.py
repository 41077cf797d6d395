"""Graphs, constants and nesting without end; folders that refuse, terminals that know little, folders in use."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

import warm
from abcost.cli import run
from abcost.errors import CheckpointError, ModelError
from abcost.models import build, load_checkpoint
from abcost.onnx.load import load_onnx
from abcost.pipeline import analyze
from abcost.training.files import LOCK, alone
from searching import NETWORK

SMALL = ["reactnet_18", "--preset", "digits", "--base-width", "4", "--blocks", "1,1"]
VECTOR = np.array([[1.5, -2.5, 0.75, 3.5]], np.float32)


def saved(path, nodes, constants, shape=(1, 4)):
    """A file whose output is the last node's."""
    made = helper.make_graph(
        nodes,
        "hostile",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, ["?"] * len(shape))],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(made, opset_imports=opset, ir_version=9), path)
    return path


def node(operator, inputs, output, **attributes):
    return helper.make_node(operator, inputs.split(), [output], **attributes)


def chain(count):
    """Multiplications and additions in turn, one behind the other: half of each on 4 elements."""
    values = ["x", *(f"v{i}" for i in range(count))]
    nodes = [node(("Mul", "Add")[i % 2], f"{values[i]} c", values[i + 1]) for i in range(count)]
    return nodes, {"c": VECTOR}, {"multiply": 4 * (count // 2), "add": 4 * (count // 2)}


def diamonds(count):
    """Two multiplications of one value, concatenated and cut in two again: 2**(count / 4) ways lead through."""
    nodes = [node("Gemm", "x w", "v")]
    for i in range(count // 4):
        before = f"v{i - 1}" if i else "v"
        nodes += [node("Mul", f"{before} c", f"a{i}"), node("Mul", f"{before} c", f"b{i}")]
        nodes += [node("Concat", f"a{i} b{i}", f"d{i}", axis=1), node("Slice", f"d{i} from to axis", f"v{i}")]
    constants = {"c": VECTOR, "w": np.sqrt(np.arange(1, 17, dtype=np.float32)).reshape(4, 4)}
    constants |= {"from": np.array([2]), "to": np.array([6]), "axis": np.array([1])}
    return nodes, constants, {"multiply": 16 + 8 * (count // 4), "add": 16}


def fan(count):
    """One value that all nodes read, and one node that reads all of them."""
    names = [f"v{i}" for i in range(count)]
    nodes = [node("Mul", "x c", name) for name in names]
    return [*nodes, node("Concat", " ".join(names), "all", axis=1)], {"c": VECTOR}, {"multiply": 4 * count}


@pytest.mark.parametrize("topology", [chain, diamonds, fan])
def test_graphs_of_many_nodes(tmp_path, topology):
    nodes, constants, expected = topology(2_000)
    report = analyze(str(saved(tmp_path / "many.onnx", nodes, constants)), target="fpga-lut6")
    counted = report.stages[0].tally.by_class()
    assert {kind.value: count for kind, count in counted.items() if count} == expected


LIMITED = """
import resource, sys
limit = int(sys.argv.pop(1)) << 30
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
from abcost.cli import main
main()
"""


def analyzed_within(gigabytes, seconds, path):
    """Status and stderr of `abcost analyze` in a forked process that may not take more memory."""
    done = subprocess.run(  # noqa: S603 - our own command
        [*warm.CLIENT, "-c", LIMITED, str(gigabytes), "analyze", str(path), "--target", "fpga-lut6", "--by", "block"],
        capture_output=True, text=True, check=False, timeout=seconds, env=warm.environment(),
    )  # fmt: skip
    return done.returncode, done.stderr


@pytest.mark.slow
def test_a_hundred_thousand_nodes(tmp_path):
    nodes, constants, _ = chain(100_000)
    assert analyzed_within(8, 1800, saved(tmp_path / "many.onnx", nodes, constants)) == (0, "")


def ones(*shape):
    return np.ones(shape, np.float32)


CONSTANTS = {
    "filled": ([node("ConstantOfShape", "size", "k")], {"size": np.array([2**31])}),
    "expanded": ([node("Expand", "one size", "k")], {"one": ones(1), "size": np.array([2**16, 2**16])}),
    "repeated": ([node("Tile", "one size", "k")], {"one": ones(1, 1), "size": np.array([2**16, 2**16])}),
    "padded": ([node("Pad", "one size", "k")], {"one": ones(1), "size": np.array([2**31, 2**31])}),
    "counted": (
        [node("Range", "zero end step", "k")],
        {"zero": np.array(0), "end": np.array(2**40), "step": np.array(1)},
    ),
    "added across": ([node("Add", "row column", "k")], {"row": ones(1, 2**17), "column": ones(2**17, 1)}),
    "multiplied": ([node("MatMul", "column row", "k")], {"row": ones(1, 2**17), "column": ones(2**17, 1)}),
    "doubled": ([node("Where", "yes row column", "k")], {
        "yes": np.array([True]), "row": ones(1, 2**17), "column": ones(2**17, 1),
    }),
}  # fmt: skip


@pytest.mark.parametrize(("nodes", "constants"), CONSTANTS.values(), ids=CONSTANTS)
def test_constants_without_end_are_refused_before_memory_is_taken(tmp_path, nodes, constants):
    nodes = [*nodes, node("ReduceSum", "k", "sum", keepdims=0), node("Mul", "x sum", "y")]
    path = saved(tmp_path / "large.onnx", nodes, constants)
    status, said = analyzed_within(8, 900, path)
    assert status == 2, said
    (line,) = said.splitlines()
    assert f"error: ONNX {nodes[0].op_type} 'k' spreads a constant to " in line
    assert "more than 536870912 elements" in line


def test_a_constant_that_says_it_has_2_gb(tmp_path):
    path = saved(tmp_path / "says.onnx", [node("Add", "x c", "y")], {"c": VECTOR})
    proto = onnx.load(path)
    proto.graph.initializer[0].dims[:] = [2**15, 2**16]
    path.write_bytes(proto.SerializeToString())
    with pytest.raises(ModelError, match=r"says\.onnx.*(checker|cannot be read)"):
        load_onnx(path)


def test_a_checkpoint_of_one_number_that_says_it_has_2_gb(tmp_path):
    model = build("reactnet_18", stem="cifar", num_classes=10, base_width=4, blocks=(1, 1))
    state = model.state_dict()
    name = max(state, key=lambda name: state[name].numel())
    state[name] = torch.zeros(1).expand(2**15, 2**16)  # one stored number, and strides of 0
    torch.save(state, tmp_path / "large.pt")
    assert (tmp_path / "large.pt").stat().st_size < 2**20
    with pytest.raises(CheckpointError, match="32768"):
        load_checkpoint(model, tmp_path / "large.pt")


DEEP = "[" * 100_000
NESTED = {
    "slopes": (["analyze", "reactnet_18", "--slopes", "{file}"], DEEP, "is not JSON: maximum recursion"),
    "recipe": (["train", "reactnet_18", "--run-dir", "{run}", "--config", "{file}"], f"lr = {DEEP}", "is not TOML"),
    "table": (["analyze", "reactnet_18", "--target", "{file}"], f"a = {DEEP}", "nested too deeply"),
    "report": (["compare", "{file}", "{file}"], DEEP, "is not JSON"),
    "model": (["analyze", "{file}", "--input-size", "1x4"], DEEP, "error: "),
}  # fmt: skip


@pytest.mark.parametrize(("command", "content", "reason"), NESTED.values(), ids=NESTED)
def test_nesting_without_end(capsys, tmp_path, command, content, reason):
    suffix = {"table": ".toml", "report": ".json", "model": ".onnx"}
    (name,) = [name for name, case in NESTED.items() if case[0] is command]
    file = tmp_path / f"deep{suffix.get(name, '.txt')}"
    file.write_text(content)
    assert run([part.format(file=file, run=tmp_path / "run") for part in command]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert reason in line
    assert "internal error" not in line


def test_a_run_that_says_nesting_without_end(capsys, tmp_path):
    (tmp_path / "config.json").write_text(DEEP)
    assert run(["train", "reactnet_18", "--run-dir", str(tmp_path), "--resume"]) == 2
    assert "config.json is damaged (CheckpointError: " in capsys.readouterr().err


MARK = "-- ended with status"
SEVERAL = f"""
import json, sys
from abcost.cli import main
for words in json.loads(sys.argv[1]):
    sys.argv = ["abcost", *words]
    try:
        main()
    except SystemExit as end:
        for stream in (sys.stdout, sys.stderr):
            print("{MARK}", end.code, file=stream, flush=True)
"""


def in_turn(commands, *before, environment=()):
    """(status, stdout, stderr) of every command, one after the other in one Python: starting it takes seconds.

    before: what starts that Python.
    """
    command = [*before, sys.executable, "-c", SEVERAL, json.dumps(commands)]
    done = subprocess.run(  # noqa: S603 - our own commands
        command, capture_output=True, check=True, timeout=900, env={**os.environ, **dict(environment)}
    )
    ends = re.compile(rf"{MARK} (\d+)\n".encode())
    out, said = ends.split(done.stdout), ends.split(done.stderr)
    assert out[1::2] == said[1::2]
    found = list(zip(map(int, out[1::2]), out[::2], said[::2], strict=False))
    assert len(found) == len(commands)
    return found


WRITING = (
    ["analyze", *SMALL, "--format", "json", "-o", "{folder}/report.json"],
    ["analyze", *SMALL, "--plot", "{folder}/report.svg"],
    ["graph", *SMALL, "--format", "html", "-o", "{folder}/graph.html"],
    ["train", *NETWORK, "--epochs", "1", "--run-dir", "{folder}"],
    ["train", *NETWORK, "--epochs", "1", "--run-dir", "{folder}/new"],
    ["search", *NETWORK, "--run-dir", "{folder}/new"],
    ["rtl", *SMALL, "--layer", "layer1.0.conv1", "--out", "{folder}/new"],
)


def test_a_folder_that_may_not_be_written_to(tmp_path):
    """Also if the tests run as root, who may write everywhere."""
    before = []
    if os.geteuid() == 0:
        if not shutil.which("setpriv"):
            pytest.skip("root may write everywhere, and there is no setpriv to change that")
        before = ["setpriv", "--bounding-set", "-dac_override", "--inh-caps", "-dac_override"]
    folders = [tmp_path / f"kept{number}" for number in range(len(WRITING))]
    for folder in folders:
        folder.mkdir()
        folder.chmod(0o555)
    commands = [
        [part.format(folder=folder) for part in words] for folder, words in zip(folders, WRITING, strict=True)
    ]
    for folder, words, (status, _, said) in zip(folders, commands, in_turn(commands, *before), strict=True):
        assert status == 2, (words, said)
        (line,) = [line for line in said.decode().splitlines() if line.startswith("error: ")]
        assert str(folder) in line, words
        assert re.search("Permission denied|cannot be written", line), words
        assert list(folder.iterdir()) == [], words


PRINTING = (
    ["analyze", *SMALL, "--target", "fpga-lut6", "--by", "layer"],
    ["verify", *SMALL],
    ["graph", *SMALL, "--format", "dot"],
    ["targets", "show", "asic-45nm", "--sources"],
    ["reproduce", "--help"],
    ["doctor"],
)


def test_terminals_that_know_ascii_only():
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}
    for words, (status, out, said) in zip(PRINTING, in_turn(PRINTING, environment=plain), strict=True):
        assert status == 0, (words, said)
        assert len(out.decode("ascii").splitlines()) > 5, words


HOLDER = """
import os
import sys
from pathlib import Path
from abcost.training.files import alone
with alone(Path(sys.argv[1])):
    print(os.getpid(), flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def held(tmp_path):
    """A run folder that another process is in, and the number of that."""
    folder = tmp_path / "run"
    with subprocess.Popen(  # noqa: S603 - our own code
        [*warm.CLIENT, "-c", HOLDER, str(folder)],
        env=warm.environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        number = int(process.stdout.readline())
        yield folder, number
        with contextlib.suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)


@pytest.mark.parametrize("command", ["train", "search"])
def test_two_processes_in_one_run_folder(capfd, held, command):
    folder, _ = held
    assert run([command, *NETWORK, "--run-dir", str(folder)]) == 2
    last = capfd.readouterr().err.splitlines()[-1]
    assert (
        last == f"error: --run-dir {folder} is in use by another process: wait for it, or name another folder"
    )
    assert [path.name for path in folder.iterdir()] == [LOCK]


def test_a_killed_process_leaves_its_run_folder_free(held):
    folder, number = held
    os.kill(number, signal.SIGKILL)
    while Path(f"/proc/{number}").exists():
        time.sleep(0.01)
    with alone(folder):
        pass


def test_a_program_that_says_it_is_one_of_several_files(capsys, tmp_path):
    """The end of a zip archive (PKWARE's APPNOTE, 4.3.15 and 4.3.16) whose locator counts 2 disks."""
    locator, end = struct.pack("<4sIQI", b"PK\6\7", 0, 0, 2), struct.pack("<4s4H2IH", b"PK\5\6", *[0] * 7)
    (tmp_path / "part.pt2").write_bytes(locator + end)
    assert run(["analyze", str(tmp_path / "part.pt2")]) == 2
    assert "part.pt2 is not a program saved by torch.export.save: it is no zip" in capsys.readouterr().err
