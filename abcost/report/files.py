"""Reports in files: the suffix of the name says as what."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from abcost.core.writing import write_bytes
from abcost.errors import UsageError
from abcost.html.still import SUFFIXES as PICTURES
from abcost.html.still import still
from abcost.report.charts import all_charts
from abcost.report.format import FORMATS, View
from abcost.report.report import Report

TEXTS = {".json": "json", ".csv": "csv", ".html": "html", ".txt": "rich"}
"""Suffix -> format."""


def save(reports: Sequence[Report], path: Path) -> None:
    """Write reports of one network. Raises UsageError for another suffix, OutputError, MissingExtra."""
    suffix = path.suffix.lower()
    if suffix in TEXTS:
        text = FORMATS.get(TEXTS[suffix])(reports, View(detail="full"))
        write_bytes(text.encode("utf-8", errors="replace"), path)
    elif suffix in PICTURES:
        write_bytes(picture(reports, suffix.removeprefix(".")), path)
    else:
        raise UsageError(f"{path}: name a file that ends in {', '.join([*TEXTS, *PICTURES])}")


def picture(reports: Sequence[Report], form: str) -> bytes:
    """The charts of their page, below each other. form: "svg", "png" or "pdf". Raises MissingExtra."""
    title = f"{reports[0].model} on {', '.join(report.table.target for report in reports)}"
    return still(all_charts(reports), title, form)
