"""A sign of life on a terminal while a command works longer than a second."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from typing import IO, Self

_TURN_S = 0.1
_MARKS = "|/-\\"
_CLEAR = "\r\x1b[K"


class Waiting:
    """From the first second on, a mark that turns, what is done and for how long; nothing where nobody looks.

    stream: stderr unless another is given; only a terminal is written to. after_s: seconds of silence.
    """

    def __init__(self, what: str, stream: IO[str] | None = None, after_s: float = 1.0) -> None:
        self._what, self._after_s = what, after_s
        self._stream = sys.stderr if stream is None else stream
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._turn, daemon=True)
        self._shows = False

    def __enter__(self) -> Self:
        if self._stream.isatty():
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Take it away, before results are written; again does nothing."""
        self._done.set()
        if self._thread.is_alive():
            self._thread.join()
        if self._shows:
            self._shows = False
            self._write(_CLEAR)

    def _turn(self) -> None:
        begun, turns = time.monotonic(), 0
        wait = self._after_s
        while not self._done.wait(wait):
            seconds = time.monotonic() - begun
            self._shows = True
            self._write(f"{_CLEAR}{_MARKS[turns % len(_MARKS)]} {self._what} {seconds:.0f} s")
            turns, wait = turns + 1, _TURN_S

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # a terminal that is gone
            self._stream.write(text)
            self._stream.flush()
