"""`abcost verify`: run every stage next to the one before."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from abcost.cli import options
from abcost.cli.network import NOTHING, Asked, takes_network
from abcost.cli.output import note, quiet, view, write
from abcost.cli.places import check_places
from abcost.cli.waiting import Waiting

if TYPE_CHECKING:
    from rich.table import Table

    from abcost.verifying import Verification


@takes_network()
def verify(
    model: options.Model,
    network: Asked = NOTHING,
    weight_scale: options.WeightScale = "exact",
    constant_multiply: options.ConstantMultiply = "keep",
    fraction_bits: options.FractionBits = 12,
    output_format: Annotated[str, typer.Option("--format", help="rich or json.")] = "rich",
    output: options.Output = None,
) -> None:
    """Execute every stage next to the one before, in floating and in fixed point; exit 1 if an exact rewrite was not.

    Untrained zoo networks get random parameters first, so that no bias is zero and slopes differ.
    """
    check_places({"--output": output}, [model, network.checkpoint])
    from abcost.models.subject import resolve
    from abcost.pipeline import verify_subject

    chosen = options.choice("--format", output_format, ("rich", "json"))
    rewriting = options.rewriting(weight_scale, constant_multiply, fraction_bits)
    asked = network.request(model)
    note(f"verifying {model}: every stage is executed several times, in float64 …")
    with quiet(), Waiting("executing"):
        found = verify_subject(resolve(asked), rewriting, owned=True)
    if chosen == "json":
        write(json.dumps({"schema": 1, "model": model, **found.to_dict()}, indent=2) + "\n", output)
    else:
        from rich.console import Group
        from rich.text import Text

        from abcost.report.drawing import draw

        parts = [_table(model, found), *([_changes(found)] if found.changes else [])]
        summary = Text(found.summary())
        write(draw(Group(*parts, summary), view("block", output)), output)
    if not found.holds:
        raise typer.Exit(1)


def _table(model: str, found: Verification) -> Table:
    from abcost.report.drawing import grid

    columns = ("stage", "arithmetic", "inputs", "largest error", "at output", "where", "verdict")
    table = grid(f"{model}: every stage next to the one before", *columns, text_columns=3)
    table.columns[5].justify = table.columns[6].justify = "left"
    for c in found.comparisons:
        verdict = ("holds" if c.holds else "FAILED") if c.promised else "lossy"
        errors = (f"{c.error:.3g}", f"{c.output_error:.3g}")
        table.add_row(c.after, c.arithmetic, c.inputs, *errors, c.where if c.error else "", verdict)
    return table


def _changes(found: Verification) -> Table:
    """Constants that were rounded: what each rule cost, over all layers, and the layer where it cost most."""
    from abcost.report.drawing import grid

    table = grid("Constants that were rounded", "rule", "layers", "largest error", "of what", "worst layer")
    table.columns[3].justify = table.columns[4].justify = "left"
    for rule, unit in dict.fromkeys((e.rule, e.error_unit) for e in found.changes):
        entries = [e for e in found.changes if (e.rule, e.error_unit) == (rule, unit)]
        worst = max(entries, key=lambda e: e.error or 0.0)
        table.add_row(rule, str(len(entries)), f"{worst.error:.3g}", unit, worst.layer)
    return table
