"""Installing what is published: the sdist builds the wheel, the wheel runs in an environment of its own."""

from __future__ import annotations

import json
import os
import site
import subprocess
import sys
import tarfile
import venv
from pathlib import Path

import pytest

import abcost

ROOT = Path(abcost.__file__).resolve().parents[1]
SMALL = ("reactnet_18", "--preset", "digits", "--base-width", "4", "--blocks", "1")

pytestmark = pytest.mark.skipif(not (ROOT / "pyproject.toml").is_file(), reason="needs the checkout")


def call(*command, cwd, **environment):
    done = subprocess.run(  # noqa: S603 - our own commands
        list(map(str, command)),
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def sdist(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sdist")
    call(sys.executable, "-m", "build", "--sdist", "--no-isolation", "--outdir", folder, ROOT, cwd=folder)
    (archive,) = folder.glob("*.tar.gz")
    return archive


@pytest.fixture(scope="module")
def installed(sdist, tmp_path_factory):
    """The commands of an environment that holds the wheel built from the sdist; other packages are shared."""
    folder = tmp_path_factory.mktemp("installed")
    pip = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index", "--no-build-isolation")
    call(*pip, "--wheel-dir", folder / "dist", sdist, cwd=folder)
    (wheel,) = (folder / "dist").glob("*.whl")
    venv.create(folder / "env", with_pip=True)
    scripts = folder / "env" / "bin"
    call(scripts / "python", "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel, cwd=folder)
    (libraries,) = (folder / "env" / "lib").glob("python*/site-packages")
    # a path file comes after the environment's own packages: abcost is the installed one, all else is shared
    (libraries / "shared.pth").write_text("\n".join(site.getsitepackages()) + "\n")
    return scripts


def test_sdist_holds_what_its_tests_need(sdist):
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    needed = [
        "pyproject.toml",
        "Makefile",
        "constraints.txt",
        "LICENSE",
        "README.md",
        "abcost/__init__.py",
        "tests/conftest.py",
    ]
    needed += [
        "benchmarks/fuzz.py",
        "cost_models/fpga-lut6.toml",
        "docs/index.md",
        "mkdocs.yml",
        "reports/peers.md",
    ]
    assert set(needed) <= names
    assert not [name for name in names if name.startswith((".git/", ".venv", "runs/", ".ci"))]


def test_installed_command_analyses(installed, tmp_path):
    where = call(installed / "python", "-c", "import abcost; print(abcost.__file__)", cwd=tmp_path)
    assert Path(where.strip()).is_relative_to(installed.parent)
    report = json.loads(
        call(installed / "abcost", "analyze", *SMALL, "-t", "fpga-lut6", "--format", "json", cwd=tmp_path)
    )
    assert report["stages"][-1]["cost"]["luts"] > 0


def test_installed_command_writes_a_page(installed, tmp_path):
    """Templates are part of the wheel."""
    call(
        installed / "abcost",
        "analyze",
        *SMALL,
        "-t",
        "fpga-lut6",
        "--format",
        "html",
        "-o",
        "page.html",
        cwd=tmp_path,
    )
    assert "</html>" in (tmp_path / "page.html").read_text()


def test_doctor_is_content_with_the_installation(installed, tmp_path):
    answer = json.loads(call(installed / "abcost", "doctor", "--format", "json", cwd=tmp_path))
    assert answer["healthy"] is True
    found = {(finding["area"], finding["name"]): finding for finding in answer["findings"]}
    assert str(installed.parent) in found["abcost", "abcost"]["detail"]
    assert str(installed.parent) in found["files", "cost tables"]["detail"]


def test_completion_of_the_shell(installed, tmp_path):
    """It is written for the shell that asks."""
    said = call("/bin/bash", "-c", f"{installed / 'abcost'} --show-completion; exit $?", cwd=tmp_path)
    assert "complete -o default -F _abcost_completion abcost" in said
    assert "_ABCOST_COMPLETE=complete_bash" in said


def test_completion_completes(installed, tmp_path):
    """What bash asks when the user presses Tab behind `abcost ana`."""
    asked = {"_ABCOST_COMPLETE": "complete_bash", "COMP_WORDS": "abcost ana", "COMP_CWORD": "1"}
    assert call(installed / "abcost", cwd=tmp_path, **asked).split() == ["analyze"]
