"""Where results go: stdout, or a file that is written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
from pathlib import Path

from abcost.core.writing import write_bytes
from abcost.errors import OutputError, UsageError
from abcost.report.format import By, View


def view(by: By, output: Path | None) -> View:
    """Width and colour of what the text is written to; files and pipes get 100 columns and no colour.

    COLUMNS sets the width, NO_COLOR (https://no-color.org) switches colour off.
    """
    terminal = output is None and sys.stdout.isatty()
    width = shutil.get_terminal_size((100, 24)).columns if terminal or "COLUMNS" in os.environ else 100
    return View(by=by, width=max(width, 40), colour=terminal and not os.environ.get("NO_COLOR"))


BY_SUFFIX = {".json": "json", ".csv": "csv", ".html": "html", ".md": "md", ".tex": "tex"}
"""Ending of a file -> format of who does not say --format."""


def format_of(asked: str | None, output: Path | None, terminal: str = "rich") -> str:
    """The format: as asked, else as the file is called, else of the terminal: rich or console, which are one."""
    found = asked or BY_SUFFIX.get("" if output is None else output.suffix.lower(), terminal)
    return terminal if found in ("rich", "console") else found


def inches_of(text: str) -> tuple[float, float]:
    """`--size 3.5x2.5` as width and height. Raises UsageError for what is no size of a picture."""
    match = re.fullmatch(r"(\d{1,2}(?:\.\d+)?)x(\d{1,2}(?:\.\d+)?)", text)
    if match is None or not (width := float(match[1])) or not (height := float(match[2])):
        raise UsageError(
            f"--size {text[:40]!r} is not of the form 3.5x2.5: width and height in inches, below 100"
        )
    return width, height


def report_format_of(asked: str | None, output: Path | None) -> str:
    """The same of reports, where a plug-in's format is the ending of its name: NAME.markdown of `markdown`."""
    suffix = "" if output is None else output.suffix.lower()
    if asked or suffix in {"", ".txt", *BY_SUFFIX}:
        return format_of(asked, output)
    from abcost.report.format import FORMATS

    ending = suffix.removeprefix(".")
    return "rich" if FORMATS.find(ending) is None else ending


def check_writable(path: Path | None, option: str = "--output") -> None:
    """Refuse a bad place for a result before the slow work. Raises OutputError."""
    if path is None:
        return
    if _is_folder(path):
        raise OutputError(f"{option} {path} is a folder; name a file in it")
    folder = path.parent
    if not _is_folder(folder):
        raise OutputError(f"{option} {path}: there is no folder {folder}; make it first")
    if not os.access(folder, os.W_OK):
        raise OutputError(f"{option} {path}: the folder {folder} cannot be written")


def _is_folder(path: Path) -> bool:
    """Raises OutputError for what is no path at all."""
    try:
        return path.is_dir()
    except (OSError, ValueError) as error:  # a name too long; a NUL in it
        raise OutputError(f"cannot write {path}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)


def write(text: str, path: Path | None) -> None:
    """Write to stdout, or to `path` as `write_bytes` does. Raises OutputError."""
    if path is None:
        try:
            sys.stdout.write(text)
            sys.stdout.flush()
        except BrokenPipeError:
            raise  # the reader has seen enough, which is no error
        except OSError as error:
            raise OutputError(
                f"cannot write to stdout: {_reason(error)}; redirect it to a place that can be written"
            ) from error
        return
    write_bytes(text.encode("utf-8", errors="replace"), path)


def quiet() -> contextlib.AbstractContextManager[object]:
    """While the user's model runs: what it prints goes to stderr, for stdout is data."""
    return contextlib.redirect_stdout(sys.stderr)


def note(text: str) -> None:
    """A line for people on stderr; data never goes there."""
    with contextlib.suppress(OSError):  # stderr is full or closed: what matters is the result
        print(text, file=sys.stderr)  # noqa: T201 - stderr is where notes belong
