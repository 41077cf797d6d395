"""A run folder is one search's: search.json says which, and is written before anything else."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from abcost.core.reading import read_json
from abcost.errors import AbcostError, CheckpointError, SearchError
from abcost.searching.settings import SCHEMA, Settings
from abcost.training.files import write_json
from abcost.training.ownership import SEARCH, SEARCHED, check_owner

_MOST_BYTES = 100_000_000


def check_folder(settings: Settings, study: str, init: Path | None, folder: Path) -> None:
    """Raise unless the folder is new, or that of this very search; write nothing.

    settings: what is searched; `trials` may be others than before. init: the checkpoint given to start from.

    Raises UsageError if the folder is another command's or holds files that would be written over, SearchError if it
    is that of another search, or search.json is damaged.
    """
    check_owner(folder, "search", SEARCHED)
    file = folder / SEARCH
    if not file.exists():
        return  # new, or of a version without search.json: there the study says what is searched
    held = read_json(file, str(file), SearchError, most=_MOST_BYTES)
    if not isinstance(held, dict) or not isinstance(held.get("settings"), dict):
        raise SearchError(f"{file} is damaged: name another --run-dir")
    where = f"--run-dir {folder}"
    settings.check_same(replace(Settings.from_dict(held["settings"], str(file)), start=settings.start), where)
    for name, theirs, mine in (
        ("--study", held.get("study"), study),
        ("--init with SHA-256", held.get("init"), digest(init)),
    ):
        if theirs != mine:
            raise SearchError(
                f"{where} is a search with {name} {theirs or 'none'}, not {mine or 'none'}: repeat its options, "
                "or name another --run-dir"
            )


def held_group(folder: Path) -> int | None:
    """How many retrainings stand side by side in the search of a folder; None if it holds none, or a damaged one."""
    try:
        held = read_json(folder / SEARCH, str(folder / SEARCH), SearchError, most=_MOST_BYTES)
        return Settings.from_dict(held["settings"], str(folder / SEARCH)).group
    except (AbcostError, LookupError, TypeError, AttributeError):
        return None  # which `check_folder` says


def write_claim(settings: Settings, study: str, init: Path | None, folder: Path) -> None:
    """Say whose the folder is. Raises OutputError."""
    content = {"schema": SCHEMA, "command": "search", "study": study, "init": digest(init)}
    write_json(folder / SEARCH, {**content, "settings": settings.to_dict()})


def digest(file: Path | None) -> str | None:
    """SHA-256 of a file, None for none. Raises CheckpointError if it cannot be read."""
    if file is None:
        return None
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise CheckpointError(
            f"cannot read checkpoint {str(file)!r}: {error.strerror or error}; check the path"
        ) from error
