"""Where results go and what is read: no result on top of another, or of an input of the same command."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import typer

from abcost.cli.output import check_writable
from abcost.core.reading import same_file
from abcost.errors import UsageError


def check_places(outputs: Mapping[str, Path | None], inputs: Iterable[str | Path | None] = ()) -> None:
    """Refuse bad places for results before the slow work.

    outputs: option -> the file it names.  inputs: files that the command reads, or models, targets and devices, which
    may be files.  Raises OutputError as `check_writable`; UsageError for two results in one file, and for a result
    that would take the place of an input.
    """
    seen: list[tuple[str, Path]] = []
    read = [file for text in inputs if text is not None and (file := _file_of(text)) is not None]
    for option, path in outputs.items():
        if path is None:
            continue
        check_writable(path, option)
        for other, place in seen:
            if same_file(path, place) and not _endless(path):
                raise UsageError(f"{other} and {option} name one file, {path}: name two")
        for file in read:
            if same_file(path, file):
                raise UsageError(
                    f"{option} {path} would take the place of {file}, which this command reads: name another file"
                )
        seen.append((option, path))


def _endless(path: Path) -> bool:
    """Whether it is no file, such as /dev/null, which takes any number of results."""
    return path.exists() and not path.is_file()


def _file_of(text: str | Path) -> Path | None:
    """The file that a model, target, device or path names; None for a name."""
    if isinstance(text, Path):
        return text
    where, colon, _ = text.rpartition(":")
    name = where if colon and where.endswith(".py") else text
    return Path(name) if Path(name).suffix else None


def named_folder(text: str) -> Path:
    """The path of a folder option. Raises typer.BadParameter for none: Python takes "" for the working folder."""
    if not text.strip():
        raise typer.BadParameter("name a folder; . is the one you are in")
    return Path(text)
