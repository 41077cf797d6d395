"""Commands of abcost in processes of their own that need not load their libraries: see server.py.

For tests that are about what a command does. Those about processes, such as signals, memory, and what is loaded when,
start Python itself.
"""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from filelock import FileLock

HERE = Path(__file__).parent
CLIENT = [sys.executable, "-I", "-S", str(HERE / "client.py")]
ABCOST = [*CLIENT, "-c", "from abcost.cli import main; main()"]

SHIMS = {
    "abcost": f'exec {shlex.join(ABCOST)} "$@"',
    "python": f"""case "$1" in
        -c | -m | *.py) exec {shlex.join(CLIENT)} "$@" ;;
        *) exec {shlex.quote(sys.executable)} "$@" ;;
    esac""",
}
"""Programs of a shell: how they start."""


@cache
def folder() -> Path:
    """Where the server and the shims are: one server for all processes of a test run, which ends with that."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID")
    owner = os.getppid() if run else os.getpid()
    place = Path(tempfile.gettempdir()) / f"abcost-warm-{run or owner}"
    place.mkdir(mode=0o700, exist_ok=True)
    with FileLock(place / "lock"):
        if not answers(place / "server"):
            (place / "server").unlink(missing_ok=True)  # of a server that was killed
            for name, program in SHIMS.items():
                (place / name).write_text(f"#!/bin/sh\n{program}\n")
                (place / name).chmod(0o755)
            with (place / "log").open("w") as log:  # not a pipe, which would stay open
                command = [sys.executable, str(HERE / "server.py"), str(place), str(owner)]
                done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False)  # noqa: S603
            assert done.returncode == 0, (place / "log").read_text()
    return place


def answers(server: Path) -> bool:
    """Whether it is there and can be asked."""
    with socket.socket(socket.AF_UNIX) as asked:
        return asked.connect_ex(str(server)) == 0


def environment() -> dict[str, str]:
    """What a process needs to find the server, and to take the shims `abcost` and `python` for the programs."""
    place = folder()
    path = os.pathsep.join([str(place), str(Path(sys.executable).parent), os.environ["PATH"]])
    return {**os.environ, "WARM": str(place / "server"), "PATH": path}
