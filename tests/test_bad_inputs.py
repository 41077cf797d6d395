"""Further bad inputs, over all commands: status 2, one `error:` line that says why, no traceback, nothing written.

The tables below are command lines, given in a folder of good and bad files, which must be as it was afterwards.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import resource
import socket
import subprocess
from pathlib import Path

import onnx
import pytest
import torch
from onnx import TensorProto, helper
from torch import nn

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


def _folders(d):
    """A finished training, a search, projects of Verilog, and files of somebody else."""
    for name in ("trained", "searched", "foreign", "verilog"):
        (d / name).mkdir()
    (d / "trained" / "config.json").write_text('{"schema": 1, "steps": [{"model": "reactnet_18", "step": 2}]}')
    (d / "trained" / "best.pt").write_bytes(b"precious")
    (d / "searched" / "search.json").write_text("{}")
    (d / "searched" / "start.pt").write_bytes(b"precious")
    (d / "foreign" / "best.pt").write_bytes(b"precious")
    (d / "foreign" / "log.csv").write_text("precious\n")
    (d / "verilog" / "Makefile").write_text("all:\n")


FILES = {
    "slopes from a device": (["analyze", *TINY, "--slopes", "/dev/zero"], r"cannot read --slopes /dev/zero: it is a device"),
    "slopes from a FIFO": (["analyze", *TINY, "--slopes", "fifo"], r"cannot read --slopes fifo: it is a FIFO"),
    "slopes from a folder": (["analyze", *TINY, "--slopes", "folder"], r"cannot read --slopes folder: Is a directory"),
    "slopes from a socket": (["analyze", *TINY, "--slopes", "socket"], r"cannot read --slopes socket: it is a socket"),
    "slopes without end": (["analyze", *TINY, "--slopes", "large.json"], r"it has 1,099,511,627,776 bytes, more than"),
    "slopes with a layer twice": (["analyze", *TINY, "--slopes", "twice.json"], r"key 'layer1\.0\.prelu' stands twice"),
    "slopes with a NaN": (["analyze", *TINY, "--slopes", "nan.json"], r"nan\.json is not JSON: NaN is no number"),
    "slopes in Latin-1": (["analyze", *TINY, "--slopes", "latin.json"], r"latin\.json is not UTF-8 at byte \d+"),
    "checkpoint from a device": (["analyze", *TINY, "--checkpoint", "/dev/zero"], r"checkpoint '/dev/zero': it is a device"),
    "checkpoint from a FIFO": (["verify", *TINY, "--checkpoint", "fifo"], r"checkpoint 'fifo': it is a FIFO"),
    "checkpoint from a socket": (["graph", *TINY, "--checkpoint", "socket"], r"checkpoint 'socket': it is a socket"),
    "checkpoint to evaluate, a FIFO": (["evaluate", "reactnet_18", "--checkpoint", "fifo", "--data", "digits"], r"it is a FIFO"),
    "table from a device": (["analyze", *TINY, "-t", "zero.toml"], r"cannot read zero\.toml: it is a device"),
    "table from a FIFO": (["targets", "check", "fifo.toml"], r"cannot read fifo\.toml: it is a FIFO"),
    "table to show": (["targets", "show", "./zero.toml"], r"zero\.toml: it is a device"),
    "table to scale": (["targets", "scale", "./fifo.toml", "--node", "45", "--voltage", "1"], r"fifo\.toml: it is a FIFO"),
    "device from a device": (["analyze", *TINY, "--device", "zero.csv"], r"cannot read --device zero\.csv: it is a device"),
    "device from a FIFO": ([*SEARCH, "--device", "fifo.csv"], r"cannot read --device fifo\.csv: it is a FIFO"),
    "ONNX from a device": (["analyze", "zero.onnx"], r"cannot read zero\.onnx: it is a device"),
    "ONNX from a FIFO": (["graph", "fifo.onnx"], r"cannot read fifo\.onnx: it is a FIFO"),
    "program from a device": (["verify", "zero.pt2"], r"cannot read zero\.pt2: it is a device"),
    "program from a FIFO": (["analyze", "fifo.pt2"], r"cannot read fifo\.pt2: it is a FIFO"),
    "recipe from a device": ([*TRAIN, "--config", "/dev/zero"], r"cannot read --config /dev/zero: it is a device"),
    "recipe from a FIFO": ([*SEARCH, "--config", "fifo"], r"cannot read --config fifo: it is a FIFO"),
    "start from a device": ([*TRAIN, "--init", "/dev/zero"], r"checkpoint '/dev/zero': it is a device"),
    "start of a search from a FIFO": ([*SEARCH, "--init", "fifo"], r"checkpoint 'fifo': it is a FIFO"),
    "teacher from a FIFO": ([*TRAIN, "--distillation", "1", "--teacher", "fifo"], r"checkpoint 'fifo': it is a FIFO"),
    "report from a device": (["compare", "a.json", "zero.json"], r"cannot read zero\.json: it is a device"),
    "report from a FIFO": (["compare", "fifo.json", "a.json"], r"cannot read fifo\.json: it is a FIFO"),
    "report without end": (["compare", "large.json", "a.json"], r"cannot read large\.json: it has 1,099,511,627,776 bytes"),
    "report with a key twice": (["compare", "a-twice.json", "b.json"], r"the key 'width_bits' stands twice in one object"),
    "report with a NaN": (["compare", "a.json", "a-nan.json"], r"a-nan\.json is not JSON: NaN is no number of JSON"),
    "cells from a device": (["calibrate", "asic-osu018", "--liberty", "/dev/zero", "-o", "t.toml"], r"cannot read /dev/zero: it is a device"),
    "cells from a FIFO": (["calibrate", "asic-osu018", "--liberty", "fifo", "-o", "t.toml"], r"cannot read fifo: it is a FIFO"),
}  # fmt: skip

NUMBERS = {
    "device of hundreds of digits": (["analyze", *TINY, "--device", "hundreds.csv"], r"luts is '9+', not between 0 and 1,000,000,000"),
    "device of half a DSP": (["analyze", *TINY, "--device", "fraction.csv"], r"dsps is '220\.5', not between 0"),
    "device of nan": (["analyze", *TINY, "--device", "nan.csv"], r"ffs is 'nan', not between 0"),
    "device of negative blocks": ([*SEARCH, "--device", "negative.csv"], r"a count is negative, blocks -280"),
    "device with an underscore": (["analyze", *TINY, "--device", "underscore.csv"], r"luts is '53_200', not between"),
    "device with a column twice": (["analyze", *TINY, "--device", "columns.csv"], r"columns\.csv has two columns 'luts'; keep one"),
    "device with a value too many": (["analyze", *TINY, "--device", "values.csv"], r"values\.csv has more values than columns"),
    "clock of 1e-320": (["analyze", *TINY, "--device", "good.csv", "--clock-mhz", "1e-320"], r"--clock-mhz must be at least 1e-06 .*, got 9\.9\d*e-321"),
    "clock of nan": (["analyze", *TINY, "--fps", "60", "--clock-mhz", "nan"], r"--clock-mhz must be at least .*, got nan"),
    "clock of inf": ([*SEARCH, "--device", "xc7z020", "--clock-mhz", "inf"], r"--clock-mhz must be at least .*, got inf"),
    "clock of a side": (["compare", "a.json", "reactnet_18,device=xc7z020,clock_mhz=1e-320"], r"--clock-mhz must be at least"),
    "frames of 1e-320": (["analyze", *TINY, "--fps", "1e-320"], r"--fps must be at least 1e-06"),
    "frames of nan": (["analyze", *TINY, "--device", "xc7z020", "--fps", "nan"], r"--fps must be at least .*, got nan"),
    "frames of a budget": ([*SEARCH, "--budget", "fps>=1e-320"], r"--fps must be at least 1e-06"),
    "no images": ([*EVALUATE, "--images", "0", *TINY[3:]], r"--images 0 is not between 1 and"),
    "images below none": ([*EVALUATE, "--images", "-5", *TINY[3:]], r"--images -5 is not between 1 and"),
    "learning rate of nan": ([*TRAIN, "--lr", "nan"], r"--lr must be above 0, got nan"),
    "weight decay without end": ([*TRAIN, "--weight-decay", "inf"], r"--weight-decay must be at least 0, got inf"),
    "negative seed": ([*TRAIN, "--seed", "-1"], r"--seed must be at least 0, got -1"),
    "negative seed of a search": ([*SEARCH, "--seed", "-1"], r"--seed must be at least 0, got -1"),
    "seed beyond 64 bits": ([*TRAIN, "--seed", "9" * 30], r"--seed must be at least 0, got 9+"),
    "keep of nan": ([*SEARCH, "--keep", "nan"], r"--keep must be above 0 and at most 1, got nan"),
    "trials below none": ([*SEARCH, "--trials", "-5"], r"--trials must be a whole number of at least 1, got -5"),
    "share of a GPU below none": ([*SEARCH, "--executor", "ray", "--gpus-per-trial", "-1"], r"--gpus-per-trial must be at least 0 .*, got -1"),
    "share of a CPU that is none": ([*SEARCH, "--executor", "ray", "--cpus-per-trial", "nan"], r"--cpus-per-trial must be .*, got nan"),
    "width of a unit": (["targets", "cost", "fpga-lut6", "add", "--width", "-1"], r"width"),
    "width of a unit in hundreds of digits": (["targets", "cost", "fpga-lut6", "add", "--width", "9" * 300], r"width"),
    "bits of a unit": (["targets", "cost", "fpga-lut6", "xnor_popcount", "--bits", "-3"], r"bits"),
    "words of a ROM": (["targets", "cost", "fpga-lut6", "rom", "--depth", "-1"], r"depth"),
    "exponents without end": (["targets", "cost", "fpga-lut6", "qprelu", "--exponents", "9" * 300], r"exponents|span|left"),
    "voltage of nan": (["targets", "scale", "asic-45nm", "--node", "16", "--voltage", "nan"], r"(?i)volt"),
    "negative jobs": (["calibrate", "fpga-ice40", "-o", "t.toml", "--jobs", "-1"], r"--jobs must be at least 1, got -1"),
    "windows below none": (["rtl", *TINY, "--layer", "layer1.0.conv1", "--out", "new", "--windows", "-1"], r"--windows must be at least 1"),
}  # fmt: skip

IDLE = {
    "width of saved reports": (["compare", "a.json", "b.json", "--width", "12"], r"--width does nothing to saved reports"),
    "target of saved reports": (["compare", "a.json", "b.json", "-t", "fpga-lut6"], r"--target does nothing to saved reports"),
    "frames of saved reports": (["compare", "a.json", "b.json", "--fps", "60"], r"--fps does nothing to saved reports"),
    "width that every model has": (["compare", "reactnet_18,width=8", "reactnet_18,width=9", "--width", "12"], r"every model has its own width"),
    "clock of a side without a device": (["compare", "a.json", "reactnet_18,clock_mhz=100"], r"add --device or --fps"),
    "fraction bits as trained": ([*EVALUATE, "--fraction-bits", "12"], r"--fraction-bits does nothing to the network as it was trained"),
    "weight scale as trained": ([*EVALUATE, "--weight-scale", "po2"], r"--weight-scale does nothing to the network"),
    "digits as trained": ([*EVALUATE, "--as", "trained", "--constant-multiply", "csd"], r"--constant-multiply does nothing"),
    "readers of data in memory": ([*EVALUATE, "--workers", "2"], r"digits are held in memory, nobody reads files"),
    "readers in training": ([*TRAIN, "--workers", "2"], r"digits are held in memory, nobody reads files"),
    "clock without a device": (["analyze", *TINY, "--clock-mhz", "100"], r"size an accelerator: add --device or --fps"),
    "organisation without a device": (["analyze", *TINY, "--organisation", "pipelined"], r"add --device or --fps"),
    "clock of a search": ([*SEARCH, "--clock-mhz", "100"], r"--clock-mhz does nothing without --device or a budget of fps"),
    "rows of data": (["analyze", *TINY, "--by", "layer", "--format", "json"], r"--by does nothing with --format json"),
    "width of a graph as data": (["graph", *TINY, "--width", "16"], r"--width does nothing with --format json"),
    "constants of a picture": (["graph", *TINY, "--no-constants", "--format", "dot"], r"--constants does nothing with --format dot"),
    "resuming nothing": ([*TRAIN, "--resume"], r"--resume: --run-dir new holds no training \(config\.json\): leave --resume out"),
    "teacher of nobody": ([*TRAIN, "--teacher", "good.pt"], r"--teacher does nothing without --distillation"),
    "teacher's model of nobody": ([*TRAIN, "--teacher-model", "reactnet_18"], r"--teacher-model does nothing without"),
    "rate of slopes that are fixed": ([*TRAIN, "--slope-lr", "0.1", "--fixed-slope", "-3"], r"--slope-lr does nothing where no slope"),
    "shift of images that stand still": ([*TRAIN, "--no-augment", "--shift", "1"], r"--shift does nothing with --no-augment"),
    "flip of images that stand still": ([*TRAIN, "--no-augment", "--no-flip"], r"--flip does nothing with --no-augment"),
    "trials of a worker": (["search", "--join", "sqlite:///study.db", "--trials", "5"], r"--trials does nothing with --join"),
    "model of a worker": (["search", "reactnet_18", "--join", "sqlite:///study.db"], r"--model does nothing with --join"),
    "GPUs without Ray": ([*SEARCH, "--gpus-per-trial", "1"], r"--gpus-per-trial does nothing without --executor ray"),
    "rungs that are none": ([*SEARCH, "--epochs", "0", "--keep", "0.5"], r"--keep does nothing with --epochs 0"),
    "preset beside a size": (["analyze", *OWN, "--preset", "cifar10"], r"--preset does nothing to user_models\.py:Small"),
    "preset of an ONNX file": (["analyze", "good.onnx", "--preset", "cifar10"], r"--preset does nothing to good\.onnx"),
    "preset of a program": (["graph", "good.pt2", "--preset", "cifar10"], r"--preset does nothing to good\.pt2"),
    "argument of a program": (["analyze", "good.pt2", "--model-arg", "a=1"], r"good\.pt2 holds a network and its weights; leave --model-arg"),
    "argument twice": (["verify", *OWN, "--model-arg", "a=1", "--model-arg", "a=2"], r"--model-arg a is given twice"),
    "words of an adder": (["targets", "cost", "fpga-lut6", "add", "--depth", "4"], r"--depth does nothing to add on fpga-lut6"),
    "exponents of an adder": (["targets", "cost", "fpga-lut6", "add", "--exponents", "-3,0"], r"--exponents does nothing to add"),
}  # fmt: skip

PLACES = {
    "two results in one file": (["analyze", *TINY, "-o", "x.svg", "--plot", "./x.svg"], r"--output and --plot name one file"),
    "two results of compare": (["compare", "a.json", "b.json", "-o", "x.png", "--plot", "x.png"], r"name one file"),
    "plot of a format unknown": (["analyze", *TINY, "--plot", "x.pdf"], r"--plot x\.pdf: name a file that ends in \.svg or \.png"),
    "plot in no folder": (["compare", "a.json", "b.json", "--plot", "none/x.svg"], r"--plot none/x\.svg: there is no folder none"),
    "plot on a folder": (["analyze", "raising.py:model", "--plot", "folder"], r"--plot folder is a folder"),
    "report over its checkpoint": (["analyze", *TINY, "--checkpoint", "good.pt", "-o", "./good.pt"], r"would take the place of good\.pt"),
    "report over a link to its checkpoint": (["verify", *TINY, "--checkpoint", "good.pt", "-o", "linked.pt"], r"take the place of good\.pt"),
    "report over its slopes": (["analyze", *TINY, "--slopes", "good.json", "-o", "good.json"], r"take the place of good\.json"),
    "report over its table": (["analyze", *TINY, "-t", "own.toml", "-o", "own.toml"], r"take the place of own\.toml"),
    "report over its device": (["analyze", *TINY, "--device", "good.csv", "-o", "good.csv"], r"take the place of good\.csv"),
    "graph over its model": (["graph", "user_models.py:Small", "-o", "user_models.py"], r"take the place of user_models\.py"),
    "graph over its ONNX file": (["graph", "good.onnx", "-o", "good.onnx"], r"take the place of good\.onnx"),
    "scores over a checkpoint": ([*EVALUATE, "-o", "good.pt"], r"take the place of good\.pt"),
    "comparison over a report": (["compare", "a.json", "b.json", "-o", "b.json"], r"take the place of b\.json"),
    "table over its source": (["targets", "scale", "own.toml", "--node", "45", "--voltage", "1", "-o", "own.toml"], r"take the place of own"),
    "no folder to train in": (["train", *DIGITS, "--run-dir", ""], r"'--run-dir': name a folder; \. is the one you are in"),
    "no folder to search in": (["search", *DIGITS, "--run-dir", ""], r"'--run-dir': name a folder"),
    "no folder for Verilog": (["rtl", *TINY, "--layer", "layer1.0.conv1", "--out", " "], r"'--out': name a folder"),
    "training over a search": (["train", *DIGITS, "--run-dir", "searched"], r"searched holds the run of abcost search, which abcost train would damage"),
    "resuming a search": (["train", *DIGITS, "--run-dir", "searched", "--resume"], r"holds no training"),
    "training over a checkpoint": (["train", *DIGITS, "--run-dir", "foreign"], r"foreign holds best\.pt, log\.csv, which abcost train did not write"),
    "training over a training": (["train", *DIGITS, "--run-dir", "trained"], r"trained holds a run: continue it with --resume"),
    "training with other values": (["train", *DIGITS, "--run-dir", "trained", "--resume", "--lr", "0.5"], r"was started with .*"),
    "search over a training": (["search", *DIGITS, "--run-dir", "trained"], r"trained holds the run of abcost train, which abcost search would damage"),
    "search over a checkpoint": (["search", *DIGITS, "--run-dir", "foreign"], r"foreign holds best\.pt, which abcost search did not write"),
    "search in a damaged one": (["search", *DIGITS, "--run-dir", "searched"], r"search\.json is damaged"),
    "Verilog in a training": (["rtl", *TINY, "--layer", "layer1.0.conv1", "--out", "trained"], r"holds the run of abcost train"),
    "Verilog over a Makefile": (["rtl", *TINY, "--layer", "layer1.0.conv1", "--out", "verilog"], r"--out verilog holds another Makefile"),
    "Verilog in a file": (["rtl", *TINY, "--layer", "layer1.0.conv1", "--out", "good.pt"], r"--out good\.pt is not a folder"),
    "table over another file": (["calibrate", "fpga-ice40", "-o", "own.toml"], r"own\.toml is not a table that this abcost calibrate"),
}  # fmt: skip

CODE = {
    "forward whose error has no text": (["analyze", "hostile_models.py:SilentForward"], r"Silent: no message, for its __str__ raises RuntimeError"),
    "forward that ends generators": (["graph", "hostile_models.py:Generator"], r"fails on an input of shape .*: GeneratorExit"),
    "forward that raises no Exception": (["analyze", "hostile_models.py:OutsideForward"], r"the model's code raised Outside"),
    "forward that exits without a text": (["verify", "hostile_models.py:Exiting"], r"called sys\.exit\(a Silent\)"),
    "model that cannot be copied": (["verify", "hostile_models.py:NoCopy", "--input-size", "1x4"], r"needs a float64 copy .*no message"),
    "factory whose error has no text": (["analyze", "hostile_models.py:silent"], r":silent raised Silent: no message"),
    "factory that ends generators": (["rtl", "hostile_models.py:generator", "--layer", "a", "--out", "new"], r":generator raised GeneratorExit"),
    "factory that raises no Exception": (["analyze", "hostile_models.py:outside"], r":outside raised Outside: far out"),
    "file that ends generators": (["analyze", "raising.py:model"], r"raised GeneratorExit while it was loaded"),
    "data whose error has no text": (["train", "reactnet_18", "--data", "hostile_models.py:silent", "--run-dir", "new"], r"raised Silent: no message"),
    "data that end generators": (["search", "reactnet_18", "--data", "hostile_models.py:generator", "--run-dir", "new"], r"raised GeneratorExit"),
    "data that are no arrays": (["evaluate", "reactnet_18", "--checkpoint", "good.pt", "--data", "hostile_models.py:no_images"], r"no tensor: no message"),
}  # fmt: skip


def state(folder):
    """Every file with its kind, size, time and text, but for what Python compiles."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if "__pycache__" in path.parts:
            continue
        at = path.lstat()
        small = path.is_file() and not path.is_symlink() and at.st_size < 10_000_000
        digest = hashlib.sha256(path.read_bytes()).hexdigest() if small else ""
        found[str(path.relative_to(folder))] = (at.st_mode, at.st_size, 0 if path.is_dir() else at.st_mtime_ns, digest)
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


CASES = {
    f"{name}: {case}": values
    for name, cases in (("file", FILES), ("number", NUMBERS), ("idle", IDLE), ("place", PLACES), ("code", CODE))
    for case, values in cases.items()
}


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
        "analyze", "calibrate", "compare", "evaluate", "graph", "rtl", "search", "targets", "train", "verify",
    }  # fmt: skip


# what only a process of its own can have


def process(arguments, streams="", **options):
    """Status and stderr of a command whose streams a shell has redirected."""
    command = [*COMMAND, *arguments]
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
@pytest.mark.parametrize(
    ("streams", "reason"), [(">/dev/full", "No space left on device"), (">&-", "Bad file descriptor")]
)
def test_stdout_that_takes_nothing(unchanged, arguments, streams, reason):
    status, said = process(arguments, streams)
    assert status == 2, said
    check(said, f"cannot write .*: {reason}; redirect it to a place that can be written")


@pytest.mark.parametrize("streams", ["2>&-", "2>/dev/full", ">&- 2>&- <&-"])
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
    check(said, rf"not enough memory: the limit is {megabytes} MiB \(ulimit -v\), and loading torch takes \d+; raise it")
