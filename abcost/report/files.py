"""Reports in files: the suffix of the name says as what."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from abcost.core.writing import write_bytes
from abcost.errors import UsageError
from abcost.html.still import SUFFIXES as PICTURES
from abcost.html.still import still
from abcost.registry import unknown_name
from abcost.report.charts import all_charts
from abcost.report.format import FORMATS, View
from abcost.report.report import Report

TEXTS = {".json": "json", ".csv": "csv", ".html": "html", ".md": "md", ".tex": "tex", ".txt": "rich"}
"""Suffix -> format."""


def save(
    reports: Sequence[Report], path: Path, chart: str | None = None, size: tuple[float, float] | None = None
) -> None:
    """Write reports of one network; chart, size: see `picture`.

    Any other suffix is the name of a format that a plug-in has registered.
    Raises UsageError for another suffix, UnknownName for a chart that is not there, OutputError, MissingExtra.
    """
    suffix = path.suffix.lower()
    render = FORMATS.find(TEXTS.get(suffix, suffix.removeprefix(".")))
    if render is not None:
        text = render(reports, View(detail="full"))
        write_bytes(text.encode("utf-8", errors="replace"), path)
    elif suffix in PICTURES:
        write_bytes(picture(reports, suffix.removeprefix("."), chart, size), path)
    else:
        raise UsageError(f"{path}: name a file that ends in {', '.join([*TEXTS, *PICTURES])}")


def picture(
    reports: Sequence[Report],
    form: str,
    chart: str | None = None,
    size: tuple[float, float] | None = None,
) -> bytes:
    """The charts of their page, below each other. form: "svg", "png" or "pdf".

    chart: the one whose name begins so, such as "multiplications", "energy", "luts", "cycles" or "slope".
    size: width and height in inches, for print. Raises UnknownName, MissingExtra.
    """
    title = f"{reports[0].model} on {', '.join(report.table.target for report in reports)}"
    charts = all_charts(reports)
    chosen = charts if chart is None else [one for one in charts if one.identifier.startswith(chart)]
    if not chosen:
        raise unknown_name("chart", str(chart), {one.identifier.partition("-")[0] for one in charts})
    return still(chosen, title, form, size)
