"""`abcost sweep`: models, targets, devices, widths, rates and foldings in one table."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Self

import rich.console
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from abcost.cli import options
from abcost.cli.given import given, refuse
from abcost.cli.network import NOTHING, Asked, takes_network
from abcost.cli.output import format_of, inches_of, note, quiet, view, write
from abcost.cli.places import check_places
from abcost.core.writing import write_bytes
from abcost.errors import UsageError

if TYPE_CHECKING:
    from abcost.api.options import SweepOptions


@takes_network(("variant", "preset", "base_width", "blocks"), ())
def sweep(
    context: typer.Context,
    models: Annotated[
        list[str],
        typer.Argument(
            help="One or more as for analyze, with options of their own behind commas: "
            "reactnet_18,base_width=16,blocks=2,2,2"
        ),
    ],
    target: Annotated[
        list[str] | None,
        typer.Option(
            "--target",
            "-t",
            help="Bundled target or own .toml; repeat for more. Default: of each device its own, else fpga-lut6.",
        ),
    ] = None,
    device: Annotated[
        list[str] | None, typer.Option(help="Part or board to size an accelerator for; repeat for more.")
    ] = None,
    widths: Annotated[
        str | None, typer.Option(help="Bits of the residual path, such as 12,16; default: the target's.")
    ] = None,
    fps: Annotated[
        str | None,
        typer.Option(help="Frames per second to reach, such as 30,100,300; default with --device: the most."),
    ] = None,
    folding: Annotated[
        list[Path] | None,
        typer.Option(
            help="File with PE and SIMD of layers, ours or FINN's; repeat for more. Default: looked for."
        ),
    ] = None,
    clock_mhz: Annotated[
        str | None,
        typer.Option(help="Clock of all accelerators in MHz (100), or max: the highest that is met."),
    ] = None,
    network: Asked = NOTHING,
    weight_scale: options.WeightScale = "exact",
    constant_multiply: options.ConstantMultiply = "keep",
    axes: Annotated[
        str | None,
        typer.Option(
            help="Two quantities that designs are judged by: fps, latency_ms, cycles, energy_uj, luts, ffs, dsps, "
            "blocks, area_um2, device_share, weight_kib, multiplications, macs. Default: fps,luts of accelerators, "
            "else macs,energy_uj."
        ),
    ] = None,
    output_format: Annotated[
        str | None,
        typer.Option("--format", help="console, csv, json or html. Default: as --output ends, else console."),
    ] = None,
    output: options.Output = None,
    plot: Annotated[
        Path | None, typer.Option(help="Also draw the chart into this file: .svg, .png or .pdf.")
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(help="Of the picture in inches, for print: 3.5x2.5; its caption is left to you."),
    ] = None,
) -> None:
    """Price every combination of models, targets, devices, widths, rates and foldings: a table, and its front.

    A combination that cannot be is a row that says why.
    """  # fmt: skip
    from abcost.html.still import check_suffix

    targets, devices, foldings = target or [], device or [], folding or []
    check_places(
        {"--output": output, "--plot": plot},
        [*(text.split(",")[0] for text in models), *targets, *devices, *foldings],
    )
    form = None if plot is None else check_suffix(plot)
    if plot is None:
        refuse(given(context), ["size"], "without --plot")
    inches = None if size is None else inches_of(size)
    numbers = (_whole("--widths", widths), _numbers("--fps", fps))
    from abcost.api.sweep import count_of, swept
    from abcost.sweeping.files import picture
    from abcost.sweeping.format import SWEEP_FORMATS

    render = SWEEP_FORMATS.get(format_of(output_format, output, "console"))
    common: SweepOptions = {
        **network.properties,  # type: ignore[typeddict-item]
        "weight_scale": options.choice("--weight-scale", weight_scale, ("exact", "po2")),
        "constant_multiply": options.choice("--constant-multiply", constant_multiply, options.CONSTANT_MULTIPLY),
    }  # fmt: skip
    several = (targets, devices, *numbers, foldings)
    each = count_of(*(len(dict.fromkeys(one)) for one in several))
    with quiet(), SweepConsole(len(dict.fromkeys(models)) * each) as listener:
        found = swept(
            models, *several, clock_mhz=clock_mhz, axes=[] if axes is None else axes.split(","), options=common,
            progress=listener.moved,
        )  # fmt: skip
    drawn = None if form is None else picture(found, form, inches)
    write(render(found, view("block", output)), output)
    if plot is not None and drawn is not None:
        write_bytes(drawn, plot)
    impossible = sum(row.answer == "impossible" for row in found.rows)
    if impossible:
        note(f"{impossible} of {len(found.rows)} combinations are impossible; the column why says why")


def _whole(option: str, text: str | None) -> list[int]:
    try:
        return [int(part) for part in text.split(",")] if text is not None else []
    except ValueError:
        raise UsageError(f"{option} {text!r} is not a list of whole numbers such as 12,16") from None


def _numbers(option: str, text: str | None) -> list[float]:
    try:
        return [float(part) for part in text.split(",")] if text is not None else []
    except ValueError:
        raise UsageError(f"{option} {text!r} is not a list of numbers such as 30,100") from None


class SweepConsole:
    """How far a sweep is, on stderr: a bar on a terminal, else a line for each model."""

    def __init__(self, rows: int) -> None:
        columns: Sequence[TextColumn | BarColumn | MofNCompleteColumn | TimeElapsedColumn] = (
            TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        )  # fmt: skip
        self._rows, self._model = rows, ""
        self._progress = Progress(
            *columns,
            console=rich.console.Console(stderr=True),
            transient=True,
            disable=not sys.stderr.isatty(),
        )
        self._task = self._progress.add_task("", total=rows)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def moved(self, done: int, model: str) -> None:
        """Move the bar; without a terminal, name a model as it begins."""
        self._progress.update(self._task, completed=done, description=model)
        if self._progress.disable and model != self._model:
            note(f"sweep: {model}, row {done + 1} of {self._rows}")
        self._model = model
