"""The package as others meet it: public names, registries, docstrings, and the wheel."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import os
import pkgutil
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import abcost
from abcost import errors
from abcost.cost import bundled_targets
from abcost.errors import DuplicateName, UnknownName
from abcost.models.registry import MODELS
from abcost.registry import Registry
from abcost.report.format import FORMATS
from abcost.report.graph import GRAPH_FORMATS

ROOT = Path(abcost.__file__).resolve().parents[1]
MODULES = sorted(path for path in (ROOT / "abcost").rglob("*.py"))

pytestmark = pytest.mark.skipif(
    not (ROOT / "pyproject.toml").is_file(), reason="needs the checkout, not an installed package"
)


# public names


def test_public_names_of_the_package():
    calls = ("analyze", "build", "compare", "evaluate", "export", "search", "sweep", "train", "verify")
    assert set(calls) <= set(abcost.__all__) == set(dir(abcost))
    for name in abcost.__all__:
        assert (getattr(abcost, name).__doc__ or "").strip(), name
    for name in calls:  # also behind the import of what is below them
        assert inspect.isfunction(getattr(abcost, name))
    with pytest.raises(
        AttributeError, match="module 'abcost' has no attribute 'analyse'; did you mean 'analyze'"
    ):
        _ = abcost.analyse


def test_one_version():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert "version" in project["project"]["dynamic"]
    source = (ROOT / project["tool"]["hatch"]["version"]["path"]).read_text(encoding="utf-8")
    assert f'__version__ = "{abcost.__version__}"' in source


def test_every_module_can_be_imported_and_keeps_what_it_promises():
    names = [module.name for module in pkgutil.walk_packages(abcost.__path__, "abcost.")]
    assert len(names) > 50
    for name in names:
        module = importlib.import_module(name)
        public = getattr(module, "__all__", [])
        assert [missing for missing in public if not hasattr(module, missing)] == [], name
        assert sorted(public) == sorted(set(public)), name


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_says_what_it_is_for(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docstring = ast.get_docstring(tree) or ""
    assert re.match(r"\S.{9,}", docstring)


PREPOSITION = re.compile(
    "(Above|After|Along|Around|As|At|Before|Behind|Below|Beside|Between|Beyond|By|For|From|In|Inside|Into|Like|Of|On|"
    r"Outside|Over|Per|Through|To|Towards|Under|Until|Via|With|Within|Without)(?![\w-])"
)


def test_no_function_is_described_by_a_preposition():
    """A docstring names what is returned, or what is done: "Settings of the search.", not "Of the search."."""
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and PREPOSITION.match(ast.get_docstring(node) or "")
    ]
    assert found == []


def test_errors_are_one_family_with_an_example_each():
    raised = [value for value in vars(errors).values() if isinstance(value, type)]
    assert len(raised) > 5
    for error in raised:
        assert issubclass(error, errors.AbcostError)
        assert error.__doc__
        assert re.search(rf"\b{error.__name__}\b", errors.__doc__)  # in the tree at the top of the file


# registries


def test_a_clash_of_names_is_an_error():
    registry = Registry("toy", "abcost.report")
    registry.add("one", "abcost.here")("first")
    with pytest.raises(
        DuplicateName,
        match=r"^toy 'one' is already taken by abcost itself, and abcost itself registers it too; ",
    ):
        registry.add("one", "abcost.here")("second")
    with pytest.raises(
        DuplicateName, match=r"^toy 'one' is already taken by abcost itself, and elsewhere registers"
    ):
        registry.add("one", "elsewhere")("second")
    assert registry.get("one") == "first"


def test_a_file_that_is_loaded_again_registers_again():
    registry = Registry("toy", "abcost.report")
    for thing in ("first", "second"):
        registry.add("one")(thing)
    assert registry.get("one") == "second"
    assert registry.owner("one") == __name__


@pytest.mark.parametrize(
    ("registry", "taken"), [(MODELS, "reactnet_a"), (FORMATS, "json"), (GRAPH_FORMATS, "dot")]
)
def test_taken_names_stay_taken(registry, taken):
    before = registry.get(taken)
    with pytest.raises(DuplicateName, match=f"'{taken}' is already taken"):
        registry.add(taken)(object())
    assert registry.get(taken) is before


def test_a_miss_suggests_the_nearest():
    registry = Registry("toy", "abcost.report")
    registry.add("alpha")(1)
    registry.add("beta")(2)
    with pytest.raises(UnknownName, match=r"^no toy 'alhpa'; did you mean 'alpha'\? \(known: alpha, beta\)$"):
        registry.get("alhpa")
    with pytest.raises(UnknownName, match=r"^no toy 'zzz' \(known: alpha, beta\)$"):
        registry.get("zzz")
    assert registry.find("zzz") is None
    assert registry.names() == ["alpha", "beta"]
    assert list(registry) == [("alpha", 1), ("beta", 2)]


# the wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    pytest.importorskip("build")
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    (built,) = folder.glob("*.whl")
    return built


def test_wheel_holds_the_package_and_the_tables_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert wheel.name == f"abcost-{abcost.__version__}-py3-none-any.whl"
    assert len(set(names)) == len(names)
    assert {name for name in names if name.endswith(".toml")} == {
        *(f"abcost/cost_models/{target}.toml" for target in bundled_targets()),
        *(f"abcost/cost_models/fabric/{flow}.toml" for flow in ("ecp5", "ice40", "xc7")),
        *(f"abcost/cost_models/memories/{name}.toml" for name in ("sram-sg13g2", "sram-sky130")),
    }
    factors = {f"abcost/cost_models/scaling/{name}" for name in ("stillmaker2017.csv", "sram_45nm_7nm.csv")}
    assert factors <= set(names)
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "abcost").rglob("*.py")}
    assert {name for name in names if name.endswith(".py")} == modules
    assert "abcost/py.typed" in names
    assert {name.split("/")[0] for name in names} == {"abcost", f"abcost-{abcost.__version__}.dist-info"}


def test_installed_package_finds_its_tables(wheel, tmp_path):
    """Outside the checkout, where only the wheel's own folder can be found."""
    installed = tmp_path / "installed"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)
    script = (
        "import abcost, sys; print(abcost.__file__, file=sys.stderr); from abcost.cli import main; main()"
    )
    found = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-c", script, "targets", "list", "--format", "json"],
        check=True, capture_output=True, text=True, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(installed)},
    )  # fmt: skip
    assert found.stderr == f"{installed / 'abcost' / '__init__.py'}\n"
    assert [target["target"] for target in json.loads(found.stdout)] == bundled_targets()


def test_wheel_declares_the_command_and_what_it_needs(wheel):
    with zipfile.ZipFile(wheel) as archive:
        info = f"abcost-{abcost.__version__}.dist-info"
        entry_points = archive.read(f"{info}/entry_points.txt").decode()
        metadata = archive.read(f"{info}/METADATA").decode()
    assert "abcost = abcost.cli:main" in entry_points
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    required = [
        line for line in metadata.splitlines() if line.startswith("Requires-Dist:") and "extra" not in line
    ]
    assert len(required) == len(project["dependencies"])
    assert f"Requires-Python: {project['requires-python']}" in metadata
