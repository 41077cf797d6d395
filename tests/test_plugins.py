"""Things that other packages and users' own files add: found, used, and named where they are broken or clash."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import warm
from abcost import plugins
from abcost.cli import run
from abcost.core.kinds import OpKind
from abcost.errors import DuplicateName, UnknownName
from abcost.plugins import PluginWarning
from abcost.registry import Registry
from abcost.report.format import FORMATS
from abcost.rewrite.rule import rules
from simulators import need_simulator

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "tests" / "sample_plugin"
NET = ("sample_net", "--preset", "digits", "--base-width", "4")

# one registry, and packages beside it


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder of installed packages, and a registry of two toys of abcost's own."""
    monkeypatch.syspath_prepend(str(tmp_path))
    package = tmp_path / "abcost_toys"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "wood.py").write_text(
        "from abcost_toybox import toys\n\ntoys.add('top', 'abcost.wood')(1)\ntoys.add('ball', 'abcost.wood')(2)\n"
    )
    box = type(sys)("abcost_toybox")
    box.toys = Registry("toy", "abcost_toys", "abcost.formats")
    monkeypatch.setitem(sys.modules, "abcost_toybox", box)
    before = set(sys.modules)
    plugins.found.cache_clear()
    yield Site(tmp_path, box.toys)
    plugins.found.cache_clear()
    for name in set(sys.modules) - before:
        del sys.modules[name]


class Site:
    """Installs packages as pip leaves them: a module, and metadata with an entry point."""

    def __init__(self, folder, toys):
        self.folder, self.toys = folder, toys

    def install(self, name, code, value=None):
        (self.folder / f"{name}.py").write_text(f"from abcost_toybox import toys\n\n{code}\n")
        metadata = self.folder / f"{name}-1.5.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.5\n")
        (metadata / "entry_points.txt").write_text(f"[abcost.formats]\nmine = {value or name}\n")


def test_a_plugin_registers_like_a_file_of_abcost(site):
    site.install("lego", "toys.add('brick')(3)")
    assert plugins.found.cache_info().misses == 0  # before the first look-up nothing is looked through
    assert site.toys.names() == ["ball", "brick", "top"]
    assert site.toys.get("brick") == 3
    assert site.toys.owner("brick") == "lego"
    assert plugins.owner("lego") == "plug-in lego 1.5 (lego)"
    assert plugins.found.cache_info().misses == 1


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("toys.add('half')(0); raise RuntimeError('no\\nluck')", "RuntimeError: no luck"),
        (
            "toys.add('half')(0); import surely_not_there",
            "ModuleNotFoundError: No module named 'surely_not_there'",
        ),
        ("toys.add('half')(0); raise SystemExit(3)", "SystemExit: 3"),
        ("toys.add('half')(0", "SyntaxError: "),
    ],
)
def test_a_broken_plugin_is_left_out_and_said(site, code, reason):
    site.install("lego", code)
    site.install("zebra", "toys.add('stripe')(4)")
    message = f"plug-in lego 1.5, entry point mine = lego of abcost.formats cannot be loaded: {reason}"
    with pytest.warns(PluginWarning) as said:
        assert site.toys.names() == ["ball", "stripe", "top"]  # what it had registered is taken back
    (warning,) = said
    assert str(warning.message).startswith(message)
    assert str(warning.message).endswith("; mend it or uninstall lego")
    assert "\n" not in str(warning.message)
    assert site.toys.get("top") == 1
    assert site.toys.find("half") is None
    with pytest.raises(UnknownName) as missed:
        site.toys.get("half")
    assert message in str(missed.value)


def test_an_entry_point_names_a_module(site):
    site.install("lego", "toys.add('brick')(3)", "lego:toys")
    with pytest.warns(
        PluginWarning, match="= lego:toys of abcost.formats names something in a module; name the module"
    ):
        assert site.toys.names() == ["ball", "top"]


def test_a_clash_with_abcost_names_both(site):
    site.install("lego", "toys.add('top')(3)")
    message = (
        r"^toy 'top' is already taken by abcost itself, and plug-in lego 1\.5 \(lego\) registers it too; rename one, "
        "or leave out or uninstall one of the two$"
    )
    for look_up in (
        site.toys.names,
        lambda: site.toys.get("ball"),
        lambda: site.toys.find("x"),
        lambda: list(site.toys),
    ):
        with pytest.raises(DuplicateName, match=message):
            look_up()


def test_a_clash_of_two_plugins_names_both(site):
    for name in ("lego", "zebra"):
        site.install(name, "toys.add('brick')(3)")
    with pytest.raises(
        DuplicateName,
        match=r"^toy 'brick' is already taken by plug-in lego 1\.5 \(lego\), and plug-in zebra 1\.5 \(zebra\) ",
    ):
        site.toys.names()


def test_a_plugin_that_was_imported_first_does_not_take_the_place_of_abcost(site):
    site.install("lego", "toys.add('top')(3)")
    with pytest.raises(
        DuplicateName, match=r"^toy 'top' is already taken by abcost itself, and plug-in lego"
    ):
        __import__("lego")


def test_an_interrupted_look_up_goes_on(site):
    site.install(
        "lego",
        "toys.add('brick')(3)\nif toys.find('once') is None:\n    toys.add('once')(0)\n    raise KeyboardInterrupt",
    )
    with pytest.raises(KeyboardInterrupt):
        site.toys.names()
    assert site.toys.names() == ["ball", "brick", "once", "top"]


def test_entry_points_that_cannot_be_read(site):
    site.install("lego", "toys.add('brick')(3)")
    (site.folder / "lego-1.5.dist-info" / "entry_points.txt").write_text("[abcost.formats]\nno equals sign\n")
    with pytest.warns(PluginWarning, match="^the entry points of the installed packages cannot be read: "):
        assert site.toys.names() == ["ball", "top"]


# a user's own file


OWN = '''
import torch
from torch import nn

from abcost.report.format import FORMATS
from abcost.rewrite.rule import rules
from abcost.rewrite.rules.unit_scale import UnitScale

@FORMATS.add("mine")
def render(reports, view):
    """One word."""
    return f"{len(reports[0].stages)} stages\\n"

class Own(UnitScale):
    """x * 1 -> x."""

rules.add("own-unit-scale")(Own())

def make():
    return nn.Linear(4, 2)
'''


@pytest.fixture
def forgetful(monkeypatch):
    for registry in (FORMATS, rules):
        registry.names()
        for name in ("_items", "_owners"):
            monkeypatch.setattr(registry, name, dict(getattr(registry, name)))


@pytest.mark.usefixtures("forgetful")
def test_a_file_of_the_users_adds_a_format_and_a_rule(tmp_path, capsys):
    """The format is looked up when the file is loaded; loading it again replaces both."""
    file, out = tmp_path / "own.py", tmp_path / "out.mine"
    file.write_text(OWN)
    command = ["analyze", f"{file}:make", "--input-size", "1x4"]
    for _ in range(2):
        assert run([*command, "--format", "mine"]) == 0, capsys.readouterr().err
        assert capsys.readouterr().out == "4 stages\n"
    assert "own-unit-scale" in rules.names()
    assert run([*command, "--output", str(out)]) == 0
    assert out.read_text() == "4 stages\n"
    assert run([*command, "--format", "yours"]) == 2
    assert capsys.readouterr().err.startswith(
        "error: no report format 'yours' (known: csv, html, json, md, mine, rich, tex)"
    )


@pytest.mark.usefixtures("forgetful")
def test_a_file_of_the_users_takes_no_name_of_abcost(tmp_path, capsys):
    file = tmp_path / "own.py"
    file.write_text(OWN.replace('"mine"', '"json"'))
    assert run(["analyze", f"{file}:make", "--input-size", "1x4"]) == 2
    said = capsys.readouterr().err
    assert "report format 'json' is already taken by abcost itself, and _abcost_user_own (" in said


def test_a_format_that_nobody_can_add_fails_before_the_work(capsys):
    assert run(["analyze", "reactnet_18", "--format", "yours"]) == 2
    assert capsys.readouterr().err.startswith("error: no report format 'yours'")


# the sample package


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """A folder with the sample package, as pip installs it."""
    if not (ROOT / "pyproject.toml").is_file():
        pytest.skip("needs the checkout")
    folder = tmp_path_factory.mktemp("site")
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--no-build-isolation",
    ]
    subprocess.run([*pip, "--target", folder, SAMPLE], check=True, cwd=folder)  # noqa: S603 - our own package
    return folder


def call(sample, cwd, *command, status=0):
    """Standard output and error of a forked Python with the sample installed."""
    paths = [str(sample), *filter(None, [os.environ.get("PYTHONPATH")])]
    done = subprocess.run(  # noqa: S603 - our own commands
        [*warm.CLIENT, *map(str, command)],
        cwd=cwd,
        env={**warm.environment(), "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout, done.stderr


def abcost(sample, cwd, *command, status=0):
    return call(sample, cwd, "-c", "from abcost.cli import main; main()", *command, status=status)


def test_its_own_tests_pass(sample, tmp_path):
    """They use abcost.testing alone."""
    need_simulator()
    tests = tmp_path / "tests"
    tests.mkdir()
    (tests / "test_contracts.py").write_bytes((SAMPLE / "tests" / "test_contracts.py").read_bytes())
    out, _ = call(sample, tmp_path, "-m", "pytest", "-q", "-p", "no:cacheprovider", tests)
    assert "8 passed" in out


def test_analyze_uses_model_target_and_format(sample, tmp_path):
    out, _ = abcost(sample, tmp_path, "analyze", *NET, "-t", "sample-asic", "--format", "json")
    report = json.loads(out)
    assert report["target"] == "sample-asic"
    assert report["stages"][0]["cost_known"]["energy_pj"] > 0
    abcost(sample, tmp_path, "analyze", *NET, "-t", "sample-asic", "-t", "fpga-lut6", "-o", "report.tsv")
    rows = [line.split("\t") for line in (tmp_path / "report.tsv").read_text().splitlines()]
    assert rows[0] == ["model", "target", "stage", "operations", "count"]
    multiplied = {row[2]: int(row[4]) for row in rows if row[1] == "sample-asic" and row[3] == "multiply"}
    assert multiplied == {stage["name"]: stage["ops"]["multiply"] for stage in report["stages"]}


def test_handler_and_rule_are_in_the_graph(sample, tmp_path):
    """Three blocks shrink what they take and what they give by 1/16; two follow each other, and shrink once by 1/8."""
    out, _ = abcost(sample, tmp_path, "graph", *NET, "--stage", "traced", "--format", "json")
    calls = [node["attrs"] for node in json.loads(out)["nodes"] if node["kind"] == OpKind.FUNCTION.value]
    assert {kept["aten"] for kept in calls} == {"abcost_sample::shrink.default"}
    assert sorted(kept["args"][1] for kept in calls) == [1 / 16] * 4 + [1 / 8]


def test_verify_executes_the_operator_of_the_plugin(sample, tmp_path):
    out, _ = abcost(sample, tmp_path, "verify", *NET)
    assert "All exact rewrites are exact." in out


def test_train_and_evaluate_use_model_and_data(sample, tmp_path):
    small = ("--base-width", "4", "--epochs", "1", "--batch-size", "32", "--run-dir", "run")
    abcost(sample, tmp_path, "train", "sample_net", "--data", "sample_bars", *small)
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert (metrics["model"], metrics["data"]) == ("sample_net", "sample_bars")
    of = ("--checkpoint", "run/best.pt", "--data", "sample_bars", "--as", "fixed-point", "--format", "json")
    out, _ = abcost(sample, tmp_path, "evaluate", "sample_net", *of)
    assert json.loads(out)["images"] == 60  # a fifth of 300


def test_the_unit_is_priced_and_its_sweep_planned(sample, tmp_path):
    priced, _ = abcost(
        sample,
        tmp_path,
        "targets",
        "cost",
        "sample-asic",
        "sample_absolute",
        "--width",
        "10",
        "--format",
        "json",
    )
    assert json.loads(priced)["area_um2"] == 6 * 10
    asked = (
        "from abcost.calibrate.plan import plan; print(len(plan(['sample_absolute'], quick=True)[0].points))"
    )
    points, _ = call(sample, tmp_path, "-c", asked)
    assert int(points) == 12 + 4  # the widths of a quick sweep: to fit, and held out


def test_doctor_lists_what_each_entry_point_adds(sample, tmp_path):
    out, _ = abcost(sample, tmp_path, "doctor", "--format", "json")
    added = [finding for finding in json.loads(out)["findings"] if finding["area"] == "plug-ins"]
    assert {finding["name"] for finding in added} == {"abcost-sample 0.1: sample"}
    assert {finding["state"] for finding in added} == {"ok"}
    assert [finding["detail"] for finding in added] == [
        "models: sample_net",
        "handlers of operators: abcost_sample::shrink",
        "rewrite rules: sample-shrink-once",
        "report formats: tsv",
        "hardware units: sample_absolute",
        "targets: sample-asic",
        "data sets: sample_bars",
    ]


def test_a_broken_plugin_is_one_line_of_the_command_line(tmp_path):
    """All other targets are there; what it would have added says why it is not."""
    (tmp_path / "halves.py").write_text("import surely_not_there\n")
    metadata = tmp_path / "halves-2.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: halves\nVersion: 2\n")
    (metadata / "entry_points.txt").write_text("[abcost.targets]\nhalf = halves\n")
    why = (
        "plug-in halves 2, entry point half = halves of abcost.targets cannot be loaded: ModuleNotFoundError: "
        "No module named 'surely_not_there'; mend it or uninstall halves"
    )
    out, said = abcost(tmp_path, tmp_path, "targets", "show", "asic-45nm")
    assert "asic-45nm" in out
    assert said == f"warning: {why}\n"
    _, said = abcost(tmp_path, tmp_path, "targets", "show", "half", status=2)
    assert said.splitlines()[1].startswith("error: no target 'half'")
    assert why in said.splitlines()[1]
    out, _ = abcost(tmp_path, tmp_path, "doctor", "--format", "json", status=1)
    (finding,) = [f for f in json.loads(out)["findings"] if f["area"] == "plug-ins"]
    assert (finding["name"], finding["state"], finding["detail"]) == ("halves 2: half", "broken", why)
