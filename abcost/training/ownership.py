"""Whose a run folder is: it belongs to the command, and to the settings, that made it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from abcost.errors import UsageError
from abcost.training.context import BEST, BOARD, CONFIG, CONFUSION, LAST, LOG, METRICS

SEARCH = "search.json"  # what a search writes first
TRAINED = (BEST, LAST, LOG, METRICS, CONFUSION, BOARD, "step1", "step2")
"""What a training leaves beside config.json, which it writes first."""
SEARCHED = (
    BEST, "front.csv", "trials.csv", "front.json", "front.svg", "front.png", "front.html", "slopes", "trials", "finals",
)  # fmt: skip
"""What a search leaves beside search.json."""
_SIGNS = {"train": (CONFIG,), "search": (SEARCH, "study.db", "start.pt")}
"""Command -> what shows that a folder is its; earlier searches wrote no search.json."""


def owner_of(folder: Path) -> str | None:
    """The command whose run the folder holds: "train", "search", or None."""
    for command, signs in _SIGNS.items():
        if any((folder / sign).exists() for sign in signs):
            return command
    return None


def check_owner(folder: Path, command: str, names: Iterable[str], option: str = "--run-dir") -> None:
    """Raise UsageError if the folder holds another command's run, or files that `command` would write over.

    names: of those files. A folder that already is this command's passes: whether the settings are the same is for
    the caller to say.
    """
    owner = owner_of(folder)
    if owner == command:
        return
    if owner is not None:
        raise UsageError(
            f"{option} {folder} holds the run of abcost {owner}, which abcost {command} would damage: "
            "name another folder"
        )
    there = [name for name in names if (folder / name).exists()]
    if there:
        raise UsageError(
            f"{option} {folder} holds {', '.join(there[:3])}, which abcost {command} did not write there and would "
            "write over: name another folder, or move them away"
        )
