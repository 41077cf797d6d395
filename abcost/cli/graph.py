"""`abcost graph`: the op graph of a stage, for other programs."""

from __future__ import annotations

from typing import Annotated

import typer

from abcost.cli import options
from abcost.cli.output import check_writable, note, quiet, write


def graph(
    model: options.Model,
    output_format: Annotated[str, typer.Option("--format", help="json, dot or graphml.")] = "json",
    stage: Annotated[
        str, typer.Option(help="traced, mask_removed, rprelu_quantized or add_and_bit.")
    ] = "traced",
    constants: Annotated[
        bool, typer.Option(help="Values of weights in the JSON; without, it cannot be executed.")
    ] = True,
    variant: options.Variant = None,
    step: options.Step = None,
    preset: options.PresetOrOwn = None,
    input_size: options.InputSize = None,
    num_classes: options.NumClasses = None,
    base_width: options.BaseWidth = None,
    blocks: options.Blocks = None,
    checkpoint: options.Checkpoint = None,
    model_arg: options.ModelArg = None,
    output: options.Output = None,
) -> None:
    """Write the op graph of a network at one stage."""
    check_writable(output)
    from abcost.models.subject import resolve
    from abcost.pipeline import STAGES, stage_graphs
    from abcost.report.graph import GRAPH_FORMATS
    from abcost.rewrite import RewriteOptions

    render = GRAPH_FORMATS.get(output_format)
    name = options.choice("--stage", stage, [name for name, _ in STAGES])
    asked = options.request(
        model, variant=variant, step=step, preset=preset, input_size=input_size, num_classes=num_classes,
        base_width=base_width, blocks=blocks, checkpoint=checkpoint, model_arg=model_arg,
    )  # fmt: skip
    with quiet():
        subject = resolve(asked)
        staged = stage_graphs(subject.model, subject.inputs, RewriteOptions())
    chosen = next(s for s in staged.stages if s.name == name)
    write(render(chosen.graph, constants=constants), output)
    for warning in staged.warnings:
        note(f"warning: {warning}")
