"""`abcost reproduce`: the paper's tables next to ours."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from abcost.cli.options import Output, choice
from abcost.cli.output import check_writable, note, view, write
from abcost.errors import OutputError, UsageError

if TYPE_CHECKING:
    from abcost.reproduce import Reproduction

_FORMATS = ("rich", "md", "json")


def reproduce(
    output_format: Annotated[str | None, typer.Option("--format", help="rich (default), md or json.")] = None,
    output: Output = None,
    reports: Annotated[
        Path | None,
        typer.Option("--reports", help="Folder in which to regenerate all reference files instead."),
    ] = None,
) -> None:
    """Print the A&B BNN paper's tables next to ours, row by row."""
    chosen = choice("--format", output_format or "rich", _FORMATS)
    _check_destination(output_format, output, reports)
    import torch

    from abcost.reproduce import reference_files
    from abcost.reproduce import reproduce as compute

    torch.set_num_threads(1)  # the tensors are small: threads save nothing, and cost a lot on a busy machine
    found = compute(_progress)
    if reports is None:
        write(_render(found, chosen, output), output)
    else:
        for name, text in reference_files(found).items():
            write(text, reports / name)
    failures = found.failures()
    for failure in failures:
        note(f"does not come out: {failure}")
    if failures:
        raise typer.Exit(1)


def _check_destination(output_format: str | None, output: Path | None, reports: Path | None) -> None:
    """Refuse before the slow work. Raises UsageError or OutputError."""
    if reports is None:
        check_writable(output)
        return
    if output is not None or output_format is not None:
        raise UsageError("--reports writes files of fixed names and formats; leave --output and --format out")
    if not reports.is_dir():
        raise OutputError(f"--reports {reports}: there is no such folder; make it first")


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        note(text)


def _render(found: Reproduction, chosen: str, output: Path | None) -> str:
    from abcost.reproduce import render_json, render_markdown

    if chosen == "json":
        return render_json(found)
    return render_markdown(found) if chosen == "md" else _draw(found, output)


def _draw(found: Reproduction, output: Path | None) -> str:
    """The tables as text for the terminal."""
    from rich.console import Group, RenderableType
    from rich.text import Text

    from abcost.report.drawing import draw, grid
    from abcost.reproduce.tables import grids

    parts: list[RenderableType] = []
    for item in grids(found):
        table = grid(item.title, *item.columns, text_columns=item.text_columns)
        for row in item.rows:
            table.add_row(*row)
        parts += [table, *(Text(f"- {line}") for line in item.notes), Text("")]
    return draw(Group(*parts), view("block", output))
