"""`abcost analyze`: what a network costs, before and after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from abcost.cli import options
from abcost.cli.given import given, refuse
from abcost.cli.lean import give_back_large_blocks, one_thread
from abcost.cli.network import NOTHING, Asked, takes_network
from abcost.cli.output import inches_of, note, quiet, report_format_of, view, write
from abcost.cli.places import check_places
from abcost.cli.waiting import Waiting
from abcost.core.writing import write_bytes
from abcost.errors import UsageError

if TYPE_CHECKING:
    from abcost.accelerator.solve import AcceleratorGoal
    from abcost.report.report import Report


@takes_network()
def analyze(
    context: typer.Context,
    model: options.Model,
    target: Annotated[
        list[str] | None,
        typer.Option(
            "--target",
            "-t",
            help="Bundled target or own .toml; repeat to compare. Default: that of --device.",
        ),
    ] = None,
    network: Asked = NOTHING,
    width: Annotated[
        int | None, typer.Option(help="Bits of the residual path; default: the target's (16).")
    ] = None,
    lanes: Annotated[int, typer.Option(help="Lanes of every node: results per cycle.")] = 1,
    simd: Annotated[int, typer.Option(help="Bits per cycle of a binary dot product in one lane.")] = 64,
    device: Annotated[
        str | None,
        typer.Option(
            help="Size a whole accelerator for this part, board or die: xc7z020, pynq-z2, tt-sky130-8x2, my.csv."
        ),
    ] = None,
    fps: Annotated[
        float | None, typer.Option(help="Frames per second it must reach; a frame is the whole --input-size.")
    ] = None,
    clock_mhz: Annotated[
        str, typer.Option(help="Its clock, or max: the highest that is met. Without, of cells: for leakage.")
    ] = "100",
    organisation: Annotated[
        str, typer.Option(help="pipelined: an engine per layer; shared: one engine for all.")
    ] = "pipelined",
    weights: Annotated[
        str | None,
        typer.Option(
            help="on-chip or external. Default: on the chip, and outside what does not fit if there is a memory."
        ),
    ] = None,
    folding: Annotated[
        Path | None,
        typer.Option(help="PE and SIMD of layers: a file as --write-folding writes it, or one of FINN."),
    ] = None,
    area_mm2: Annotated[
        float | None,
        typer.Option(help="Silicon that a block of cells may take; default: as much as it needs."),
    ] = None,
    utilisation: Annotated[
        float | None, typer.Option(help="Share of it that cells fill; default: 0.5, as OpenLane's.")
    ] = None,
    write_folding: Annotated[
        Path | None, typer.Option(help="Also write the folding of the last stage into this file.")
    ] = None,
    write_finn_folding: Annotated[
        Path | None, typer.Option(help="The same as folding_config.json of FINN.")
    ] = None,
    weight_scale: options.WeightScale = "exact",
    constant_multiply: options.ConstantMultiply = "keep",
    fraction_bits: options.FractionBits = 12,
    slopes: options.Slopes = None,
    leave_out_softmax: options.LeaveOutSoftmax = False,
    by: Annotated[str, typer.Option(help="Rows of the detail table: layer, block or kind.")] = "block",
    output_format: options.Format = None,
    output: options.Output = None,
    plot: options.Plot = None,
    chart: Annotated[
        str | None,
        typer.Option(
            help="Draw this chart alone: multiplications, energy, luts, dsps, area, cycles, slope, …."
        ),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(help="Of the picture in inches, for print: 3.5x2.5; titles are left to its caption."),
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Also execute every stage next to the one before.")
    ] = False,
    brief: Annotated[bool, typer.Option("--brief", help="The first lines alone: the answer.")] = False,
    full: Annotated[
        bool, typer.Option("--full", help="Also the conventions, and which figures the costs rest on.")
    ] = False,
) -> None:
    """Count multiplications, adds, bit operations and shifts of a network, and price them on a target."""
    from abcost.html.still import SUFFIXES as PICTURES
    from abcost.html.still import check_suffix

    there = given(context)
    chosen = target or [options.default_target(device)]
    foldings = {"--write-folding": write_folding, "--write-finn-folding": write_finn_folding}
    check_places(
        {"--output": output, "--plot": plot, **foldings},
        [model, network.checkpoint, slopes, folding, device, *chosen],
    )
    pictured = output_format is None and output is not None and output.suffix.lower() in PICTURES
    if plot is None and not pictured:
        refuse(there, ["chart", "size"], "without --plot")
    chosen_format = "rich" if pictured else report_format_of(output_format, output)
    if chosen_format != "rich" or pictured:
        refuse(there, ["by", "brief", "full"], f"with --format {chosen_format}, which has all rows")
    if brief:
        refuse(there, ["by", "full"], "with --brief, which shows no table")
    pictures = {path: check_suffix(path) for path in (plot, output if pictured else None) if path is not None}
    inches = None if size is None else inches_of(size)
    from abcost.cost import CostTable

    tables = [CostTable.load(name) for name in dict.fromkeys(chosen)]  # fails before torch is loaded
    busy = context.with_resource(Waiting(f"analyzing {model}"))
    from abcost.cost.organisation import Lanes
    from abcost.models.subject import resolve
    from abcost.pipeline import analyze_subject
    from abcost.report.files import picture
    from abcost.report.format import FORMATS

    _prepare(model, chosen_format, executed=verify)
    goal, clock = options.accelerator_or_clock(
        tables,
        device,
        fps,
        clock_mhz if "clock_mhz" in there else None,
        organisation if "organisation" in there else None,
        weights,
        folding,
        area_mm2=area_mm2,
        utilisation=utilisation,
    )
    _check_writing(foldings, goal, len(tables))
    rewriting = options.rewriting(
        weight_scale, constant_multiply, fraction_bits, slopes, model, leave_out_softmax=leave_out_softmax
    )
    shown = replace(
        view(options.choice("--by", by, ("layer", "block", "kind")), output),
        detail="brief" if brief else "full" if full else "usual",
    )
    asked = network.request(model)
    with quiet():
        subject = resolve(asked, late=not verify)
        render = FORMATS.get("rich" if pictured else report_format_of(output_format, output))
        reports = [
            report.at_clock(clock)
            for report in analyze_subject(
                subject,
                tables,
                width=width,
                organisation=Lanes(lanes, simd),
                rewriting=rewriting,
                accelerator=goal,
                verify=verify,
            )
        ]
    drawn = {path: picture(reports, form, chart, inches) for path, form in pictures.items()}
    busy.stop()
    if not pictured:
        write(render(reports, shown), output)
    for path, data in drawn.items():
        write_bytes(data, path)
    _write_foldings(reports[0], write_folding, write_finn_folding)
    _warn(reports)
    refused = [r for r in reports if (o := r.stages[-1].organisation) and not o.fits]
    for report in refused:
        found = report.stages[-1].organisation
        note(f"no: {report.table.target}: {found.refusal if found else ''}")
    if any(not report.verified for report in reports):
        note("verification failed: an exact rewrite was not exact; abcost verify says where")
        raise typer.Exit(1)
    if refused:
        raise typer.Exit(1)


def _prepare(model: str, name: str, *, executed: bool) -> None:
    """A bad name of a format fails before the slow part; code of the user's may yet register one."""
    from abcost.report.format import FORMATS

    give_back_large_blocks()
    if not executed:
        one_thread()
    if ":" not in model:
        FORMATS.get(name)


def _warn(reports: Sequence[Report]) -> None:
    """Each warning once."""
    for warning in dict.fromkeys(text for report in reports for text in report.warnings):
        note(f"warning: {warning}")


def _check_writing(foldings: Mapping[str, Path | None], goal: AcceleratorGoal | None, targets: int) -> None:
    """Raises UsageError where there is no folding of one engine per layer to write, or several."""
    for option, path in foldings.items():
        if path is None:
            continue
        if goal is None:
            raise UsageError(f"{option} writes the folding of an accelerator: add --device or --fps")
        if goal.kind != "pipelined":
            raise UsageError(f"{option}: one engine for all layers has no folding of each: pipelined has")
        if targets > 1:
            raise UsageError(f"{option}: every target has a folding of its own: name one --target")


def _write_foldings(report: Report, own: Path | None, finn: Path | None) -> None:
    from abcost.accelerator.folding_file import finn_text, folding_text

    organised = report.stages[-1].organisation
    if organised is None:
        return
    if own is not None:
        write(folding_text(organised.layers, report.model), own)
    if finn is not None:
        write(finn_text(organised.layers), finn)
