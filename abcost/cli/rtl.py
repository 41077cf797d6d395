"""`abcost rtl`: engines as Verilog, with test benches from the reference interpreter."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from abcost.cli import options
from abcost.cli.given import given, refuse
from abcost.cli.network import NOTHING, Asked, takes_network
from abcost.cli.output import note, quiet, write
from abcost.cli.places import named_folder
from abcost.cli.waiting import Waiting
from abcost.errors import OutputError, UsageError

if TYPE_CHECKING:
    from abcost.accelerator.solve import AcceleratorGoal
    from abcost.emit.make import Network
    from abcost.emit.project import Project
    from abcost.rtl.testbench import Bench

_ONE = ("pe", "simd")
_ALL = ("device", "fps", "clock_mhz", "folding", "target")


@takes_network()
def rtl(
    context: typer.Context,
    model: options.Model,
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "--output",
            "-o",
            parser=named_folder,
            metavar="PATH",
            help="Folder to write; made if it is not there.",
        ),
    ],
    layer: Annotated[
        str | None,
        typer.Option(
            help="One layer, by its module path (layer1.0.conv1). Default: all, as --device or --fps wants."
        ),
    ] = None,
    pe: Annotated[int, typer.Option(help="Channels per cycle; divides the layer's channels.")] = 1,
    simd: Annotated[
        int | None,
        typer.Option(help="Products per channel and cycle; default: the largest divisor up to 64."),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(help="Write every engine of the accelerator for this part, such as lfe5u-85f."),
    ] = None,
    fps: Annotated[float | None, typer.Option(help="Frames per second that it must reach.")] = None,
    clock_mhz: Annotated[str, typer.Option(help="Its clock, or max: the highest that is met.")] = "100",
    folding: Annotated[
        Path | None, typer.Option(help="PE and SIMD of its layers: a file of ours, or one of FINN.")
    ] = None,
    target: Annotated[
        str | None, typer.Option("--target", "-t", help="Table that sizes it. Default: that of --device.")
    ] = None,
    width: Annotated[int, typer.Option(help="Bits of the residual path.")] = 16,
    fraction_bits: Annotated[
        int | None,
        typer.Option(help="Bits behind the point; default: the most that leave room for the values."),
    ] = None,
    windows: Annotated[
        int, typer.Option(help="Windows that a test bench checks; all of them in engines with a pool.")
    ] = 4,
    simulate: Annotated[
        bool, typer.Option("--simulate", help="Run the test benches with Icarus Verilog or Verilator.")
    ] = False,
    network: Asked = NOTHING,
) -> None:
    """Write the synthesizable engine of one layer, or of all layers, and test benches that check themselves."""
    there = given(context)
    _check_choice(there, layer, device, fps)
    _check_numbers(pe, simd, windows, width, fraction_bits)
    _check_folder(out)
    goal = None
    if layer is None:
        clock = clock_mhz if "clock_mhz" in there else None
        goal = options.accelerator(device, fps, clock, None, None, folding)
    from abcost.emit.make import default_folding, make, prepare
    from abcost.models.subject import resolve

    asked = network.request(model)
    with quiet(), Waiting(f"making engines of {model}"):
        subject = resolve(asked)
        prepared = prepare(subject, width=width, fraction_bits=fraction_bits, layer=layer)
        if goal is None:
            engine = prepared.engines[0]
            projects = {out: make(prepared, engine, default_folding(engine, pe, simd), windows=windows)}
        else:
            found = _all(prepared, goal, target or options.default_target(device), windows)
            projects = {out / top: project for top, project in found.items()}
    for folder, project in projects.items():
        _check_same(project, folder)
    if not subject.trained:
        note("note: weights are untrained (no --checkpoint); biases, slopes and scales are random here")
    for folder, project in projects.items():
        _write(project, folder)
        note(f"wrote {len(project.files)} files to {folder}; run them: make -C {folder}")
    if simulate:
        _simulate(projects)


def _check_choice(there: Iterable[str], layer: str | None, device: str | None, fps: float | None) -> None:
    """Raise UsageError for options of the one way with the other: one layer at a folding, or all as they are priced."""
    if layer is not None:
        refuse(there, _ALL, "with --layer: give --pe and --simd")
        return
    refuse(there, _ONE, "without --layer: foldings are found for --device and --fps, or come from --folding")
    if device is None and fps is None:
        raise UsageError("say which engine: --layer NAME, or --device PART or --fps N for all of them")


def _check_numbers(pe: int, simd: int | None, windows: int, width: int, fraction_bits: int | None) -> None:
    for name, value in (("--pe", pe), ("--windows", windows), ("--simd", 1 if simd is None else simd)):
        if value < 1:
            raise UsageError(f"{name} must be at least 1, got {value}")
    if not 4 <= width <= 32:
        raise UsageError(f"--width {width} is not between 4 and 32 bits")
    if fraction_bits is not None and not 0 <= fraction_bits < width:
        raise UsageError(f"--fraction-bits {fraction_bits} is not between 0 and the width {width}")


def _simulate(projects: Mapping[Path, Project]) -> None:
    """All test benches, even behind one that fails. Raises typer.Exit(1) if one does."""
    passed = [_passes(project.bench, folder) for folder, project in projects.items()]
    if not all(passed):
        raise typer.Exit(1)


def _all(network: Network, goal: AcceleratorGoal, target: str, windows: int) -> dict[str, Project]:
    """Every engine as the accelerator is priced, by module. Raises UsageError for one without Verilog."""
    from abcost.accelerator.clock import leaf_for, timed_for
    from abcost.accelerator.folding import Folding
    from abcost.accelerator.solve import organise
    from abcost.cost import CostTable
    from abcost.emit.make import make
    from abcost.rtl.units.memory import STYLES

    number, table = network.number, CostTable.load(target)
    organised = organise(
        network.graph,
        table,
        width=number.width,
        fraction_bits=number.fraction_bits,
        goal=goal,
    )
    if organised.refusal:
        raise UsageError(f"there is no such accelerator: {organised.refusal}")
    outside = [layer.name for layer in organised.layers if layer.weights in ("external", "uram")]
    if outside:
        raise UsageError(
            f"weights of {', '.join(outside)} are not in memory that Verilog can initialise; give --weights on-chip "
            "to analyze to see what fits, and a larger --device here"
        )
    leaf = leaf_for(timed_for(table, goal.device), organised.clock_mhz, number.width)
    found: dict[str, Project] = {}
    for engine, layer in zip(network.engines, organised.layers, strict=True):
        place = layer.weights if layer.weights in STYLES else None
        folding = Folding(layer.pe, layer.simd)
        project = make(network, engine, folding, leaf=leaf, windows=windows, place=place)
        if project.top in found:
            raise UsageError(
                f"two layers would be written as module {project.top}; write them apart: --layer"
            )
        found[project.top] = project
    return found


def _check_folder(out: Path) -> None:
    """Refuse a bad --out before the slow work. Raises OutputError or UsageError."""
    try:
        if out.exists() and not out.is_dir():
            raise OutputError(f"--out {out} is not a folder")
    except (OSError, ValueError) as error:  # a name too long; a NUL in it
        raise OutputError(f"--out {out}: {getattr(error, 'strerror', None) or error}") from error
    from abcost.training.ownership import check_owner

    check_owner(out, "rtl", (), "--out")


def _check_same(found: Project, out: Path) -> None:
    """Raise UsageError if the folder holds files of these names that say anything else.

    The same command writes the same files, so it goes on where it was killed.
    """
    for name, text in found.files.items():
        file = out / name
        content = text.encode("utf-8")
        if not file.exists() or (
            file.is_file() and file.stat().st_size == len(content) and file.read_bytes() == content
        ):
            continue
        raise UsageError(
            f"--out {out} holds another {name} than this command writes: name another folder, or remove it"
        )


def _write(found: Project, out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {out}: {error.strerror}") from error
    for name, text in found.files.items():
        write(text, out / name)


def _passes(bench: Bench, out: Path) -> bool:
    from abcost.rtl.simulate import simulate

    outcome = simulate(bench, out)
    note(f"{bench.top}: {outcome.log.strip().splitlines()[-1]}")
    return outcome.passed
