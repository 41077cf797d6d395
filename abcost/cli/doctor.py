"""`abcost doctor`: what works on this machine."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from abcost.cli import options
from abcost.cli.output import view, write


def doctor(output_format: Annotated[str, typer.Option("--format", help="rich or json.")] = "rich") -> None:
    """Print versions, plug-ins, devices, tools and tables found, and how to get what is absent.

    Exit status 1 if something that every command needs, or a plug-in, is broken.
    """
    chosen = options.choice("--format", output_format, ("rich", "json"))
    from abcost.doctor import examine

    findings = examine()
    healthy = all(finding.state != "broken" for finding in findings)
    if chosen == "json":
        answer = {"schema": 1, "healthy": healthy, "findings": [asdict(finding) for finding in findings]}
        write(json.dumps(answer, indent=2) + "\n", None)
    else:
        from abcost.report.drawing import draw, grid

        table = grid(
            "abcost on this machine", "of", "what", "state", "version, or what to do", text_columns=4
        )
        for finding in findings:
            table.add_row(finding.area, finding.name, finding.state, finding.detail)
        write(draw(table, view("block", None)), None)
    if not healthy:
        raise typer.Exit(1)
