"""Sweeps in files: the suffix of the name says as what."""

from __future__ import annotations

from pathlib import Path

from abcost.core.writing import write_bytes
from abcost.errors import UsageError
from abcost.html.still import SUFFIXES as PICTURES
from abcost.html.still import still
from abcost.report.format import View
from abcost.sweeping.chart import pareto
from abcost.sweeping.format import SWEEP_FORMATS
from abcost.sweeping.result import Sweep

TEXTS = {".csv": "csv", ".json": "json", ".html": "html", ".txt": "console"}
"""Suffix -> format."""


def save(found: Sweep, path: Path, size: tuple[float, float] | None = None) -> None:
    """Raises UsageError for another suffix, OutputError, MissingExtra."""
    suffix = path.suffix.lower()
    if suffix in TEXTS:
        text = SWEEP_FORMATS.get(TEXTS[suffix])(found, View())
        write_bytes(text.encode("utf-8", errors="replace"), path)
    elif suffix in PICTURES:
        write_bytes(picture(found, suffix.removeprefix("."), size), path)
    else:
        raise UsageError(f"{path}: name a file that ends in {', '.join([*TEXTS, *PICTURES])}")


def picture(found: Sweep, form: str, size: tuple[float, float] | None = None) -> bytes:
    """The chart. form: "svg", "png" or "pdf". size: width and height in inches, for print. Raises MissingExtra."""
    title = ", ".join(dict.fromkeys(row.model.partition(",")[0] for row in found.rows))
    return still([pareto(found.rows, found.front, found.axes)], title, form, size)
