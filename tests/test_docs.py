"""Documentation: every command in it runs, every file that it shows works, and the site builds without a warning."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import warm
from shortened import environment_of, forms

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
SHOWN_ONLY = {"text"}  # needs another machine, a database, hours or a cell library; or is no command


@dataclass(frozen=True)
class Block:
    language: str
    file: str | None  # what the page asks to save it as
    text: str


def blocks(page):
    return [Block(*match.groups()) for match in BLOCK.finditer(page.read_text())]


def pages():
    return [page for page in sorted(DOCS.rglob("*.md")) if blocks(page)]


def run_in(folder, command, **environment):
    environment |= warm.environment() | {"STUDY_URL": "sqlite:///study.db", "COLUMNS": "100"}
    done = subprocess.run(  # noqa: S603
        ["/bin/bash", "-euo", "pipefail", "-c", command],
        check=False,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=3600,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    assert "Traceback" not in done.stderr


def name_of(page):
    return str(page.relative_to(DOCS))


@pytest.mark.parametrize(("page", "form"), forms(pages(), name_of, read=Path.read_text))
def test_every_block_of_a_page_runs(page, form, tmp_path):
    """From top to bottom, in one folder."""
    for block in blocks(page):
        if block.language in SHOWN_ONLY:
            continue
        if block.file is not None:
            (tmp_path / block.file).write_text(form(block.text))
        elif block.language == "sh":
            run_in(tmp_path, form(block.text), **environment_of(form))
        else:
            assert block.language == "python", f"{page}: what is a block of {block.language}?"
            (tmp_path / "block.py").write_text(form(block.text))
            run_in(tmp_path, "python block.py", **environment_of(form))


def test_blocks_that_are_not_run_are_few():
    """`text` is for what cannot run here; a page of such blocks alone would be tested by nobody."""
    skipped = [block for page in pages() for block in blocks(page) if block.language in SHOWN_ONLY]
    assert len(skipped) <= 10
    assert all(
        any(b.language not in SHOWN_ONLY for b in blocks(page))
        for page in pages()
        if page.name != "method.md"
    )


def test_the_site_builds_without_a_warning(tmp_path):
    """Strict: a page that is in no menu, a dead link, or a docstring that does not parse fails."""
    if shutil.which("mkdocs", path=str(Path(sys.executable).parent)) is None:
        pytest.skip("mkdocs is not installed: pip install 'abcost[docs]'")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    quiet = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}  # the theme's news about other products
    done = subprocess.run(  # noqa: S603
        command, check=False, cwd=ROOT, env=quiet, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    for page, text in {
        "index.html": "abcost in five minutes",
        "reference/commands/index.html": "--constant-multiply",
        "reference/python/index.html": "UsageError",
        "peers/index.html": "FlopCounterMode",
        "method/index.html": "480 blocks",
    }.items():
        assert text in (tmp_path / "site" / page).read_text(), page


EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


@pytest.mark.parametrize(("script", "form"), forms(EXAMPLES, lambda script: script.name, read=Path.read_text))
def test_examples_run(script, form, tmp_path):
    (tmp_path / script.name).write_text(form(script.read_text()))
    run_in(tmp_path, f"python {script.name}", **environment_of(form))
