"""Processes that run the Yosys of PyPI again and again, each for one thread at a time: see `abcost.synth.instance`."""

from __future__ import annotations

import atexit
import json
import subprocess
import sys
from pathlib import Path
from threading import Event, Timer

from abcost.errors import ToolError

OUTPUT, ERRORS = "stdout.txt", "stderr.txt"
"""Files of a run's folder in which it leaves what it says."""
_START = "from abcost.synth.instance import serve; serve()"
_ABOVE = Path(__file__).parents[2]  # the folder that has abcost; Python looks there for what -c imports

_idle: list[subprocess.Popen[str]] = []
_working: set[subprocess.Popen[str]] = set()


def run_instance(folder: Path, arguments: list[str], timeout: float) -> tuple[int, str]:
    """Exit status of a run in `folder`, and what it said.

    Raises TimeoutError after `timeout` seconds, ToolError where the process could not be started.
    """
    process, late = _taken(), Event()

    def end() -> None:
        late.set()
        process.kill()

    _working.add(process)
    watch = Timer(timeout, end)
    watch.start()
    try:
        status = _asked(process, json.dumps([str(folder.resolve()), arguments]))
    except BaseException:
        process.kill()
        raise
    finally:
        _working.discard(process)
        watch.cancel()
    if status is not None:
        _idle.append(process)
        return status, _said(folder)
    with process:  # it has ended: by the watch, by `end_working`, or by itself
        errors = process.stderr.read() if process.stderr else ""
    if late.is_set():
        raise TimeoutError
    return process.returncode, _said(folder) + errors


def end_working() -> None:
    """End those that run something."""
    for process in tuple(_working):
        process.terminate()


def end_idle() -> None:
    """End those that wait for work."""
    while _idle:
        with _idle.pop() as process:
            if process.stdin:
                process.stdin.close()


atexit.register(end_idle)


def _taken() -> subprocess.Popen[str]:
    try:
        return _idle.pop()
    except IndexError:
        pass
    try:
        return subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-c", _START],
            cwd=_ABOVE,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
    except OSError as error:
        raise ToolError(f"Yosys could not be started: {error}") from None


def _asked(process: subprocess.Popen[str], question: str) -> int | None:
    """The answer, None from a process that has ended."""
    if process.stdin is None or process.stdout is None:
        raise AssertionError("a process without pipes")
    try:
        process.stdin.write(f"{question}\n")
        process.stdin.flush()
        answer = process.stdout.readline()
    except OSError:
        return None
    return int(answer) if answer else None


def _said(folder: Path) -> str:
    """What a run wrote to its error output and its output."""
    found = ""
    for name in (ERRORS, OUTPUT):
        try:
            found += (folder / name).read_text(errors="replace")
        except OSError:
            continue
    return found
