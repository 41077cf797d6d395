"""Found by every Python process that has this folder in PYTHONPATH: lets workers of a search die as a kill would.

DYING_FOLDER/kill-N, a file: the worker that takes it dies after so many calls as stand in it, counted from where it
takes its first trial; after 0 calls, before it has read what it is asked. A file that is taken becomes died-N. So
that exactly as many workers die as there are files, however fast the machine is.
"""

import itertools
import os
import signal
import sys
from pathlib import Path


def die(taken):
    taken.rename(taken.with_name(taken.name.replace("taken", "died")))
    os.kill(os.getpid(), signal.SIGKILL)


def take(folder):
    """A file that no other process has taken, or None."""
    for file in sorted(folder.glob("kill-*")):
        taken = file.with_name(file.name.replace("kill", "taken"))
        try:
            file.rename(taken)
        except FileNotFoundError:
            continue  # another one was faster
        return taken
    return None


class Asked:
    """The stdin of a worker: calls are looked at from its first line on, when libraries, slow to load so, are there."""

    def __init__(self, stdin, look):
        self._stdin, self._look = stdin, look

    def __getattr__(self, name):
        return getattr(self._stdin, name)

    def readline(self):
        line = self._stdin.readline()
        sys.setprofile(self._look)
        return line


def count_down(taken, calls):
    """SIGKILL after so many calls from the first one of `work` in worker.py."""
    counter = itertools.count()

    def count(*_):
        if next(counter) == calls:
            die(taken)

    def wait(frame, event, _):
        code = frame.f_code
        if event == "call" and code.co_name == "work" and code.co_filename.endswith("worker.py"):
            sys.setprofile(count)

    sys.stdin = Asked(sys.stdin, wait)


if "abcost.searching.worker" in sys.orig_argv and "DYING_FOLDER" in os.environ:
    mine = take(Path(os.environ["DYING_FOLDER"]))
    if mine is not None:
        limit = int(mine.read_text())
        if limit == 0:
            die(mine)
        count_down(mine, limit)
