"""`abcost rtl`: one folded layer as Verilog, with a test bench from the reference interpreter."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from abcost.cli import options
from abcost.cli.output import note, quiet, write
from abcost.cli.places import named_folder
from abcost.errors import OutputError, UsageError

if TYPE_CHECKING:
    from abcost.emit.project import Project


def rtl(
    model: options.Model,
    layer: Annotated[str, typer.Option(help="Binary layer, by its module path (layer1.0.conv1).")],
    out: Annotated[
        Path,
        typer.Option(parser=named_folder, metavar="PATH", help="Folder to write; made if it is not there."),
    ],
    pe: Annotated[int, typer.Option(help="Channels per cycle; divides the layer's channels.")] = 1,
    simd: Annotated[
        int | None,
        typer.Option(help="Products per channel and cycle; default: the largest divisor up to 64."),
    ] = None,
    width: Annotated[int, typer.Option(help="Bits of the residual path.")] = 16,
    fraction_bits: Annotated[
        int | None,
        typer.Option(help="Bits behind the point; default: the most that leave room for the values."),
    ] = None,
    pipelined: Annotated[bool, typer.Option("--pipelined", help="A register behind every unit.")] = False,
    windows: Annotated[int, typer.Option(help="Windows that the test bench checks.")] = 4,
    simulate: Annotated[
        bool, typer.Option("--simulate", help="Run the test bench with Icarus Verilog or Verilator.")
    ] = False,
    variant: options.Variant = None,
    step: options.Step = None,
    preset: options.PresetOrOwn = None,
    input_size: options.InputSize = None,
    num_classes: options.NumClasses = None,
    base_width: options.BaseWidth = None,
    blocks: options.Blocks = None,
    checkpoint: options.Checkpoint = None,
    model_arg: options.ModelArg = None,
) -> None:
    """Write the synthesizable datapath of one layer with its parameters, and a test bench that checks itself."""
    for name, value in (("--pe", pe), ("--windows", windows), ("--simd", 1 if simd is None else simd)):
        if value < 1:
            raise UsageError(f"{name} must be at least 1, got {value}")
    if not 4 <= width <= 32:
        raise UsageError(f"--width {width} is not between 4 and 32 bits")
    if fraction_bits is not None and not 0 <= fraction_bits < width:
        raise UsageError(f"--fraction-bits {fraction_bits} is not between 0 and the width {width}")
    _check_folder(out)
    from abcost.emit.make import make
    from abcost.models.subject import resolve

    asked = options.request(
        model, variant=variant, step=step, preset=preset, input_size=input_size, num_classes=num_classes,
        base_width=base_width, blocks=blocks, checkpoint=checkpoint, model_arg=model_arg,
    )  # fmt: skip
    with quiet():
        subject = resolve(asked)
        found = make(
            subject, layer, pe=pe, simd=simd, width=width, fraction_bits=fraction_bits, pipelined=pipelined,
            windows=windows,
        )  # fmt: skip
    _check_same(found, out)
    if not subject.trained:
        note("note: weights are untrained (no --checkpoint); biases, slopes and scales are random here")
    _write(found, out)
    note(f"wrote {len(found.files)} files to {out}; run them: make -C {out}")
    if simulate:
        _simulate(found, out)


def _check_folder(out: Path) -> None:
    """Refuse a bad --out before the slow work. Raises OutputError or UsageError."""
    try:
        if out.exists() and not out.is_dir():
            raise OutputError(f"--out {out} is not a folder")
    except (OSError, ValueError) as error:  # a name too long; a NUL in it
        raise OutputError(f"--out {out}: {getattr(error, 'strerror', None) or error}") from error
    from abcost.train.ownership import check_owner

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


def _simulate(found: Project, out: Path) -> None:
    from abcost.rtl.simulate import simulate

    outcome = simulate(found.bench, out)
    note(outcome.log.strip().splitlines()[-1])
    if not outcome.passed:
        raise typer.Exit(1)
