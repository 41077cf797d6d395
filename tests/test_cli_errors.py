"""What the command line refuses: status 2, one `error:` line that says why, no traceback, nothing on stdout.

The tables below are command lines; {d} is a folder of bad files, {m} the models of tests/data/user_models.py.
"""

from __future__ import annotations

import json
import pickle
import re
import signal
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from abcost.cli import run

MODELS = Path(__file__).parent / "data" / "user_models.py"
ZOO = ["analyze", "reactnet_18", "--preset", "cifar10"]
SMALL = ["analyze", "{m}:Small", "--input-size", "1x3x8x8"]

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


class Trap:
    """Unpickling it makes a folder."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return (exec, (f"import os; os.mkdir({self.path!r})",))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder with one bad file of every sort."""
    d = tmp_path_factory.mktemp("bad")
    (d / "folder").mkdir()
    for name in ("empty.pt", "empty.pt2", "empty.toml", "empty.py"):
        (d / name).touch()
    weights = nn.Linear(2, 2).state_dict()
    torch.save(weights, d / "other.pt")
    (d / "truncated.pt").write_bytes((d / "other.pt").read_bytes()[:200])
    (d / "text.pt").write_text("these are no weights")
    torch.save([1, 2, 3], d / "list.pt")
    torch.save({"weight": Trap(d / "trapped")}, d / "code.pt")
    (d / "plain.pt").write_bytes(pickle.dumps(Trap(d / "trapped")))
    (d / "garbage.pt2").write_bytes(b"\x00garbage")
    with zipfile.ZipFile(d / "zip.pt2", "w") as archive:
        archive.writestr("hello.txt", "hello")
    (d / "syntax.py").write_text("def model(:\n")
    (d / "binary.py").write_bytes(b"\xff\xfe\x00")
    (d / "raising.py").write_text("raise LookupError('no GPU here')\n")
    (d / "leaving.py").write_text("import sys\nsys.exit('bye')\n")
    (d / "importing.py").write_text("import surely_not_installed\n")
    (d / "duplicate.toml").write_text(TABLE.replace("schema = 1", "schema = 1\nschema = 1"))
    (d / "negative.toml").write_text(TABLE.replace('luts = "width"', "energy_pj = -1"))
    (d / "uncited.toml").write_text(TABLE.replace('source = "me"', 'source = "you"'))
    (d / "sourceless.toml").write_text(TABLE.replace('source = "me"\n', ""))
    (d / "law.toml").write_text(TABLE.replace('"width"', '"width +"'))
    (d / "code.toml").write_text(TABLE.replace('"width"', "\"__import__('os').getcwd()\""))
    (d / "no.toml").write_text("this is not TOML")
    (d / "latin.toml").write_bytes(TABLE.replace("Own", "\xd6wn").encode("latin-1"))
    (d / "schema.toml").write_text(TABLE.replace("schema = 1", "schema = 2"))
    return d


def refusal(capsys, files, arguments):
    """The reason, after a check that there is nothing else on stderr or stdout."""
    status = run([argument.format(d=files, m=MODELS) for argument in arguments])
    out, err = capsys.readouterr()
    assert status == 2, (out, err)
    assert out == ""
    assert "Traceback" not in err
    assert err.endswith("\n")
    (line,) = err.splitlines()
    assert line.startswith("error: ")
    return line.removeprefix("error: ")


NAMES = {
    "model": ([*ZOO[:1], "reactnet_19"], r"no model 'reactnet_19'; did you mean 'reactnet_18'\?"),
    "model without a near one": (["analyze", "vgg"], r"no model 'vgg' \(known: .*reactnet_a.*path/to/file\.py:factory"),
    "model, empty": (["analyze", ""], r"no model ''"),
    "file without a factory": (["analyze", "model.py"], r"named as path/to/file\.py:factory"),
    "target": ([*ZOO, "-t", "fpga-lut4"], r"no target 'fpga-lut4'; did you mean 'fpga-lut6'\?.*own \.toml"),
    "second target": ([*ZOO, "-t", "fpga-lut6", "-t", "x"], r"no target 'x'"),
    "variant": ([*ZOO, "--variant", "bnfree"], r"no variant 'bnfree'; did you mean 'bn-free'\?"),
    "preset": (["analyze", "reactnet_18", "--preset", "cifar"], r"no preset 'cifar'; did you mean 'cifar10'\?"),
    "format": ([*ZOO, "--format", "xml"], r"no report format 'xml' \(known: csv, html, json, md, rich, tex\)"),
    "by": ([*ZOO, "--by", "layers"], r"no --by choice 'layers'; did you mean 'layer'\?"),
    "weight scale": ([*ZOO, "--weight-scale", "pow2"], r"no --weight-scale choice 'pow2'; did you mean 'po2'\?"),
    "constant multiply": ([*ZOO, "--constant-multiply", "cds"], r"no --constant-multiply choice 'cds'"),
    "stage": (["graph", "reactnet_18", "--stage", "mask"], r"no --stage choice 'mask'.*known: add_and_bit, "),
    "graph format": (
        ["graph", "reactnet_18", "--format", "pdf"],
        r"no graph format 'pdf' \(known: dot, graphml, html, json, svg\)",
    ),
    "verify format": (["verify", "reactnet_18", "--format", "csv"], r"no --format choice 'csv' \(known: json, rich\)"),
    "models format": (["models", "--format", "csv"], r"no --format choice 'csv'"),
    "models variant": (["models", "--variant", "none"], r"no variant 'none'"),
    "models preset": (["models", "--preset", "mnist"], r"no preset 'mnist'"),
    "command": (["analyse", "reactnet_18"], r"No such command 'analyse'.*see abcost --help"),
    "option": ([*ZOO, "--taget", "x"], r"No such option: --taget .*--target.*; see abcost analyze --help"),
    "missing argument": (["analyze"], r"(?i)missing argument 'model'; see abcost analyze --help"),
    "missing value": ([*ZOO, "--width"], r"'--width' requires an argument"),
    "surplus argument": ([*ZOO, "reactnet_34"], r"unexpected extra argument.*reactnet_34"),
    "text for a number": ([*ZOO, "--lanes", "many"], r"Invalid value for '--lanes': .*int"),
    "fraction for a whole number": ([*ZOO, "--width", "7.5"], r"Invalid value for '--width'"),
    "unknown target command": (["targets", "lst"], r"No such command 'lst'"),
}  # fmt: skip

NUMBERS = {
    "step": ([*ZOO, "--step", "3"], r"step must be 1 .* or 2 .*, got 3"),
    "width 0": ([*SMALL, "--width", "0"], r"--width 0 is not between 2 and 64"),
    "width 1": ([*SMALL, "--width", "1"], r"--width 1 is not between 2 and 64"),
    "width 65": ([*SMALL, "--width", "65"], r"--width 65 is not between 2 and 64"),
    "width 1000": ([*SMALL, "--width", "1000"], r"--width 1000 is not between 2 and 64"),
    "width negative": ([*SMALL, "--width", "-8"], r"--width -8 is not between 2 and 64"),
    "width beyond a published point": (
        [*SMALL, "-t", "abbnn-paper", "--width", "33"],
        r"abbnn-paper: \w+ luts has no figure at width 33 \(valid: width 32",
    ),
    "width beyond a law": ([*SMALL, "-t", "asic-45nm", "--width", "64"], r"asic-45nm: .*width 64 \(valid: "),
    "lanes 0": ([*SMALL, "--lanes", "0"], r"--lanes must be between 1 and \d+, got 0"),
    "lanes negative": ([*SMALL, "--lanes", "-1"], r"--lanes must be .*, got -1"),
    "lanes beyond floats": ([*SMALL, "--lanes", "9" * 400], r"--lanes must be .*, got 9+$"),
    "simd 0": ([*SMALL, "--simd", "0"], r"--simd must be between 1 and \d+, got 0"),
    "fraction bits 0": ([*SMALL, "--fraction-bits", "0"], r"--fraction-bits 0 is not between 1 and 20"),
    "fraction bits 99": ([*SMALL, "--fraction-bits", "99"], r"--fraction-bits 99 is not between 1 and 20"),
    "fraction bits of verify": (
        ["verify", *SMALL[1:], "--fraction-bits", "21"],
        r"--fraction-bits 21 is not",
    ),
    "classes 0": ([*ZOO, "--num-classes", "0"], r"num_classes must be a whole number >= 1, got 0"),
    "classes beyond the memory": (
        [*ZOO, "--num-classes", "100000000000"],
        r"reactnet_18 cannot be built with .*num_classes 100000000000: .*memory",
    ),
}

OPTIONS = {
    "base width 0": ([*ZOO, "--base-width", "0"], r"base_width must be a whole number >= 1, got 0"),
    "blocks of letters": ([*ZOO, "--blocks", "2,x"], r"--blocks '2,x' is not of the form 2,2,2"),
    "blocks, empty": ([*ZOO, "--blocks", ""], r"--blocks '' is not of the form 2,2,2"),
    "blocks 0": (["graph", *ZOO[1:], "--blocks", "2,0"], r"blocks must be a tuple .*, got \(2, 0\)"),
    "base width for a factory": ([*SMALL, "--base-width", "4"], r"--base-width is for zoo models; your own factory"),
    "blocks for a factory": (["graph", *SMALL[1:], "--blocks", "4"], r"--blocks is for zoo models; your own factory"),
    "argument for the zoo": ([*ZOO, "--model-arg", "width=2"], r"--model-arg is for your own factory; zoo models take"),
    "variant for a factory": ([*SMALL, "--variant", "ab"], r"--variant is for zoo models; your own factory takes"),
    "step for a factory": ([*SMALL, "--step", "1"], r"--step is for zoo models"),
    "classes for a factory": ([*SMALL, "--num-classes", "10"], r"--num-classes is for zoo models"),
    "argument without a value": ([*SMALL, "--model-arg", "classes"], r"--model-arg 'classes' is not .* name=value"),
    "argument without a name": ([*SMALL, "--model-arg", "=3"], r"--model-arg '=3' is not of the form name=value"),
}  # fmt: skip

INPUTS = {
    "letters": (
        [*ZOO, "--input-size", "big"],
        r"--input-size 'big' is not sizes joined by x \(1x3x224x224\)",
    ),
    "commas": ([*ZOO, "--input-size", "1,3,32,32"], r"--input-size '1,3,32,32' is not sizes joined by x"),
    "trailing x": ([*ZOO, "--input-size", "1x3x"], r"--input-size '1x3x' is not sizes"),
    "negative": ([*ZOO, "--input-size", "1x3x-8x8"], r"--input-size '1x3x-8x8' is not sizes"),
    "empty": ([*ZOO, "--input-size", ""], r"--input-size '' is not sizes"),
    "unknown type": ([*ZOO, "--input-size", "1x3x8x8:int4"], r"'1x3x8x8:int4' is not .*:float32"),
    "zero": ([*ZOO, "--input-size", "1x3x0x32"], r"an input needs sizes of at least 1, got 1x3x0x32"),
    "zero images": (
        [*ZOO, "--input-size", "0x3x32x32"],
        r"an input needs sizes of at least 1, got 0x3x32x32",
    ),
    "huge": (
        [*ZOO, "--input-size", "1x3x999999999x999999999"],
        r"1x3x999999999x999999999 has more than \d+ elements",
    ),
    "digits without end": ([*ZOO, "--input-size", "9" * 5000], r"is not sizes"),
    "one channel": (
        [*ZOO, "--input-size", "1x1x32x32"],
        r"the model fails on an input of shape 1x1x32x32: RuntimeError",
    ),
    "too small": (
        [*ZOO, "--input-size", "1x3x2x2"],
        r"the model fails on an input of shape 1x3x2x2: .*too small; reactnet_18 halves .* fewer stages \(--blocks\)",
    ),
    "five axes": ([*ZOO, "--input-size", "1x3x8x32x32"], r"the model fails on an input of shape 1x3x8x32x32"),
    "two inputs": ([*ZOO, *["--input-size", "1x3x32x32"] * 2], r"shape 1x3x32x32 and 1x3x32x32: TypeError"),
}

CHECKPOINTS = {
    "missing": (["--checkpoint", "{d}/none.pt"], r"cannot read checkpoint '.*none\.pt': No such file"),
    "folder": (["--checkpoint", "{d}/folder"], r"cannot read checkpoint '.*folder': Is a directory"),
    "empty": (
        ["--checkpoint", "{d}/empty.pt"],
        r"empty\.pt' is empty, damaged or not written by torch\.save",
    ),
    "truncated": (["--checkpoint", "{d}/truncated.pt"], r"truncated\.pt' is empty, damaged or not"),
    "text": (["--checkpoint", "{d}/text.pt"], r"text\.pt' is empty, damaged or not"),
    "list": (["--checkpoint", "{d}/list.pt"], r"list\.pt' holds a list where a state dict was expected"),
    "other network": (
        ["--checkpoint", "{d}/other.pt"],
        r"other\.pt' does not fit the model: \d+ missing .*unexpected",
    ),
    "code": (["--checkpoint", "{d}/code.pt"], r"code\.pt' holds a Python object .*which abcost does not run"),
    "plain pickle": (
        ["--checkpoint", "{d}/plain.pt"],
        r"plain\.pt' is empty, damaged or not written by torch\.save",
    ),
}

USER_MODELS = {
    "no file": (["analyze", "{d}/none.py:model"], r"no model file .*none\.py"),
    "folder": (["analyze", "{d}/folder.py:model"], r"no model file"),
    "syntax error": (["analyze", "{d}/syntax.py:model"], r"syntax\.py raised SyntaxError while it was loaded"),
    "not Python": (["analyze", "{d}/binary.py:model"], r"binary\.py raised \w+Error while it was loaded"),
    "raising file": (["analyze", "{d}/raising.py:model"], r"raised LookupError while it was loaded: no GPU here"),
    "file that exits": (["analyze", "{d}/leaving.py:model"], r"raised SystemExit while it was loaded: bye"),
    "file with a missing import": (["analyze", "{d}/importing.py:model"], r"ModuleNotFoundError.*surely_not_installed"),
    "no factory": (["analyze", "{d}/empty.py:model"], r"empty\.py has no 'model'; name a function or class"),
    "empty factory name": (["analyze", "{m}:"], r"user_models\.py has no ''"),
    "raising factory": (["analyze", "{m}:raising"], r":raising raised OSError: no such dataset"),
    "factory that exits": (["analyze", "{m}:leaving"], r":leaving raised SystemExit: 7"),
    "factory of a number": (["analyze", "{m}:number"], r":number gave a int, not a torch\.nn\.Module"),
    "module, not a factory": (["analyze", "{m}:torch"], r":torch gave a module, not a torch\.nn\.Module"),
    "wrong argument": ([*SMALL, "--model-arg", "colour=3"], r"raised TypeError: .*keyword argument 'colour'"),
    "raising forward": (["analyze", "{m}:Broken"], r"shape 1x3x224x224: ValueError: first line second line"),
    "forward that exits": (["analyze", "{m}:Leaving"], r"the model's code called sys\.exit\(7\)"),
    "missing module": (["analyze", "surely_no.net:model"], r"cannot import 'surely_no\.net': ModuleNotFound"),
    "no module name": (["analyze", ":model"], r"cannot import ''"),
    "relative module": (["analyze", ".net:model"], r"cannot import '\.net'"),
    "file with a name too long": (["analyze", "n" * 300 + ".py:model"], r"no model file nnn"),
    "program with a name too long": (["analyze", "n" * 300 + ".pt2"], r"no exported program nnn"),
    "missing program": (["analyze", "{d}/none.pt2"], r"no exported program .*none\.pt2"),
    "empty program": (["analyze", "{d}/empty.pt2"], r"empty\.pt2 is not a program saved by torch\.export\.save"),
    "garbage program": (["analyze", "{d}/garbage.pt2"], r"garbage\.pt2 is not a program saved by torch\.export\.save"),
    "foreign archive": (["analyze", "{d}/zip.pt2"], r"zip\.pt2 is not a program saved by torch\.export\.save"),
}  # fmt: skip

TABLES = {
    "missing": ("none.toml", r"none\.toml: no such file; give a bundled target or the path"),
    "folder": ("folder/", r"folder.*: no such file"),
    "empty": ("empty.toml", r"empty\.toml: empty; start from one of the bundled tables"),
    "duplicate key": (
        "duplicate.toml",
        r"duplicate\.toml: not valid TOML: Cannot overwrite a value \(at line 3",
    ),
    "negative energy": ("negative.toml", r"negative\.toml: entry 1 \(add\): .*-1"),
    "source not given": ("uncited.toml", r"entry 1 \(add\): source 'you' is not given; add \[source\.you\]"),
    "no source": ("sourceless.toml", r"entry 1 \(add\): source is missing; every number cites one"),
    "bad law": ("law.toml", r"entry 1 \(add\): .*luts.*width \+"),
    "law that is code": ("code.toml", r"entry 1 \(add\): .*luts.*__import__"),
    "not TOML": ("no.toml", r"no\.toml: not valid TOML"),
    "not UTF-8": ("latin.toml", r"latin\.toml: not UTF-8 at byte \d+; save it as UTF-8"),
    "other schema": ("schema.toml", r"schema = 1 is missing at the top; this abcost reads schema 1 only"),
}

OUTPUTS = {
    "folder": (["-o", "{d}/folder"], r"--output .*folder is a folder; name a file in it"),
    "missing folder": (
        ["-o", "{d}/none/report.json"],
        r"--output .*: there is no folder .*none; make it first",
    ),
    "file as a folder": (["-o", "{d}/empty.pt/report.json"], r"--output .*: there is no folder .*empty\.pt"),
    "empty name": (["-o", ""], r"--output \. is a folder"),
    "name too long": (["-o", "{d}/" + "n" * 256], r"cannot write .*nnn: File name too long"),
}


@pytest.mark.parametrize(("arguments", "reason"), NAMES.values(), ids=NAMES)
def test_unknown_names(capsys, files, arguments, reason):
    assert re.search(reason, refusal(capsys, files, arguments))


@pytest.mark.parametrize(("arguments", "reason"), NUMBERS.values(), ids=NUMBERS)
def test_numbers_out_of_range(capsys, files, arguments, reason):
    assert re.search(reason, refusal(capsys, files, arguments))


@pytest.mark.parametrize(("arguments", "reason"), OPTIONS.values(), ids=OPTIONS)
def test_options_of_the_other_sort_of_model(capsys, files, arguments, reason):
    assert re.search(reason, refusal(capsys, files, arguments))


@pytest.mark.parametrize(("arguments", "reason"), INPUTS.values(), ids=INPUTS)
def test_inputs(capsys, files, arguments, reason):
    assert re.search(reason, refusal(capsys, files, arguments))


@pytest.mark.parametrize("command", ["analyze", "graph"])
@pytest.mark.parametrize(("arguments", "reason"), CHECKPOINTS.values(), ids=CHECKPOINTS)
def test_checkpoints(capsys, files, command, arguments, reason):
    assert re.search(reason, refusal(capsys, files, [command, *SMALL[1:], *arguments]))
    assert not (files / "trapped").exists()


def test_checkpoint_of_the_zoo_says_what_it_fits(capsys, files):
    torch.save({"fc.weight": torch.zeros(10, 512), "fc.bias": torch.zeros(10)}, files / "head.pt")
    reason = refusal(capsys, files, [*ZOO, "--checkpoint", "{d}/head.pt"])
    assert re.search(r"does not fit the model: \d+ missing \(first: 'conv1\.weight'", reason)


@pytest.mark.parametrize(("arguments", "reason"), USER_MODELS.values(), ids=USER_MODELS)
def test_user_models(capsys, files, arguments, reason):
    assert re.search(reason, refusal(capsys, files, arguments))


@pytest.mark.parametrize(("table", "reason"), TABLES.values(), ids=TABLES)
def test_cost_tables(capsys, files, table, reason):
    assert re.search(reason, refusal(capsys, files, [*SMALL, "-t", f"{{d}}/{table}"]))


@pytest.mark.parametrize("command", ["analyze", "graph"])
@pytest.mark.parametrize(("arguments", "reason"), OUTPUTS.values(), ids=OUTPUTS)
def test_outputs(capsys, files, command, arguments, reason):
    assert re.search(reason, refusal(capsys, files, [command, *SMALL[1:], *arguments]))


def test_unwritable_output_folder(capsys, files, monkeypatch):
    """By its permissions; the superuser, who may run the tests, is let in everywhere."""
    monkeypatch.setattr("abcost.cli.output.os.access", lambda path, mode: False)
    reason = refusal(capsys, files, [*SMALL, "-o", "{d}/report.json"])
    assert re.search(r"--output .*report\.json: the folder .* cannot be written", reason)


def test_bad_output_is_refused_before_the_work(capsys, files):
    """The model would fail too, but is not even loaded."""
    assert "is a folder" in refusal(capsys, files, ["analyze", "{d}/raising.py:model", "-o", "{d}"])


# programs saved by torch.export


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """A good .pt2 file for inputs of 1x4."""
    file = tmp_path_factory.mktemp("program") / "linear.pt2"
    torch.export.save(torch.export.export(nn.Linear(4, 2).eval(), (torch.zeros(1, 4),)), file)
    return file


def test_exported_program_knows_its_input(capsys, program):
    assert run(["analyze", str(program), "--format", "json"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    data = json.loads(out)
    assert data["input_shape"] == [1, 4]
    assert data["stages"][0]["ops"]["multiply"] == 4 * 2


def test_exported_program_for_another_input(capsys, files, program):
    reason = refusal(capsys, files, ["analyze", str(program), "--input-size", "1x5"])
    assert re.search(r"linear\.pt2 was exported for 1x4; leave --input-size out", reason)


def test_truncated_program(capsys, files, program):
    (files / "cut.pt2").write_bytes(program.read_bytes()[:-300])
    assert "is not a program saved by torch.export.save" in refusal(capsys, files, ["analyze", "{d}/cut.pt2"])


def test_code_in_an_exported_program_does_not_run(capsys, files, program):
    """torch.export.load unpickles a weight whose entry in weights_config asks for it."""
    trapped = files / "trapped-program"
    with zipfile.ZipFile(program) as good, zipfile.ZipFile(files / "code.pt2", "w") as bad:
        for name in good.namelist():
            data = good.read(name)
            if name.endswith("_weights_config.json"):
                config = json.loads(data)
                for entry in config["config"].values():
                    entry["use_pickle"] = True
                data = json.dumps(config).encode()
            elif re.search(r"data/weights/weight_\d+$", name):
                torch.save(Trap(trapped), files / "weight")
                data = (files / "weight").read_bytes()
            bad.writestr(name, data)
    reason = refusal(capsys, files, ["analyze", "{d}/code.pt2"])
    assert re.search(r"code\.pt2 is not a program saved by torch\.export\.save: .*[Ww]eights", reason)
    assert not trapped.exists()


# what is not the user's fault


def test_failed_verification_is_status_1_and_still_reports(capsys, monkeypatch):
    """As if removing the mask had moved an output by a quarter."""
    import abcost.pipeline

    def spoiled(*arguments):
        found = verify_stages(*arguments)
        comparisons = [
            replace(c, error=0.5, output_error=0.25, where="conv1") if c.after == "mask_removed" else c
            for c in found.comparisons
        ]
        return replace(found, comparisons=tuple(comparisons))

    verify_stages = abcost.pipeline.verify_stages
    monkeypatch.setattr(abcost.pipeline, "verify_stages", spoiled)
    small = [f"{MODELS}:Small", "--input-size", "1x3x8x8"]
    assert run(["analyze", *small, "--verify", "--format", "json"]) == 1
    out, err = capsys.readouterr()
    assert [stage["max_abs_error"] for stage in json.loads(out)["stages"]][1:] == [0.25, 0.0, 0.0]
    assert "verification failed: an exact rewrite was not exact; abcost verify says where" in err
    assert "error:" not in err
    assert run(["verify", *small]) == 1
    drawn = capsys.readouterr().out
    assert re.search(r"\n mask_removed +fixed point +normal +0\.5 +0\.25 +conv1 +FAILED", drawn)
    assert drawn.endswith("An exact rewrite was NOT exact.\n")
    assert run(["verify", *small, "--format", "json"]) == 1
    assert json.loads(capsys.readouterr().out)["holds"] is False


def fail_inside(monkeypatch, error):
    import abcost.pipeline

    def trace(*_):
        raise error

    monkeypatch.setattr(abcost.pipeline, "trace", trace)


@pytest.mark.parametrize("command", ["analyze", "graph", "verify"])
def test_interrupted(capsys, monkeypatch, command):
    fail_inside(monkeypatch, KeyboardInterrupt())
    assert run([command, f"{MODELS}:Small"]) == 130
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[-1] == "interrupted"
    assert "error:" not in err


def test_interrupted_by_a_signal(tmp_path):
    (tmp_path / "slow.py").write_text(
        "import sys, time\nprint('ready', file=sys.stderr, flush=True)\ntime.sleep(600)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", "from abcost.cli import main; main()", "analyze", "slow.py:model"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=600)
    assert (process.returncode, out, err) == (130, "", "interrupted\n")


def test_a_bug_is_one_line_too(capsys, files, monkeypatch):
    fail_inside(monkeypatch, ZeroDivisionError("division\nby zero"))
    reason = refusal(capsys, files, SMALL)
    assert reason == (
        "internal error, please report it: ZeroDivisionError: division by zero (--debug shows where)"
    )


def test_debug_shows_where(capsys, monkeypatch):
    fail_inside(monkeypatch, ZeroDivisionError("division by zero"))
    assert run(["--debug", "analyze", f"{MODELS}:Small"]) == 2
    *trace, last = capsys.readouterr().err.splitlines()
    assert trace[0] == "Traceback (most recent call last):"
    assert trace[-1] == "ZeroDivisionError: division by zero"
    assert any("in fail_inside" in line or "in trace" in line for line in trace)
    assert last.startswith("error: internal error")


def test_debug_of_a_users_error_shows_its_cause(capsys):
    assert run(["--debug", "analyze", f"{MODELS}:raising"]) == 2
    err = capsys.readouterr().err
    assert "OSError: no such dataset" in err.split("error: ", maxsplit=1)[0]


@pytest.mark.parametrize(
    "command",
    [["models"], ["targets", "show", "fpga-lut6"], ["analyze", f"{MODELS}:Small", "--input-size", "1x3x8x8"]],
    ids=lambda command: command[0],
)
def test_reader_that_has_seen_enough_is_no_error(command):
    process = subprocess.Popen(  # noqa: S603 - our own command
        [sys.executable, "-c", "from abcost.cli import main; main()", *command],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    assert (process.wait(timeout=600), err) == (0, "")


def test_an_endless_argument_is_not_repeated_in_full(capsys):
    assert run(["analyze", "reactnet_18", "--input-size", "[" * 100_000]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert len(line) < 2100
    assert line.startswith("error: --input-size '[[[")
    assert " characters) …" in line
    assert line.endswith("behind them where needed")
