"""A sign of life after a while, on terminals alone, and gone before a result is written."""

from __future__ import annotations

import io
import threading

import pytest

from abcost.cli.waiting import Waiting


class Screen(io.StringIO):
    """A terminal, or not, that tells when it is written to."""

    def __init__(self, *, terminal=True):
        super().__init__()
        self.terminal, self.written = terminal, threading.Event()

    def isatty(self):
        return self.terminal

    def write(self, text):
        super().write(text)
        self.written.set()
        return len(text)


def test_it_says_what_is_done_and_goes_away():
    screen = Screen()
    with Waiting("analyzing", screen, after_s=0.0) as waiting:
        assert screen.written.wait(60)
        waiting.stop()
        shown = screen.getvalue()
        waiting.stop()
    assert screen.getvalue() == shown  # once
    assert "| analyzing 0 s" in shown
    assert shown.endswith("\r\x1b[K")


def test_it_goes_away_when_the_work_fails():
    screen = Screen()
    with pytest.raises(ValueError, match="broken"), Waiting("analyzing", screen, after_s=0.0):  # noqa: PT012 - waits first
        assert screen.written.wait(60)
        raise ValueError("broken")
    assert screen.getvalue().endswith("\r\x1b[K")
    assert threading.active_count() == 1 or all("turn" not in t.name for t in threading.enumerate())


def test_short_work_and_files_see_nothing_of_it():
    quick, file = Screen(), Screen(terminal=False)
    with Waiting("analyzing", quick, after_s=3600), Waiting("analyzing", file, after_s=0.0):
        pass
    assert quick.getvalue() == file.getvalue() == ""


def test_a_terminal_that_is_gone_is_no_error():
    screen = Screen()
    with Waiting("analyzing", screen, after_s=0.0):
        assert screen.written.wait(60)
        screen.close()
