"""Workers as processes of this machine."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time

from abcost.errors import SearchError
from abcost.searching.executors.executor import EXECUTORS, WorkerSpec

_SAVE_S = 30  # what a worker that is asked to stop may take to save
_DEATHS = 5  # per worker: whoever dies more often will die again


class Processes:
    """See `Executor`."""

    def __init__(self, crew: WorkerSpec) -> None:
        self._crew = crew
        self._deaths = 0
        self._salt = int(time.time())  # another in every run, so that a resumed search proposes anew
        self._running = [self._start() for _ in range(crew.workers)]

    def check(self) -> None:
        """Replace those that were killed. Raises SearchError with what one that gave up says."""
        for i, process in enumerate(self._running):
            status = process.poll()
            if status is None or status == 0:
                continue
            if status > 0:
                said = process.stderr.read() if process.stderr else ""
                lines = [line for line in said.splitlines() if line.strip()]
                message = (lines or ["no reason given"])[-1].removeprefix("error: ")
                raise SearchError(f"a worker gave up: {message}")
            self._deaths += 1
            if self._deaths > _DEATHS * self._crew.workers:
                raise SearchError(
                    f"workers were killed {self._deaths} times (signal {-status}), as for lack of memory: "
                    "take fewer --workers; the same command continues"
                )
            self._running[i] = self._start()

    def stop(self) -> None:
        """Ask all to save and stop."""
        for process in self._running:
            if process.poll() is None:
                process.terminate()
        for process in self._running:
            try:
                process.wait(timeout=_SAVE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stderr:
                process.stderr.close()

    def _start(self) -> subprocess.Popen[str]:
        self._salt += 1
        asked = {
            "url": self._crew.url,
            "study": self._crew.study,
            "folder": self._crew.folder,
            "salt": self._salt,
            "parent": os.getpid(),
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "abcost.searching.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            start_new_session=True,  # Ctrl-C reaches the main process alone, which asks the workers
        )
        if process.stdin is None:
            raise SearchError("a worker could not be started")
        with contextlib.suppress(BrokenPipeError):  # it is dead already, which `check` finds
            process.stdin.write(json.dumps(asked) + "\n")  # not an argument: a URL may hold a password
            process.stdin.close()
        return process


EXECUTORS.add("processes")(Processes)
