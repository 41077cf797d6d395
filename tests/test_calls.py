"""The calls of the package: what the commands do, from Python."""

from __future__ import annotations

import ast
import inspect
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from torch import nn

import abcost
import warm
from abcost.cli import run
from abcost.training.config import NAMES
from shortened import environment_of, forms, shortened

ROOT = Path(abcost.__file__).resolve().parents[1]
TINY = {"preset": "digits", "base_width": 4, "blocks": (1,)}
TINY_OPTIONS = ("--preset", "digits", "--base-width", "4", "--blocks", "1")
CALLS = ("analyze", "verify", "compare", "train", "evaluate", "search", "build", "sweep", "export")


def command(capsys, *arguments):
    """Its JSON."""
    status = run([*map(str, arguments), "--format", "json"])
    out, err = capsys.readouterr()
    assert status == 0, err
    return json.loads(out)


def python(code, folder, *arguments, program=(sys.executable,), **environment):
    """What a program prints."""
    done = subprocess.run(  # noqa: S603 - our own code
        [*program, "-c", code, *arguments], cwd=folder, env={**os.environ, **environment}, capture_output=True,
        text=True, check=False, timeout=1800,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def forked(code, folder, *arguments, **environment):
    """The same in a process that need not load its libraries."""
    return python(code, folder, *arguments, program=warm.CLIENT, **warm.environment() | environment)


# names


def test_importing_loads_no_torch_and_shows_all_names(tmp_path):
    code = "import sys, abcost; print(*dir(abcost)); print('torch' in sys.modules, 'pandas' in sys.modules)"
    names, loaded = python(code, tmp_path).splitlines()
    assert {*CALLS, "Report", "AbcostError", "NetworkOptions"} <= set(names.split())
    assert loaded == "False False"


def test_names_are_the_calls_whatever_was_imported_before(tmp_path):
    code = "import abcost.api.search, abcost.training.run, abcost\nprint(type(abcost.search), type(abcost.train))"
    assert python(code, tmp_path) == "<class 'function'> <class 'function'>\n"


@pytest.mark.parametrize("name", CALLS)
def test_every_call_is_typed_and_says_what_its_arguments_are(name):
    call = getattr(abcost, name)
    signature = inspect.signature(call)
    documents = [call.__doc__, *(getattr(abcost, o).__doc__ for o in abcost.__all__ if o.endswith("Options"))]
    for parameter in signature.parameters.values():
        assert parameter.annotation is not parameter.empty, parameter
        assert parameter.kind is not parameter.VAR_KEYWORD  # shown one by one
        assert any(re.search(rf"\b{parameter.name}\b", text) for text in documents), parameter
    assert getattr(abcost, signature.return_annotation.__name__) is signature.return_annotation


def test_recipes_have_an_option_for_every_value():
    assert set(abcost.RecipeOptions.__annotations__) == set(NAMES) - {"model", "step", "data"}


# wrong arguments


NET = "reactnet_18"
WRONG = [
    (
        "analyze",
        [NET],
        {"presett": "digits"},
        "no argument of abcost.analyze 'presett'; did you mean 'preset'?",
    ),
    ("analyze", [], {}, "abcost.analyze: missing a required argument: 'model'"),
    ("analyze", [NET], {"fps": "fast"}, "fps must be a number or None, got 'fast'"),
    ("analyze", [NET], {"blocks": "2,2"}, "blocks must be a list, each a whole number or None, got '2,2'"),
    ("analyze", [NET], {"blocks": (2, True)}, "blocks must be a list, each a whole number"),
    (
        "analyze",
        [NET],
        {"weight_scale": "po3"},
        "no weight_scale of abcost.analyze 'po3'; did you mean 'po2'?",
    ),
    ("analyze", ["reactnet_19"], {}, "no model 'reactnet_19'; did you mean 'reactnet_18'?"),
    ("analyze", [NET, "fpga-lut7"], {}, "no target 'fpga-lut7'; did you mean 'fpga-lut6'?"),
    ("analyze", [NET], {"device": "xc7z02"}, "no device 'xc7z02'; did you mean 'xc7z020'?"),
    ("analyze", [NET], {"fps": 0}, "fps must be at least 1e-06"),
    ("analyze", [nn.ReLU()], {"variant": "bn"}, "variant is for models given by name: leave it out"),
    (
        "analyze",
        [NET],
        {"input_shape": (1, 3, 8, 8), "inputs": [abcost.InputSpec((1,))]},
        "leave one of the two out",
    ),
    ("verify", [NET], {"variant": "abb"}, "no variant 'abb'; did you mean 'ab'?"),
    ("compare", [NET], {}, "compare needs two or more"),
    ("compare", ["a.json", "b.json"], {"width": 12}, "width does nothing to saved reports"),
    (
        "sweep",
        [NET],
        {"widths": "12"},
        "widths must be a whole number or a list, each a whole number, got '12'",
    ),
    (
        "sweep",
        [[NET, 3]],
        {},
        "models must be text or a Module or a list, each text or a Module, got ['reactnet_18', 3]",
    ),
    ("sweep", [NET, "fpga-lut7"], {}, "no target 'fpga-lut7'; did you mean 'fpga-lut6'?"),
    ("sweep", [NET], {"axes": ["fps", "lut"]}, "no axis of a sweep 'lut'; did you mean 'luts'?"),
    ("sweep", [NET], {"axes": ["fps"]}, "axes takes two different quantities"),
    ("sweep", [[]], {}, "name a model to sweep"),
    ("sweep", [f"{NET},width=12"], {}, "width is swept: say widths instead"),
    ("sweep", [NET], {"widths": 1}, "widths 1 is not between 2 and 64 bits"),
    (
        "sweep",
        [NET],
        {"target": ["fpga-lut6"], "clock_mhz": 50.0},
        "clock_mhz and folding size an accelerator: add device or fps",
    ),
    ("sweep", [NET], {"basewidth": 3}, "no argument of abcost.sweep 'basewidth'; did you mean 'base_width'?"),
    ("train", [NET, "nowhere"], {"epochs": 0}, "epochs must be at least 1, got 0"),
    ("train", [NET, "nowhere"], {"step": 3}, "step must be 1 or 2 or 'both' or None, got 3"),
    ("evaluate", [NET, "x.pt", "digits"], {"form": "fixed"}, "'fixed'; did you mean 'fixed-point'?"),
    ("search", [NET, "nowhere"], {"budget": "lutz=3"}, "no quantity of budget 'lutz'; did you mean 'luts'?"),
    ("build", [NET, "nowhere", "LFE5U-86F"], {}, "no device 'LFE5U-86F'; did you mean 'LFE5U-85F'?"),
    (
        "export",
        [NET, "net.onnx"],
        {"format": "qonx"},
        "no format of abcost.export 'qonx'; did you mean 'qonnx'?",
    ),
    (
        "export",
        [NET, "net.onnx"],
        {"device": "xc7z020"},
        "device does nothing with format onnx: leave it out",
    ),
    (
        "export",
        [NET, "net.json"],
        {},
        "format folding writes the folding of an accelerator: add device or fps",
    ),
]


@pytest.mark.parametrize(("name", "args", "options", "reason"), WRONG)
def test_wrong_arguments_are_errors_of_ours_that_say_what_is_right(
    name, args, options, reason, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(abcost.AbcostError) as raised:
        getattr(abcost, name)(*args, **options)
    text = str(raised.value)
    assert reason in text
    assert "--" not in text.split("(known", maxsplit=1)[0]  # options are called as the arguments are
    assert "\n" not in text
    assert list(tmp_path.iterdir()) == []


# what the commands say


def test_analyze_is_the_command(capsys):
    report = abcost.analyze("reactnet_18", device="xc7z020", fps=100, constant_multiply="csd", **TINY)
    options = ("--device", "xc7z020", "--fps", 100, "--constant-multiply", "csd")
    assert report.to_dict() == command(capsys, "analyze", "reactnet_18", *TINY_OPTIONS, *options)
    assert report.stages[-1].organisation.fps >= 100


def test_a_module_is_analysed_as_it_is():
    report = abcost.analyze(nn.Conv2d(2, 3, 3), input_shape=(1, 2, 4, 4), lanes=2)
    assert report.stages[0].slowest == ("", 2 * 9 * 3 * 4 // 2)


def test_verify_is_the_command(capsys):
    found = abcost.verify("reactnet_18", **TINY)
    assert {"schema": 1, "model": "reactnet_18", **found.to_dict()} == command(
        capsys, "verify", "reactnet_18", *TINY_OPTIONS
    )
    assert found.holds
    assert found.summary().endswith("All exact rewrites are exact.")
    assert_short(found)


def test_compare_takes_reports_files_and_models(capsys, tmp_path):
    wide, narrow = (abcost.analyze("reactnet_18", width=width, **TINY) for width in (16, 12))
    wide.save(tmp_path / "wide.json")
    found = abcost.compare(wide, tmp_path / "wide.json", narrow, fail_if=["luts>-0.1%", "luts>+0%"])
    same, changed = found.comparisons
    assert not any(delta.changed for delta in same.last.values())
    assert changed.last["cost.luts"].after == narrow.stages[-1].cost.luts
    assert found.broken[0].startswith(
        f"{tmp_path}/wide.json: luts>-0.1%: "
    )  # 12 bits take fewer LUTs than 16
    assert len(found.broken) == 1
    assert not found.holds
    text = "reactnet_18,preset=digits,base_width=4,blocks=1"
    sides = (text, f"{text},width=12")
    assert abcost.compare(*sides).to_dict() == command(capsys, "compare", *sides)
    for one in (found, same):
        assert_short(one)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained") / "run"
    return abcost.train("reactnet_18", folder, epochs=1, base_width=4, blocks=(1,))


def test_a_training_is_a_run_folder(trained):
    metrics = json.loads((trained.folder / "metrics.json").read_text())
    assert trained.metrics == metrics
    assert trained.test_top1 == metrics["test_top1"]
    assert trained.checkpoint.is_file()
    assert list(trained.to_frame()["epoch"]) == [1]
    assert_short(trained)
    again = abcost.train("reactnet_18", trained.folder, resume=True)  # it is finished
    assert again.metrics == metrics


def test_evaluate_is_the_command(capsys, trained):
    found = abcost.evaluate("reactnet_18", trained.checkpoint, "digits", form="fixed-point", images=20)
    options = ("--checkpoint", trained.checkpoint, "--data", "digits", "--as", "fixed-point", "--images", 20)
    assert found.to_dict() == command(capsys, "evaluate", "reactnet_18", *options)
    assert "20 test images of digits" in found.summary()
    assert "Agreement with the trained network: " in found.summary()
    assert_short(found)


def test_an_impossible_budget_is_an_answer(trained, tmp_path):
    with pytest.raises(
        abcost.Impossible, match=r"^no design of reactnet_18 meets budget luts=1: the cheapest"
    ):
        abcost.search(
            "reactnet_18", tmp_path / "s", init=trained.checkpoint, budget="luts=1", base_width=4, blocks=(1,)
        )


def test_build_writes_a_circuit(tmp_path):
    found = abcost.build("reactnet_18", tmp_path / "circuit", "LFE5U-85F", width=12, **TINY)
    assert "Values: 12 bits" in (found.folder / "top.v").read_text()
    assert f"An image takes {found.cycles_per_image} cycles" in (found.folder / "top.v").read_text()
    assert found.fps == 100e6 / found.cycles_per_image
    assert found.holds
    assert_short(found)


def assert_short(result):
    assert re.fullmatch(r"<[^\n]+>", repr(result))
    assert len(repr(result)) < 200


def test_a_report_is_saved_as_its_suffix_says(tmp_path):
    report = abcost.analyze(nn.Conv2d(1, 1, 1), input_shape=(1, 1, 2, 2))
    starts = {
        "json": b"{", "csv": b"model,", "html": b"<!DOCTYPE", "txt": b"model  ", "svg": b"<?xml", "png": b"\x89PNG",
        "pdf": b"%PDF",
    }  # fmt: skip
    for suffix, start in starts.items():
        file = tmp_path / f"report.{suffix}"
        report.save(file)
        assert file.read_bytes().startswith(start)
    with pytest.raises(abcost.AbcostError, match=r"report\.doc: name a file that ends in \.json, \.csv"):
        report.save(tmp_path / "report.doc")
    assert len(list(tmp_path.iterdir())) == len(starts)


# what the documentation says


def scripts():
    """(where, code) of every example, every cell of a notebook, every block of Python in the documentation."""
    found = [(path, path.read_text()) for path in sorted((ROOT / "examples").glob("*.py"))]
    found += [(path, cell) for path in NOTEBOOKS for cell in cells_of(path)]
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        found += [
            (page, code)
            for code in re.findall(
                r"^```python[^\n]*\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL
            )
        ]
    return found


def imported(tree):
    """Modules, and names of abcost, that code imports or reaches through `abcost.`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.module, alias.name) for alias in node.names)
        elif (
            isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "abcost"
        ):
            yield "abcost", node.attr


OWN_PACKAGE = "own-package.md"
"""Its code registers with abcost's registries and tests itself by abcost.testing."""


def test_examples_documentation_and_notebooks_use_public_names_of_abcost_alone():
    used = {
        (module, name)
        for where, code in scripts()
        for module, name in imported(ast.parse(code))
        if module.split(".")[0] == "abcost" and where.name != OWN_PACKAGE
    }
    assert {("abcost", "sweep"), ("abcost", "handler"), ("abcost", "analyze")} <= used
    assert {module for module, _ in used} == {"abcost"}
    assert {name for _, name in used if name is not None} <= set(abcost.__all__)


# notebooks

NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))


def cells_of(notebook):
    """Its code, cell by cell."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_is_kept_without_outputs(notebook):
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in cells if "outputs" in cell)
    assert notebook.stat().st_size < 10_000


EXECUTE = """
import sys, nbclient, nbformat
notebook = nbformat.read(sys.argv[1], as_version=4)
nbclient.NotebookClient(notebook, timeout=900, kernel_name="python3").execute()
nbformat.write(notebook, "executed.ipynb")
"""


@pytest.mark.parametrize(("notebook", "form"), forms(NOTEBOOKS, lambda path: path.name, read=Path.read_text))
def test_a_notebook_runs_headless_and_shows_its_results(notebook, form, tmp_path):
    for package in ("nbclient", "ipykernel"):
        pytest.importorskip(package)
    (tmp_path / notebook.name).write_text(form(notebook.read_text(encoding="utf-8")), encoding="utf-8")
    jupyter = {"IPYTHONDIR": str(tmp_path / "ipython"), "JUPYTER_PLATFORM_DIRS": "1"}
    forked(EXECUTE, tmp_path, notebook.name, **jupyter, **environment_of(form))
    shown = (tmp_path / "executed.ipynb").read_text()
    assert "<table>" in shown  # of the report and of the sweep
    assert "reactnet_18, fixed-point: top-1 " in shown
    assert "<Compared: 1 with the first side, " in shown
    for file in ("sweep.svg", "report.html", "runs/search/front.svg"):
        assert (tmp_path / file).is_file()


@pytest.mark.parametrize(
    "form",
    [pytest.param(shortened, id="shortened"), pytest.param(str, id="as written", marks=pytest.mark.slow)],
)
def test_the_readme_trains_searches_evaluates_sizes_and_plots(form, tmp_path):
    (code,) = [code for path, code in scripts() if path.name == "README.md" and "abcost.train" in code]
    assert len([line for line in code.splitlines() if line.strip()]) <= 15
    out = forked(form(code), tmp_path, **environment_of(form))
    assert "reactnet_18, fixed-point: top-1 " in out
    assert "answer      yes: it fits" in out
    assert (tmp_path / "report.svg").read_bytes().startswith(b"<?xml")
    assert (tmp_path / "report.html").is_file()
    assert (tmp_path / "runs" / "search" / "front.svg").is_file()
