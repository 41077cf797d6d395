"""`abcost graph`: the op graph of a stage, for other programs, or as a picture before and after."""

from __future__ import annotations

from typing import Annotated

import typer

from abcost.cli import options
from abcost.cli.given import given, refuse
from abcost.cli.network import NOTHING, Asked, takes_network
from abcost.cli.output import note, quiet, write
from abcost.cli.places import check_places
from abcost.cli.waiting import Waiting
from abcost.registry import unknown_name


@takes_network()
def graph(
    context: typer.Context,
    model: options.Model,
    output_format: Annotated[
        str,
        typer.Option(
            "--format", help="json, dot or graphml; svg or html: a picture, traced next to --stage."
        ),
    ] = "json",
    stage: Annotated[
        str | None,
        typer.Option(
            help="traced (default), mask_removed, rprelu_quantized or add_and_bit (default of pictures)."
        ),
    ] = None,
    width: Annotated[int, typer.Option(help="Bits of a real element, for counts in pictures.")] = 16,
    constants: Annotated[
        bool, typer.Option(help="Values of weights in the JSON; without, it cannot be executed.")
    ] = True,
    network: Asked = NOTHING,
    output: options.Output = None,
) -> None:
    """Write the op graph of a network at one stage."""
    check_places({"--output": output}, [model, network.checkpoint])
    busy = context.with_resource(Waiting(f"tracing {model}"))
    from abcost.models.subject import resolve
    from abcost.pipeline import STAGES, check_width, stage_graphs
    from abcost.report.graph import GRAPH_FORMATS
    from abcost.report.pictures import PICTURES, Drawn
    from abcost.rewrite import RewriteOptions

    picture, render = PICTURES.find(output_format), GRAPH_FORMATS.find(output_format)
    if output_format != "json":
        refuse(given(context), ["constants"], f"with --format {output_format}, which holds no values")
    if render and not picture:
        refuse(given(context), ["width"], f"with --format {output_format}, which shows no counts")
    if not picture and not render:
        raise unknown_name("graph format", output_format, [*GRAPH_FORMATS.names(), *PICTURES.names()])
    check_width(width)
    names = [name for name, _ in STAGES]
    name = options.choice("--stage", stage or names[-1 if picture else 0], names)
    asked = network.request(model)
    with quiet():
        subject = resolve(asked)
        staged = stage_graphs(subject.model, subject.inputs, RewriteOptions())
    busy.stop()
    chosen = next(s for s in staged.stages if s.name == name)
    if picture:
        before = staged.stages[0]
        drawn = Drawn(f"{model}: op graph", before.graph, chosen.graph, (before.name, chosen.name), width)
        write(picture(drawn), output)
    elif render:
        write(render(chosen.graph, constants=constants), output)
    for warning in staged.warnings:
        note(f"warning: {warning}")
