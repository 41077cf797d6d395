"""`abcost compare`: what changes between models, checkpoints, targets, widths, or saved reports."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from abcost.cli import options
from abcost.cli.output import format_of, note, quiet, view, write
from abcost.cli.places import check_places
from abcost.cli.waiting import Waiting
from abcost.core.writing import write_bytes
from abcost.errors import UsageError


def compare(
    context: typer.Context,
    sides: Annotated[
        list[str],
        typer.Argument(
            help="Two or more: a saved report (.json or .csv; of several targets r.json,target=asic-45nm), or a model "
            "as for analyze, with options of its own behind commas: reactnet_18,width=12,blocks=2x2x2; checkpoint=…, "
            "slopes=…, target=…, device=… and most others. Each is compared with the first."
        ),
    ],
    target: Annotated[
        str | None, typer.Option("--target", "-t", help="Of all models that do not say it.")
    ] = None,
    preset: options.PresetOrOwn = None,
    width: Annotated[int | None, typer.Option(help="Bits of the residual path, of all models.")] = None,
    device: Annotated[str | None, typer.Option(help="Part, of all models.")] = None,
    fps: Annotated[float | None, typer.Option(help="Frames per second, of all models.")] = None,
    clock_mhz: Annotated[
        str | None, typer.Option(help="Clock of the accelerator in MHz (100), or max; of all models.")
    ] = None,
    leave_out_softmax: options.LeaveOutSoftmax = False,
    fail_if: Annotated[
        list[str] | None,
        typer.Option(
            help="Exit with 1 if it holds in the last stage: 'luts>+5%', 'energy_pj>+0.1' (change), "
            "'multiplications>0' (value); of accelerators luts, ffs, dsps, blocks, fps, latency_ms, energy_uj, fits. "
            "Repeat for more; what is unknown fails."
        ),
    ] = None,
    output_format: Annotated[
        str | None,
        typer.Option("--format", help="rich, csv, json or html. Default: as --output ends, else rich."),
    ] = None,
    output: options.Output = None,
    plot: options.Plot = None,
) -> None:
    """Totals, layers and settings that differ; unknown stays unknown."""
    from abcost.html.still import check_suffix

    check_places({"--output": output, "--plot": plot}, _files_of(sides, target, device))
    form = None if plot is None else check_suffix(plot)
    busy = context.with_resource(Waiting(f"comparing {len(sides)} sides"))
    from abcost.api.sides import check_common, side
    from abcost.comparing.answer import compared
    from abcost.comparing.condition import parse_condition
    from abcost.comparing.format import COMPARISON_FORMATS

    render = COMPARISON_FORMATS.get(format_of(output_format, output))
    conditions = [parse_condition(text) for text in fail_if or ()]
    if len(sides) < 2:
        raise UsageError("compare needs two or more reports or models")
    asked = {
        "target": target, "preset": preset, "width": width, "device": device, "fps": fps,
        "clock_mhz": clock_mhz, "leave_out_softmax": leave_out_softmax or None,
    }  # fmt: skip
    common = {name: value for name, value in asked.items() if value is not None}
    check_common(sides, common)
    with quiet():
        first, *others = [side(text, common) for text in sides]
    answer = compared(first, others, conditions)
    busy.stop()
    found, broken = answer.comparisons, answer.broken
    write(render(found, view("block", output)), output)
    if plot is not None and form is not None:
        from abcost.comparing.html import changes
        from abcost.html.still import still

        drawn = [chart for i, c in enumerate(found) for chart in changes(i, c.stage, c.shown)]
        if not drawn:
            note(f"nothing to draw: no total changes; {plot} is not written")
        else:
            write_bytes(still(drawn, f"against {first.name}", form), plot)
    for text in broken:
        note(f"no: {text}")
    if broken:
        raise typer.Exit(1)


def _files_of(sides: Sequence[str], *named: str | None) -> list[str | None]:
    """What the command reads: reports, models, checkpoints, slopes, tables and devices."""
    return [
        *named,
        *(part.rpartition("=")[2] if i else part for text in sides for i, part in enumerate(text.split(","))),
    ]
