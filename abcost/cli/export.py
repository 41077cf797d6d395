"""`abcost export`: a stage of a network as a file for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from abcost.cli import options
from abcost.cli.given import given
from abcost.cli.network import NOTHING, Asked, takes_network
from abcost.cli.output import note, quiet
from abcost.cli.places import check_places
from abcost.cli.waiting import Waiting
from abcost.core.writing import write_bytes


@takes_network()
def export(
    context: typer.Context,
    model: options.Model,
    out: Annotated[Path, typer.Option("--output", "-o", "--out", help="File to write.")],
    output_format: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="onnx; qonnx, with thresholds and narrow weights as such; folding: PE and SIMD of FINN's layers, with "
            "--device or --fps. Default: as --output ends, .onnx or .json.",
        ),
    ] = None,
    stage: Annotated[
        str, typer.Option(help="traced, mask_removed, rprelu_quantized or add_and_bit.")
    ] = "add_and_bit",
    target: Annotated[
        str | None, typer.Option("--target", "-t", help="Of the accelerator. Default: that of --device.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="Part of the accelerator, such as xc7z020.")] = None,
    fps: Annotated[float | None, typer.Option(help="Frames per second that it must reach.")] = None,
    clock_mhz: Annotated[str | None, typer.Option(help="Its clock in MHz (100), or max.")] = None,
    width: Annotated[int | None, typer.Option(help="Its bits of the residual path.")] = None,
    weight_scale: options.WeightScale = "exact",
    constant_multiply: options.ConstantMultiply = "keep",
    fraction_bits: options.FractionBits = 12,
    slopes: options.Slopes = None,
    leave_out_softmax: options.LeaveOutSoftmax = False,
    network: Asked = NOTHING,
) -> None:
    """Write a network at one stage as ONNX, as QONNX, or its folding for FINN."""
    check_places({"--output": out}, [model, network.checkpoint, slopes, target, device])
    busy = context.with_resource(Waiting(f"exporting {model}"))
    from abcost.api.export import exported, format_of, sizing_of
    from abcost.models.subject import resolve
    from abcost.pipeline import STAGES

    form = format_of(output_format, out)
    chosen = options.choice("--stage", stage, [name for name, _ in STAGES])
    there = given(context)
    sizing = sizing_of(
        form, options.accelerator(device, fps, clock_mhz, None), target, width,
        [name for name in ("target", "device", "fps", "clock_mhz", "width") if name in there],
    )  # fmt: skip
    lowering = options.rewriting(
        weight_scale, constant_multiply, fraction_bits, slopes, model, leave_out_softmax=leave_out_softmax
    )
    asked = network.request(model)
    with quiet():
        content, warnings = exported(resolve(asked), form, chosen, lowering, sizing, owned=True)
    busy.stop()
    write_bytes(content, out)
    for warning in warnings:
        note(f"warning: {warning}")
