"""`abcost models`: the zoo."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from abcost.cli import options
from abcost.cli.output import view, write


def models(
    variant: Annotated[str, typer.Option(help="ab, bn-free or bn.")] = "ab",
    preset: options.Preset = "imagenet",
    output_format: Annotated[str, typer.Option("--format", help="rich or json.")] = "rich",
) -> None:
    """List the networks of the zoo with their trainable parameters."""
    from abcost.models import catalogue
    from abcost.models import preset as preset_of

    chosen_format = options.choice("--format", output_format, ("rich", "json"))
    chosen = preset_of(preset)
    entries = catalogue(variant=variant, stem=chosen.stem, num_classes=chosen.num_classes)
    if chosen_format == "json":
        rows = [{"name": e.name, "parameters": e.parameters, "description": e.description} for e in entries]
        write(
            json.dumps({"schema": 1, "variant": variant, "preset": preset, "models": rows}, indent=2) + "\n",
            None,
        )
        return
    from abcost.report.drawing import draw, grid

    table = grid(f"Zoo, variant {variant}, preset {preset}", "model", "parameters", "what it is")
    table.columns[2].justify = "left"
    for entry in entries:
        table.add_row(entry.name, f"{entry.parameters:,}", entry.description)
    write(draw(table, view("block", None)), None)
